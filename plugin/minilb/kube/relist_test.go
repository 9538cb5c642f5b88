package kube

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

var (
	yes     = true
	minutes = int64(300)
	resumes = metav1.ListOptions{ResourceVersion: "7", TimeoutSeconds: &minutes}
	streams = metav1.ListOptions{ResourceVersion: "7", TimeoutSeconds: &minutes, SendInitialEvents: &yes}
)

// When a watch may be resumed: each step is a request after the time it names, "" for one that
// is made and granted.
func TestResumption(t *testing.T) {
	refused, busy := errors.New("connection refused"), apierrors.NewTooManyRequests("busy", 1)
	type step struct {
		after   time.Duration
		options metav1.ListOptions // the zero value for a list
		answer  error
		want    string // "", "expired", "broken off", or the answer
	}
	for name, steps := range map[string][]step{
		"in time": {
			{0, metav1.ListOptions{}, nil, ""}, {0, resumes, nil, ""}, {5 * time.Minute, resumes, nil, ""}, {5 * time.Minute, resumes, nil, ""},
		},
		"in time by the API server's clock": {
			{0, metav1.ListOptions{}, nil, ""}, {0, resumes, nil, ""}, {5*time.Minute - time.Second, resumes, nil, ""},
		},
		"early": {
			{0, metav1.ListOptions{}, nil, ""}, {0, resumes, nil, ""}, {5*time.Minute - time.Second - 1, resumes, nil, "expired"}, {0, resumes, nil, "expired"},
			{0, metav1.ListOptions{}, nil, ""}, {0, resumes, nil, ""},
		},
		"in time, without an end": {
			{0, metav1.ListOptions{}, nil, ""}, {0, metav1.ListOptions{ResourceVersion: "7", Watch: true}, nil, ""}, {time.Hour, resumes, nil, "expired"},
		},
		"unreachable": {
			{0, metav1.ListOptions{}, nil, ""}, {0, resumes, refused, "connection refused"}, {time.Second, resumes, nil, "expired"},
			{0, metav1.ListOptions{}, refused, "connection refused"}, {0, metav1.ListOptions{}, nil, ""}, {0, resumes, nil, ""},
		},
		"busy": {
			{0, metav1.ListOptions{}, nil, ""}, {0, resumes, busy, "busy"}, {time.Second, resumes, nil, ""},
		},
		"streamed": {
			{0, streams, nil, ""}, {5 * time.Minute, resumes, nil, ""}, {time.Minute, resumes, nil, "expired"}, {0, streams, nil, ""},
		},
		"streamed, and broken off": {
			{0, streams, nil, ""}, {time.Second, streams, nil, "broken off"}, {0, metav1.ListOptions{}, refused, "connection refused"}, {Reconnect.Duration, streams, nil, ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &RelistPolicy{}
				var last watch.Interface
				var behind *watch.FakeWatcher
				for i, step := range steps {
					time.Sleep(step.after)
					if last != nil { // as the reflector does, before it asks again
						if last.Stop(); !behind.IsStopped() {
							t.Errorf("step %d: the watch before is not stopped", i+1)
						}
						last = nil
					}
					asked := false
					var err error
					if step.options.TimeoutSeconds == nil && !step.options.Watch {
						r.Listing(t.Context(), &step.options)
						asked, err = true, step.answer
					} else {
						last, err = r.Watch(t.Context(), step.options, func(_ context.Context, options metav1.ListOptions) (watch.Interface, error) {
							asked = true
							if options.SendInitialEvents != nil && options.ResourceVersion != "" {
								t.Errorf("a list is asked for since resourceVersion %q", options.ResourceVersion)
							}
							behind = watch.NewFake()
							return behind, step.answer
						})
					}
					got := ""
					switch {
					case apierrors.IsResourceExpired(err):
						got = "expired"
					case errors.Is(err, errBrokenOff):
						got = "broken off"
					case err != nil:
						got = err.Error()
					}
					if got != step.want || asked != (step.want == "" || step.answer != nil) {
						t.Errorf("step %d: got %q, asked %v, want %q", i+1, got, asked, step.want)
					}
				}
			})
		})
	}
}

// A list that comes after another is as the API server has it now; the first may be its cache's.
func TestListing(t *testing.T) {
	for version, want := range map[string]string{"": "", "0": "0", "7": ""} {
		options := metav1.ListOptions{ResourceVersion: version, Limit: 3}
		new(RelistPolicy).Listing(t.Context(), &options)
		if options.ResourceVersion != want || options.Limit != 3 {
			t.Errorf("resourceVersion %q: got %+v, want %q", version, options, want)
		}
	}
}

// A watch is resumed over the connection of the list alone, where all requests share one.
func TestResumptionConnection(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, r.Proto)
		}))
		server.EnableHTTP2 = protocol == "HTTP/2.0"
		server.StartTLS()
		client := server.Client()
		var dialled int
		dial := new(net.Dialer)
		client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialled++
			return dial.DialContext(ctx, network, addr)
		}
		var last *watch.FakeWatcher
		ask := func(ctx context.Context, _ metav1.ListOptions) (watch.Interface, error) {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
			if err != nil {
				return nil, err
			}
			response, err := client.Do(request)
			if err != nil {
				return nil, err
			}
			defer response.Body.Close()
			if body, err := io.ReadAll(response.Body); err != nil || string(body) != protocol {
				t.Errorf("got %q, %v, want %s", body, err, protocol)
			}
			last = watch.NewFake()
			return last, nil
		}
		r := &RelistPolicy{}
		if _, err := r.Watch(t.Context(), streams, ask); err != nil {
			t.Error(err)
		}
		if _, err := r.Watch(t.Context(), resumes, ask); err != nil || dialled != 1 {
			t.Errorf("%s, over the same connection: %v, with %d connections", protocol, err, dialled)
		}
		client.CloseIdleConnections()
		_, err := r.Watch(t.Context(), resumes, ask)
		if dialled != 2 || apierrors.IsResourceExpired(err) != (protocol == "HTTP/2.0") || last.IsStopped() != (err != nil) {
			t.Errorf("%s, over another connection: %v, with %d connections, stopped %v", protocol, err, dialled, last.IsStopped())
		}
		var options metav1.ListOptions
		if _, err := ask(r.Listing(t.Context(), &options), options); err != nil {
			t.Error(err)
		}
		if _, err := r.Watch(t.Context(), resumes, ask); err != nil {
			t.Errorf("%s, after a list over the other connection: %v", protocol, err)
		}
		server.Close()
	}
}

// What has no resourceVersion is no list, and what has failed stays so.
func TestListed(t *testing.T) {
	failure := errors.New("connection refused")
	for _, tc := range []struct {
		list metav1.ListMeta
		err  error
		want bool
	}{{metav1.ListMeta{ResourceVersion: "7"}, nil, true}, {metav1.ListMeta{}, nil, false}, {metav1.ListMeta{ResourceVersion: "7"}, failure, false}, {metav1.ListMeta{}, failure, false}} {
		request := func(context.Context, metav1.ListOptions) (*corev1.ServiceList, error) {
			return &corev1.ServiceList{ListMeta: tc.list}, tc.err
		}
		if _, err := ListReduced(t.Context(), metav1.ListOptions{}, request, nil); (err == nil) != tc.want || tc.err != nil && err != failure {
			t.Errorf("%+v: got %v", tc, err)
		}
	}
}
