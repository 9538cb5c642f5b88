package translator

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/cluster"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// testLog collects log lines.
type testLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *testLog) log(level, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, level+" "+fmt.Sprintf(format, args...))
}

func (l *testLog) Infof(format string, args ...any) { l.log("I", format, args...) }

func (l *testLog) Warningf(format string, args ...any) { l.log("W", format, args...) }

func (l *testLog) Errorf(format string, args ...any) { l.log("E", format, args...) }

func (l *testLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

// seeded draws the same numbers in each run, and says by which seed if the test fails.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	const seed = 1
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("drawn at random with seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 2))
}

// bench is a Translator whose tables the test fills by hand, as a reflector would.
type bench struct {
	t        testing.TB
	log      *testLog
	watcher  *Translators
	clients  *cluster.Clients
	index    *records.Index
	claims   *Claims
	tr       *Translator // nil for Claims alone
	observed []time.Duration
}

// testFields are what a bench reads of objects.
var testFields = &object.Fields{Classes: []string{lb.DefaultClass}, HostAnnotations: []string{lb.HostAnnotation}}

func newBench(t testing.TB, options config.Options) *bench {
	return newBenchFor(t, options, testClients(t))
}

// testClients are of an API server that nobody asks.
func testClients(t testing.TB) *cluster.Clients {
	clients, err := cluster.NewClients(&rest.Config{Host: "https://api.example"})
	if err != nil {
		t.Fatal(err)
	}
	return clients
}

func newBenchFor(t testing.TB, options config.Options, clients *cluster.Clients) *bench {
	b := emptyBench(t, &options, clients)
	b.index = records.NewIndex(slices.Concat(options.Zones, options.ReverseZones))
	b.tr = NewTranslator(b.watcher, options, b.index, Hooks{ObserveLatency: func(d time.Duration) { b.observed = append(b.observed, d) }})
	b.claims = b.tr.Claims
	return b
}

// emptyBench completes the options of a bench that has nothing to fill yet.
func emptyBench(t testing.TB, options *config.Options, clients *cluster.Clients) *bench {
	b := &bench{t: t, log: &testLog{}, clients: clients}
	b.watcher = newTranslators(cluster.NewForClients(clients, b.log), b.log)
	if options.Zones == nil {
		options.Zones = []string{"minilb."}
	}
	options.Class = cmp.Or(options.Class, lb.DefaultClass)
	if options.HostAnnotations == nil {
		options.HostAnnotations = []string{lb.HostAnnotation}
	}
	options.Services, options.Ingresses = true, true
	return b
}

func (b *bench) services() *cluster.Services { return b.watcher.Services("") }

// sync lets the first lists arrive with what the tables hold.
func (b *bench) sync() {
	b.services().Set(informer.Listed)
	b.watcher.LabelledServices("").Set(informer.Listed)
	if b.tr != nil {
		b.watcher.EndpointSlices("").Set(informer.Listed)
	}
	for _, h := range b.claims.optional {
		h.Set(informer.Listed)
	}
	b.claims.changed()
	b.publish()
}

// publish does what run does for a change, and returns the log.
func (b *bench) publish() []string {
	if b.tr != nil {
		b.tr.publish()
	} else {
		b.claims.publish()
	}
	return b.log.take()
}

// problems returns those of all claims and objects.
func (b *bench) problems() []object.Problem { return b.tr.View().Problems() }

func (b *bench) pending() bool {
	select {
	case <-b.claims.wake:
		return true
	default:
		return false
	}
}

// addrs returns what name is answered with, or "-" if it is not there.
func (b *bench) addrs(name string) string {
	result, node := b.index.Lookup(b.index.Zone(name), name)
	switch {
	case result != records.Found:
		return "-"
	case node.Target != "":
		return node.Target
	}
	var parts []string
	for _, a := range slices.Concat(node.Addrs.Load().V4, node.Addrs.Load().V6) {
		parts = append(parts, a.String())
	}
	return strings.Join(parts, " ")
}

func (b *bench) want(name, want string) {
	b.t.Helper()
	if got := b.addrs(name); got != want {
		b.t.Errorf("%s: got %q, want %q", name, got, want)
	}
}

func testService(id string, created int64, hosts string) *corev1.Service {
	namespace, name, _ := strings.Cut(id, "/")
	class := lb.DefaultClass
	obj := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, CreationTimestamp: metav1.Unix(created, 0)}}
	obj.Spec.Type, obj.Spec.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, &class
	if hosts != "" {
		obj.Annotations = map[string]string{lb.HostAnnotation: hosts, "other": "ignored"}
	}
	return obj
}

func serviceSlice(service, name string, endpoints ...string) *object.EndpointSlice {
	s := testSlice(name, "IPv4", endpoints...)
	namespace, svc, _ := strings.Cut(service, "/")
	s.Namespace, s.Service = namespace, svc
	return s
}
