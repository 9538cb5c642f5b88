package kube

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Kind is what a request failed of. Two errors of one Kind differ at most in words (ports,
// object names), so that the second need not be told.
type Kind string

const (
	// Unreachable: no answer at all, be it for the network, for TLS or for the credentials' helper.
	Unreachable Kind = "unreachable"
	// Unauthorized: the API server does not know the token or certificate (401).
	Unauthorized Kind = "unauthorized"
	// Forbidden: it knows us, and our account may not (403).
	Forbidden Kind = "forbidden"
	// Unwell: it answers, and cannot do what it should at the moment (429, 5xx).
	Unwell Kind = "unwell"
	// Refused: it does not want this very request.
	Refused Kind = "refused"
)

// Failure is a failed request to the API server.
type Failure struct {
	// Kind is what it failed of.
	Kind Kind
	// Text is the line for the user.
	Text string
	// Denied names the policy and its binding, or the webhook, if the cluster's admission has refused the request.
	Denied string
	// Cause is the client's error.
	Cause error
}

// Error implements the error interface.
func (e *Failure) Error() string { return e.Text }

// Unwrap returns the client's error.
func (e *Failure) Unwrap() error { return e.Cause }

// Explain returns err, the failure of verbs ("list and watch") on resource ("services"), as
// a Failure. It returns nil for nil.
func Explain(verbs, resource string, err error) *Failure {
	if err == nil {
		return nil
	}
	kind, text := Refused, fmt.Sprintf("%s: cannot %s: %s", resource, verbs, oneLine(err))
	switch {
	case apierrors.IsUnauthorized(err):
		kind = Unauthorized
		text = "the API server does not accept our credentials (401 Unauthorized): " +
			"the token or certificate is wrong or has expired; renew it or name another kubeconfig"
	case denied(err) != "":
		text = fmt.Sprintf("%s: a policy or webhook of the cluster refuses it: %s", resource, oneLine(err))
	case apierrors.IsForbidden(err):
		kind = Forbidden
		text = fmt.Sprintf("%s: %s is forbidden: apply deploy/kustomize, or grant %s on %s to this account (%s)",
			resource, verbs, verbs, resource, oneLine(err))
	case apierrors.IsTooManyRequests(err), code(err) >= http.StatusInternalServerError:
		kind = Unwell
	case code(err) == 0:
		kind = Unreachable
		text = "cannot reach the API server: " + oneLine(err)
		var request *url.Error
		if errors.As(err, &request) {
			text = fmt.Sprintf("cannot reach the API server at %s: %s", host(request.URL), oneLine(request.Err))
		}
	}
	return &Failure{Kind: kind, Text: text, Denied: denied(err), Cause: err}
}

// admissionDenial finds that a ValidatingAdmissionPolicy or a webhook has refused a request: most do so with the code
// that a missing permission has, 403. Its message, which may differ each time, comes behind.
var admissionDenial = regexp.MustCompile(`ValidatingAdmissionPolicy '[^']*' with binding '[^']*' denied request|admission webhook "[^"]*" denied the request`)

// denied returns what of the cluster's admission has refused the request, if that is not just unwell.
func denied(err error) string {
	if code(err) < http.StatusBadRequest || code(err) >= http.StatusInternalServerError {
		return ""
	}
	return admissionDenial.FindString(err.Error())
}

// code returns the HTTP status of the API server's answer, 0 if there was none.
func code(err error) int32 {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Code
	}
	return 0
}

func host(address string) string {
	if parsed, err := url.Parse(address); err == nil {
		return parsed.Host
	}
	return address
}
