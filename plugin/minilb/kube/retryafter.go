package kube

import (
	"net/http"
	"strconv"
	"time"
)

// retryAfter is the header with the seconds after which a request that has failed is to be made
// again (RFC 9110, section 10.2.3).
const retryAfter = "Retry-After"

// patient sees to it that a request which the API server, or a proxy before it, has refused for
// the time being (429, 5xx) is made again soon but not at once. client-go does what Retry-After
// says, ten times: with the hour that a load balancer says while it is maintained, objects would
// go unread for that long, and with 0 there would be ten requests where there was one.
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

// WrappedRoundTripper returns the one behind, as client-go's do: it looks for the connections there.
func (p patient) WrappedRoundTripper() http.RoundTripper { return p.RoundTripper }
