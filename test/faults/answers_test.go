package faults_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// faultCase is one of the faults.
type faultCase struct {
	name  string
	fault fault
	rare  bool // tested only where all that takes long is
}

// faults are the ways in which an API server, or what stands before it, may go wrong. That a list
// which comes with status 200, of the right kind and without an object, is a lie cannot be known:
// it is not among them.
var faults = []faultCase{
	{"a second a request", func(p *faultProxy, w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Second)
		p.pass.ServeHTTP(w, r)
	}, false},
	{"status 429", statusFault(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests), false},
	{"status 429, retry after a second", retryAfter(http.StatusTooManyRequests, "1"), true},
	{"status 429, retry at once", retryAfter(http.StatusTooManyRequests, "0"), true},
	{"status 503, retry after an hour", retryAfter(http.StatusServiceUnavailable, "3600"), false},
	{"status 500", statusFault(http.StatusInternalServerError, metav1.StatusReasonInternalError), true},
	{"status 503", statusFault(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable), false},
	{"status 401", statusFault(http.StatusUnauthorized, metav1.StatusReasonUnauthorized), true},
	{"status 403", statusFault(http.StatusForbidden, metav1.StatusReasonForbidden), true},
	{"status 404 of a load balancer", func(_ *faultProxy, w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "default backend - 404", http.StatusNotFound)
	}, false},
	{"status 410", statusFault(http.StatusGone, metav1.StatusReasonExpired), true},
	{"status 410 for watches", watches(statusFault(http.StatusGone, metav1.StatusReasonExpired)), true},
	{"status 410 within watches", watches(event("ERROR", func(*http.Request) any {
		return metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: http.StatusGone, Reason: metav1.StatusReasonExpired}
	})), false},
	{"status 500 within watches", watches(event("ERROR", func(*http.Request) any {
		return metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: http.StatusInternalServerError, Reason: metav1.StatusReasonInternalError}
	})), true},
	{"bookmarks that have expired", watches(event("BOOKMARK", bookmark)), false},
	{"watches that break amid an event", watches(truncated(func() { panic(http.ErrAbortHandler) })), false},
	{"watches that end amid an event", watches(truncated(func() {})), false},
	{"watches that end at once", watches(func(_ *faultProxy, w http.ResponseWriter, _ *http.Request) {}), true},
	{"connections that break", func(p *faultProxy, w http.ResponseWriter, r *http.Request) {
		p.reset()
		panic(http.ErrAbortHandler)
	}, false},
	{"garbage for JSON", body("application/json", "{\x00\xff garbage"), true},
	{"garbage for protobuf", body("application/vnd.kubernetes.protobuf", "k8s\x00\xff\xff\xff\xff\xff garbage"), false},
	{"an object of no kind", body("application/json", "{}"), true},
	{"nothing", body("application/json", ""), true},
	{"a login page", body("text/html", "<!DOCTYPE html><title>Please log in</title>"), false},
	{"the way to a login page", func(_ *faultProxy, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/login" {
			http.Redirect(w, r, "/login", http.StatusFound)
			return
		}
		body("text/html", "<!DOCTYPE html><title>Please log in</title>")(nil, w, r)
	}, true},
}

// statusFault answers as the API server does when it fails.
func statusFault(code int32, reason metav1.StatusReason) fault {
	return func(_ *faultProxy, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(int(code))
		json.NewEncoder(w).Encode(metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Message: "this is the test", Code: code, Reason: reason,
		})
	}
}

// retryAfter says when to try again, too, in seconds.
func retryAfter(code int32, seconds string) fault {
	fails := statusFault(code, "")
	return func(p *faultProxy, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", seconds)
		fails(p, w, r)
	}
}

// watches has the fault with watches alone.
func watches(f fault) fault {
	return func(p *faultProxy, w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") == "" {
			p.pass.ServeHTTP(w, r)
			return
		}
		f(p, w, r)
	}
}

// event answers a watch with a single event and the end.
func event(kind string, object func(*http.Request) any) fault {
	return func(_ *faultProxy, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"type": kind, "object": object(r)})
	}
}

// kinds are those of the resources whose objects are watched.
var kinds = map[string]string{
	"services": "Service", "endpointslices": "EndpointSlice", "ingresses": "Ingress", "namespaces": "Namespace",
	"gatewayclasses": "GatewayClass", "gateways": "Gateway", "listenersets": "ListenerSet",
	"httproutes": "HTTPRoute", "grpcroutes": "GRPCRoute", "tlsroutes": "TLSRoute",
}

// bookmark is one with a resourceVersion that no API server knows any longer.
func bookmark(r *http.Request) any {
	dir, resource := path.Split(r.URL.Path)
	version := strings.TrimPrefix(strings.TrimPrefix(strings.Trim(dir, "/"), "apis/"), "api/")
	return map[string]any{"apiVersion": version, "kind": kinds[resource], "metadata": map[string]any{"resourceVersion": "1"}}
}

// truncated passes on the beginning of the answer, which ends within an event, and calls end.
func truncated(end func()) fault {
	return func(p *faultProxy, w http.ResponseWriter, r *http.Request) {
		p.pass.ServeHTTP(&truncatingWriter{ResponseWriter: w, left: 700}, r)
		end()
	}
}

// truncatingWriter fails once it has written so much.
type truncatingWriter struct {
	http.ResponseWriter
	left int
}

func (w *truncatingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p[:min(len(p), w.left)])
	if w.left -= n; w.left == 0 && err == nil {
		err = errors.New("truncated")
	}
	return n, err
}

// Flush implements the http.Flusher interface.
func (w *truncatingWriter) Flush() { w.ResponseWriter.(http.Flusher).Flush() }

// body answers all requests alike, with status 200.
func body(contentType, text string) fault {
	return func(_ *faultProxy, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		bytes.NewBufferString(text).WriteTo(w)
	}
}

// bound returns how many requests a program may make within a while in which all of them fail.
// Each of its watches is paced by kube.Reconnect, the pauses of which begin anew every two
// minutes, and makes three requests between two pauses at most: for a stream, for a list, and for
// that without a resourceVersion or for the watch. What is served is asked for every two seconds,
// with two requests at most while there is no answer to the first.
func bound(watches int, window time.Duration) int {
	cycles, pauses := kube.Reconnect.Steps, kube.Reconnect
	pauses.Jitter = 0
	for passed := time.Duration(0); passed <= window; passed += pauses.Step() {
		cycles++
	}
	return watches*3*cycles + 8*(int(window/time.Second)+1)
}

// TestFaultAnswers lets the API server answer wrongly in all ways, to the server and to the
// controller: what is known goes on to be answered, they do not make more requests for that, and
// catch up with what has changed once it is over.
func TestFaultAnswers(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	accounts := harness.ShippedAccounts(t, c)
	known := state{addr: "10.244.0.2", only: "known", gateways: &harness.NewestGateways}
	known.make(t, c)
	const groups = 2 // side by side, as most of it is waiting
	tested := slices.Clone(faults)
	if !harness.Full {
		tested = slices.DeleteFunc(tested, func(f faultCase) bool { return f.rare })
	}
	for group := range groups {
		t.Run(fmt.Sprint(group+1), func(t *testing.T) {
			t.Parallel()
			e := faultEpisode{group: fmt.Sprintf("group-%d", group), cluster: c, proxy: startFaultProxy(t, c)}
			e.server = harness.StartCoreDNS(t, harness.ResolverFor(e.proxy.kubeconfig(t, accounts.DNS), harness.StartUpstream(t)))
			e.server.WaitReady(t)
			p := harness.StartController(t, e.proxy.kubeconfig(t, accounts.Controller)).WaitReady(t)
			cluster.Eventually(t, convergence, func() error { return known.answered(e.server) })
			// The controller watches the same for the claims that it writes Events of, and Services for their statuses.
			e.watches = map[string]int{"minilb": len(kinds), "minilb/" + controllerVersion(t): len(kinds) + 1}

			stop := harness.KeepAsking(t, e.server, "web.world.minilb", "web.ingress.example", "http-v1.ex.org", "selected.ex.org", "set.ex.org", "tls-v1.ex.org")
			said := 0
			for i := group; i < len(tested); i += groups {
				test := tested[i]
				t.Run(test.name, func(t *testing.T) { e.run(t, test.fault) })
				// Each kind may fail in its own way, and is able to again.
				lines := len(e.server.Log.Lines("[WARNING] plugin/minilb:"))
				if lines-said > 2*len(kinds) {
					t.Errorf("%s: the server warns %d times:\n%s", test.name, lines-said, e.server.Log)
				}
				said = lines
			}
			stop()
			harness.Must(t, known.answered(e.server))
			if code, body := harness.Get(p.URL + "/readyz"); code != http.StatusOK {
				t.Errorf("the controller's /readyz is %d %s in the end", code, body)
			}
		})
	}
}

// faultEpisode is one fault after the other before the same programs.
type faultEpisode struct {
	group   string
	cluster *cluster.Cluster
	proxy   *faultProxy
	server  *harness.CoreDNS
	watches map[string]int // by user agent

	episodes int
}

func (e *faultEpisode) run(t *testing.T, f fault) {
	window := time.Second
	if harness.Full {
		window = 20 * time.Second
	}
	// What is there before goes, another Service and route come, and one changes.
	name, before := fmt.Sprintf("%s-%d", e.group, e.episodes), fmt.Sprintf("%s-%d", e.group, e.episodes-1)
	addr := fmt.Sprintf("10.244.9.%d", e.episodes)
	e.proxy.begin(f)
	began := time.Now()
	harness.Must(t, e.cluster.Apply(t.Context(), exposed("world", name, "10.244.0.9")+exposed("world", e.group, addr)+harness.GatewayRoute("HTTPRoute", "v1", name, "name: gateway-v1")))
	if e.episodes > 0 {
		harness.Must(t, e.cluster.Delete(t.Context(), exposed("world", before, addr)+harness.GatewayRoute("HTTPRoute", "v1", before, "name: gateway-v1")))
	}
	// The fault lasts for a while beyond the first request of each program.
	cluster.Eventually(t, 10*time.Second, func() error { return e.proxy.asked(e.watches) })
	time.Sleep(window)
	requests, lasted := e.proxy.end(), time.Since(began)
	over := time.Now()
	for agent, watches := range e.watches {
		if n := requests[agent]; n > bound(watches, lasted) {
			t.Errorf("%s: %d requests within %v, want %d at most", agent, n, lasted, bound(watches, lasted))
		}
	}
	cluster.Eventually(t, convergence, func() error {
		errs := []error{
			e.server.Expect(name+".world.minilb", dns.TypeA, "10.244.0.9"), e.server.Expect(name+".ex.org", dns.TypeA, harness.GatewayPod),
			e.server.Expect(e.group+".world.minilb", dns.TypeA, addr),
		}
		if e.episodes > 0 {
			errs = append(errs, state{only: before}.forgotten(e.server))
		}
		return errors.Join(errs...)
	})
	took := time.Since(over)
	harness.ExpectStatus(t, e.cluster, "world", name, name+".world.minilb")
	t.Logf("%v requests within %v, of at most %d; caught up after %v", requests, lasted.Round(time.Millisecond), bound(len(kinds), lasted), took.Round(time.Millisecond))
	e.episodes++
}

// controllerVersion returns the version in the controller's user agent.
func controllerVersion(t *testing.T) string {
	t.Helper()
	out, err := harness.Minilb(t, "version").Output()
	harness.Must(t, err)
	return strings.Fields(string(out))[1]
}
