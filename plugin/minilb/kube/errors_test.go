package kube

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestExplain(t *testing.T) {
	services := schema.GroupResource{Resource: "services"}
	refused := errors.New("dial tcp 10.0.0.1:6443: connect: connection refused")
	policy := apierrors.NewForbidden(services, "web", errors.New("ValidatingAdmissionPolicy 'p' with binding 'b' denied request: only\nours"))
	policy.ErrStatus.Reason, policy.ErrStatus.Code = metav1.StatusReasonInvalid, http.StatusUnprocessableEntity
	tests := []struct {
		name string
		err  error
		kind Kind
		want []string
	}{
		{"401", apierrors.NewUnauthorized("Unauthorized"), Unauthorized, []string{"401", "expired", "kubeconfig"}},
		{"403", apierrors.NewForbidden(services, "", errors.New("User \"x\" cannot list")), Forbidden,
			[]string{"services: list and watch is forbidden", "deploy/kustomize", "grant list and watch on services", `User "x"`}},
		{"wrapped 403", fmt.Errorf("failed: %w", apierrors.NewForbidden(services, "", errors.New("no"))), Forbidden, []string{"forbidden"}},
		{"policy", policy, Rejected, []string{"services: a policy or webhook of the cluster refuses it: services \"web\" is forbidden: ValidatingAdmissionPolicy 'p'", "only ours"}},
		{"webhook", apierrors.NewForbidden(services, "web", errors.New(`admission webhook "x.org" denied the request: no`)), Rejected,
			[]string{"a policy or webhook of the cluster refuses it", "denied the request: no"}},
		{"webhook that fails", apierrors.NewInternalError(errors.New(`failed calling webhook "x.org": admission webhook "x.org" denied the request`)), ServerError, []string{"failed calling"}},
		{"connection refused", &url.Error{Op: "Get", URL: "https://10.0.0.1:6443/api/v1/services?limit=5", Err: refused}, Unreachable,
			[]string{"cannot reach the API server at 10.0.0.1:6443: dial tcp"}},
		{"an address that is none", &url.Error{Op: "Get", URL: "https://[fd00::1", Err: refused}, Unreachable,
			[]string{"cannot reach the API server at https://[fd00::1: dial tcp"}},
		{"a clock that is behind", &url.Error{Op: "Get", URL: "https://10.0.0.1:6443/version", Err: &tls.CertificateVerificationError{
			Err: x509.CertificateInvalidError{Reason: x509.Expired, Detail: "current time A is before B"}}}, Unreachable,
			[]string{"10.0.0.1:6443: tls: failed to verify certificate", "current time A is before B; correct the clock of this machine"}},
		{"no helper", errors.New("exec: no such\nprogram"), Unreachable, []string{"cannot reach the API server: exec: no such program"}},
		{"503", apierrors.NewServiceUnavailable("starting"), ServerError, []string{"services: cannot list and watch: starting"}},
		{"429", apierrors.NewTooManyRequests("later", 1), ServerError, []string{"later"}},
		{"500", apierrors.NewInternalError(errors.New("etcdserver: request timed out")), ServerError, []string{"timed out"}},
		{"400", apierrors.NewBadRequest("field selector"), Rejected, []string{"field selector"}},
		{"a message of several lines", apierrors.NewBadRequest("two\r\n\u2028lines \x1b"), Rejected, []string{"services: cannot list and watch: two lines \x1b"}}, // M10: escaped once, where it is printed
	}
	for _, tc := range tests {
		got := Classify("list and watch", "services", tc.err)
		if got.Kind != tc.kind {
			t.Errorf("%s: got kind %s, want %s", tc.name, got.Kind, tc.kind)
		}
		if strings.ContainsAny(got.Text, "\r\n\u2028") || strings.Contains(got.Text, "?limit") {
			t.Errorf("%s: not a line for a user: %q", tc.name, got.Text)
		}
		for _, want := range tc.want {
			if !strings.Contains(got.Text, want) {
				t.Errorf("%s: %q does not contain %q", tc.name, got.Text, want)
			}
		}
		if !errors.Is(got, tc.err) {
			t.Errorf("%s: lost the cause", tc.name)
		}
	}
	// What denies is named, without the message, which may differ each time.
	for want, message := range map[string]string{
		"ValidatingAdmissionPolicy 'p' with binding 'b' denied request": "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: 'web' denied request: only\nours",
		`admission webhook "x.org" denied the request`:                  `admission webhook "x.org" denied the request: "web" denied the request: request 4711`,
		"": "the namespace is full",
	} {
		if got := Classify("patch", "services/status", apierrors.NewForbidden(services, "web", errors.New(message))).Denied; got != want {
			t.Errorf("what denies: got %q, want %q", got, want)
		}
	}
	if Classify("list", "nodes", nil) != nil {
		t.Error("no error is explained")
	}
}
