package cluster

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/object"
)

var (
	errForbidden   = apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "", errors.New("no"))
	errUnwell      = apierrors.NewInternalError(errors.New("etcd"))
	errUnreachable = &url.Error{Op: "Get", URL: "https://api.example/x", Err: errors.New("connection refused")}
)

// silence is a log that nobody reads.
type silence struct{}

func (silence) Infof(string, ...any) {}

func (silence) Warningf(string, ...any) {}

func (silence) Errorf(string, ...any) {}

func newCluster(t *testing.T) *Cluster {
	c, err := New(&rest.Config{Host: "https://api.example"}, silence{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Run waits for all that it has started.
func TestRunWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ended := newCluster(t), false
		c.run = []func(context.Context){func(ctx context.Context) {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended = true
		}}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if c.Run(ctx); !ended {
			t.Error("Run returned before what it had started")
		}
	})
}

// Each kind is watched once a namespace, however often it is asked for.
func TestStores(t *testing.T) {
	c := newCluster(t)
	for range 2 {
		c.Services("a")
		c.Services("b")
		c.EndpointSlices("")
		c.Ingresses("")
		c.GatewayClasses()
		c.Gateways("a")
		c.Namespaces("a")
		c.Routes(object.KindHTTPRoute, "a")
		c.Routes(object.KindTLSRoute, "a")
		c.ListenerSets(object.KindListenerSet, "a")
	}
	if len(c.stores) != 10 || len(c.Watches) != 11 || len(c.run) != 5 { // discovery is a watch as well, and runs the last six
		t.Errorf("got %d stores, %d watches and %d to run", len(c.stores), len(c.Watches), len(c.run))
	}
	if c.Services("a") == c.Services("b") || c.Routes(object.KindHTTPRoute, "a") == c.Routes(object.KindTLSRoute, "a") {
		t.Error("two kinds or namespaces share a store")
	}
}

// What is read of objects is what all blocks need.
func TestRequire(t *testing.T) {
	c := newCluster(t)
	c.Require(&config.Options{Class: "a", HostAnnotations: []string{"x"}, HTTPS: true}, false)
	c.Require(&config.Options{Class: "a", DefaultClass: true, HostAnnotations: []string{"y", "x"}, Probe: time.Second}, true)
	f := &c.fields
	slices.Sort(f.Classes)
	slices.Sort(f.HostAnnotations)
	if !slices.Equal(f.Classes, []string{"", "a"}) || !slices.Equal(f.HostAnnotations, []string{"x", "y"}) || !f.HTTPS || !f.Nodes || !f.Identity || f.Unexposed {
		t.Errorf("got %+v", f)
	}
	if c.RequireAll(); !f.Unexposed {
		t.Errorf("got %+v", f)
	}
}

// G3: the first version that is served.
func TestVersions(t *testing.T) {
	for _, tc := range []struct{ served, kind, want string }{
		{"tlsroutes/v1alpha2 tlsroutes/v1alpha3", object.KindTLSRoute, "v1alpha3"},
		{"tlsroutes/v1alpha2", object.KindTLSRoute, "v1alpha2"},
		{"tlsroutes/v1 tlsroutes/v1alpha2", object.KindTLSRoute, "v1"},
		{"gateways/v1", object.KindTLSRoute, ""},
		{"gateways/v1beta1", object.KindGateway, "v1beta1"},
		{"gatewayclasses/v1beta1", object.KindGatewayClass, "v1beta1"},
		{"gatewayclasses/v1beta1 gatewayclasses/v1", object.KindGatewayClass, "v1"},
		{"grpcroutes/v1alpha2 grpcroutes/v1", object.KindGRPCRoute, "v1"},
		{"httproutes/v1beta1 httproutes/v1", object.KindHTTPRoute, "v1"},
		{"httproutes/v1alpha2", object.KindHTTPRoute, ""},
		{"grpcroutes/v1alpha2", object.KindGRPCRoute, "v1alpha2"},
		{"xlistenersets/v1alpha1", object.KindXListenerSet, "v1alpha1"},
	} {
		served := informer.Served{}
		for _, resource := range strings.Fields(tc.served) {
			name, version, _ := strings.Cut(resource, "/")
			served[schema.GroupVersionResource{Group: Versions[tc.kind][0].Group, Version: version, Resource: name}] = true
		}
		if got := served.First(Versions[tc.kind]).Version; got != tc.want {
			t.Errorf("%s of %s: got %q, want %q", tc.kind, tc.served, got, tc.want)
		}
	}
}

// The connections end with Run.
func TestConnections(t *testing.T) {
	var mu sync.Mutex
	open, asked := map[net.Conn]bool{}, map[string]bool{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.URL.Path+r.URL.Query().Get("watch")] = true
		http.NotFound(w, r)
	}))
	server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if open[conn] = true; state == http.StateClosed {
			delete(open, conn)
		}
	}
	count := func(of func() int) int {
		mu.Lock()
		defer mu.Unlock()
		return of()
	}
	server.Start()
	defer server.Close()
	c, err := New(&rest.Config{Host: server.URL}, silence{})
	if err != nil {
		t.Fatal(err)
	}
	c.Services("")
	c.EndpointSlices("")
	if !c.NeverAnswered() {
		t.Error("it has answered before it was asked")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx)
	}()
	eventually := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}
	// Both kinds' first stream and the list that follows it; then nothing is on its way for a while.
	eventually("not both kinds are asked for", func() bool { return count(func() int { return len(asked) }) == 4 })
	cancel()
	<-done
	if c.NeverAnswered() {
		t.Error("404 is no answer")
	}
	eventually("connections are left", func() bool { return count(func() int { return len(open) }) == 0 })
}

// What is said again is why the API server cannot be read, or else a kind that no zone can do without.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(&rest.Config{Host: "https://api.example"}, silence{})
		if err != nil {
			t.Fatal(err)
		}
		ingresses, services := c.Ingresses("").Status, c.Services("").Status
		for _, step := range []struct {
			h    *informer.Status
			err  error
			want string // begin of it, "" for none
		}{
			{services, nil, ""},
			{ingresses, errUnwell, ""},
			{services, errForbidden, "services: list and watch is forbidden"},
			{services, errUnreachable, "cannot reach the API server at api.example"},
			{services, nil, ""},
		} {
			step.h.Observe(t.Context(), step.err)
			time.Sleep(2 * time.Second)
			step.h.Observe(t.Context(), step.err)
			if got := c.Trouble(); !strings.HasPrefix(got, step.want) || (step.want == "") != (got == "") {
				t.Errorf("%v of %s: got %q, want %q", step.err, step.h.Name, got, step.want)
			}
		}
		services.Observe(t.Context(), errUnwell)
		services.Set(informer.Listed)
		if got := c.Trouble(); got != "" {
			t.Errorf("a kind that is known: got %q", got)
		}
	})
}
