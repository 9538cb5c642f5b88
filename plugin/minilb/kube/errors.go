package kube

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Kind classifies the failure of a request. Errors of one Kind differ only in details such as ports and
// object names, so that only the first needs to be logged.
type Kind string

// The Kinds by what has failed.
const (
	Unreachable  Kind = "unreachable"  // no answer, because of the network, TLS or the credential plugin
	Unauthorized Kind = "unauthorized" // the API server does not accept the token or certificate (401)
	Forbidden    Kind = "forbidden"    // the account lacks the permission (403)
	ServerError  Kind = "unwell"       // the API server cannot serve the request now (429, 5xx)
	Rejected     Kind = "refused"      // the API server rejects this request
)

// Error is a failed request to the API server.
type Error struct {
	Kind   Kind
	Text   string // the line for the user
	Denied string // the policy and its binding, or the webhook, that has denied the request, "" for none
	Cause  error  // of the client
}

// Error implements the error interface.
func (e *Error) Error() string { return e.Text }

// Unwrap returns the client's error.
func (e *Error) Unwrap() error { return e.Cause }

// Classify returns err, the failure of verbs ("list and watch") on a resource ("services"), as an Error, and nil for nil.
func Classify(verbs, resource string, err error) *Error {
	if err == nil {
		return nil
	}
	kind, text := Rejected, fmt.Sprintf("%s: cannot %s: %s", resource, verbs, oneLine(err))
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
		kind = ServerError
	case code(err) == 0:
		kind = Unreachable
		text = "cannot reach the API server: " + oneLine(err)
		var request *url.Error
		if errors.As(err, &request) {
			address := request.URL
			if parsed, err := url.Parse(address); err == nil {
				address = parsed.Host
			}
			text = fmt.Sprintf("cannot reach the API server at %s: %s", address, oneLine(request.Err))
		}
		var invalid x509.CertificateInvalidError
		if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
			text += "; correct the clock of this machine, or renew the certificate if the clock is right"
		}
	}
	return &Error{Kind: kind, Text: text, Denied: denied(err), Cause: err}
}

// admissionDenial matches the denial of a ValidatingAdmissionPolicy or a webhook: only the text distinguishes most of
// them from a missing permission (403). The policy's own message follows it.
var admissionDenial = regexp.MustCompile(`ValidatingAdmissionPolicy '[^']*' with binding '[^']*' denied request|admission webhook "[^"]*" denied the request`)

// denied returns the policy or webhook that has denied the request, "" if none has, or if it has failed itself.
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
