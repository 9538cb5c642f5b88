package kube

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// What Retry-After says is heeded between a second and what Reconnect pauses for.
func TestPatient(t *testing.T) {
	for said, want := range map[string]string{
		"": "", "0": "1", "-1": "1", "1": "1", "2": "2", "3": "2", "3600": "2", "99999999999999999999": "2",
		"Sat, 21 Nov 2026 12:00:00 GMT": "2",
	} {
		response, err := patient{answering{retryAfter: {said}}}.RoundTrip(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := response.Header.Get(retryAfter); got != want {
			t.Errorf("%q: got %q, want %q", said, got, want)
		}
	}
	failure := errors.New("connection refused")
	if _, err := (patient{failing{failure}}).RoundTrip(nil); err != failure {
		t.Errorf("got %v, want %v", err, failure)
	}
}

type answering http.Header

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{Header: http.Header(a)}, nil
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// A client of Protobuf comes back within seconds to a server that has asked for an hour.
func TestPatientClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Duration
		began := time.Now()
		server := serving(func(w http.ResponseWriter, _ *http.Request) {
			asked = append(asked, time.Since(began))
			if len(asked) == 1 {
				w.Header().Set(retryAfter, "3600")
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"kind": "ServiceList", "apiVersion": "v1", "items": []}`)
		})
		client, err := corev1client.NewForConfig(ClientConfig(&rest.Config{Transport: server}, "test"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Services("").List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Error(err)
		}
		if want := []time.Duration{0, 2 * time.Second}; !slices.Equal(asked, want) {
			t.Errorf("asked at %v, want %v", asked, want)
		}
	})
}

// serving answers without a connection.
type serving http.HandlerFunc

func (s serving) RoundTrip(request *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	s(w, request)
	return w.Result(), nil
}
