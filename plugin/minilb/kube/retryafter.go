package kube

import (
	"net/http"
	"strconv"
	"time"
)

// retryAfter is the header with the seconds until a failed request may be repeated (RFC 9110 §10.2.3).
const retryAfter = "Retry-After"

// patient bounds Retry-After to one to two seconds. client-go obeys it ten times: the hour that load balancers send during
// maintenance would stop reads for as long, and 0 would send ten requests at once.
type patient struct{ http.RoundTripper }

// RoundTrip implements the http.RoundTripper interface.
func (p patient) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := p.RoundTripper.RoundTrip(request)
	if err != nil || response.Header.Get(retryAfter) == "" {
		return response, err
	}
	seconds, err := strconv.Atoi(response.Header.Get(retryAfter))
	if longest := int(Reconnect.Cap / time.Second); err != nil || seconds > longest {
		seconds = longest
	}
	response.Header.Set(retryAfter, strconv.Itoa(max(seconds, 1)))
	return response, nil
}

// WrappedRoundTripper implements client-go's RoundTripperWrapper interface, which finds the connections.
func (p patient) WrappedRoundTripper() http.RoundTripper { return p.RoundTripper }
