package events

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	authorizationv1 "k8s.io/api/authorization/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

var eventsResource = schema.GroupResource{Group: "events.k8s.io", Resource: "events"}

// buffer is a log that is written and read at a time.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// apiServer takes Events as the API server does.
type apiServer struct {
	mu       sync.Mutex
	events   map[string]*eventsv1.Event // by namespace/name
	requests int
	refuse   func(*eventsv1.Event) error
	granted  map[string]bool // namespaces in which Events may be written, whatever refuses them
	gone     map[string]bool // names of objects that are
	away     error           // of whoever asks for objects
}

func (a *apiServer) exists(_ context.Context, p *Problem) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.gone[p.Name], a.away
}

// client returns a client of the server.
func (a *apiServer) client() kubernetes.Interface {
	client := fake.NewClientset()
	client.PrependReactor("create", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		switch object := action.(clienttesting.CreateAction).GetObject().(type) {
		case *eventsv1.Event:
			return true, object, a.create(object)
		case *authorizationv1.SelfSubjectAccessReview:
			review := object.DeepCopy()
			review.Status.Allowed = a.granted[review.Spec.ResourceAttributes.Namespace]
			return true, review, nil
		}
		return false, nil, nil
	})
	return client
}

func (a *apiServer) create(event *eventsv1.Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests++
	if a.refuse != nil {
		if err := a.refuse(event); err != nil {
			return err
		}
	}
	key := event.Namespace + "/" + event.Name
	if a.events[key] != nil {
		return apierrors.NewAlreadyExists(eventsResource, event.Name)
	}
	if a.events == nil {
		a.events = map[string]*eventsv1.Event{}
	}
	a.events[key] = event
	return nil
}

// count returns how many Events there are, of a namespace or of all.
func (a *apiServer) count(namespace string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, event := range a.events {
		if namespace == "" || event.Namespace == namespace {
			n++
		}
	}
	return n
}

// asked returns how many requests there were.
func (a *apiServer) asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests
}

// turn lets the server refuse what refuse does, nil for nothing, and forget all Events, as it does
// of each after an hour.
func (a *apiServer) turn(refuse func(*eventsv1.Event) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refuse, a.events = refuse, nil
}

// record runs f beside a recorder.
func record(t *testing.T, f func(t *testing.T, r *Recorder, server *apiServer, log *buffer)) {
	synctest.Test(t, func(t *testing.T) {
		server, log := &apiServer{}, new(buffer)
		r := newTest(server, "test", slog.New(slog.NewTextHandler(log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); r.Run(ctx) }()
		f(t, r, server, log)
		cancel()
		<-ended
	})
}

// newTest returns a Recorder that writes to the server.
func newTest(server *apiServer, instance string, log *slog.Logger) *Recorder {
	return New(server.client(), server.exists, instance, 30*time.Second, log)
}

func badHost(namespace string, n int) Problem {
	return Problem{Kind: "Ingress", Namespace: namespace, Name: fmt.Sprintf("i%d", n), UID: "uid", Reason: "InvalidHost", Note: "Host is refused"}
}

// S17: a Problem that lasts is told once, again when the API server has forgotten it, and not at all if
// it does not last.
func TestRecorderOnce(t *testing.T) {
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		f, fleeting := badHost("shop", 1), badHost("shop", 2)
		r.Replace("claims", []Problem{f, f, fleeting})
		time.Sleep(problemDelay / 2)
		r.Replace("claims", []Problem{f})
		time.Sleep(problemDelay)
		if n := server.count(""); n != 1 || server.asked() != 1 {
			t.Fatalf("%d events by %d requests, want one", n, server.asked())
		}
		r.Replace("claims", []Problem{f})
		r.Replace("another block's", []Problem{f})
		r.Replace("claims", nil)
		time.Sleep(repeatDelay / 2)
		if server.asked() != 1 {
			t.Errorf("%d requests, want one", server.asked())
		}
		server.turn(nil)
		time.Sleep(repeatDelay)
		if n := server.count(""); n != 1 {
			t.Error("what still holds was not told again after an hour")
		}
		again := f
		again.Generation = 2
		r.Replace("another block's", []Problem{again})
		time.Sleep(2 * problemDelay)
		if n := server.count(""); n != 2 {
			t.Errorf("%d events, want another one of the next generation", n)
		}
		r.Replace("another block's", nil)
		time.Sleep(2 * r.schedule.hostDelay)
		if n := len(r.Problems()); n != 0 {
			t.Errorf("%d findings are remembered, want none", n)
		}
		if got := testutil.ToFloat64(r.written.WithLabelValues("InvalidHost")); got != 3 {
			t.Errorf("minilb_controller_events_total is %v, want 3", got)
		}
		if log.String() != "" {
			t.Errorf("the log says %s", log)
		}
	})
}

// M2: a host that leads nowhere is most often one that is being set up.
func TestRecorderPatience(t *testing.T) {
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		f := badHost("shop", 1)
		f.Reason = HostNotServed
		r.Replace("claims", []Problem{f})
		time.Sleep(r.schedule.hostDelay - time.Second)
		if n := server.count(""); n != 0 {
			t.Error("it was told at once")
		}
		time.Sleep(2 * time.Second)
		if n := server.count(""); n != 1 {
			t.Errorf("%d events, want one", n)
		}
	})
}

// Two controllers write one Event.
func TestRecorderReplicas(t *testing.T) {
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		other := newTest(server, "other", slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go other.Run(ctx)
		r.Replace("claims", []Problem{badHost("shop", 1)})
		other.Replace("claims", []Problem{badHost("shop", 1)})
		time.Sleep(2 * problemDelay)
		if n := server.count(""); n != 1 || server.asked() != 2 {
			t.Errorf("%d events by %d requests, want one by two", n, server.asked())
		}
		cancel()
		synctest.Wait()
	})
}

// A namespace with any number of bad objects takes no more than its share of what is written and
// remembered, and those of others are told of none the less.
func TestRecorderFlood(t *testing.T) {
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		var findings []Problem
		for n := range 10_000 {
			findings = append(findings, badHost("evil", n))
		}
		r.Replace("claims", findings)
		r.Replace("service", []Problem{badHost("shop", 1)})
		time.Sleep(problemDelay + time.Second)
		if n := server.count("shop"); n != 1 {
			t.Errorf("%d events about another namespace, want one", n)
		}
		if n := len(r.Problems()); n != maxNamespaceProblems+1 {
			t.Errorf("%d findings are remembered, want %d", n, maxNamespaceProblems+1)
		}
		time.Sleep(time.Minute)
		if n, most := server.count("evil"), namespaceEventBurst+namespaceEventRate*62; n > most || n < most-3 {
			t.Errorf("%d events within a minute, want %d", n, most)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "too many problems to write Events of all") {
			t.Errorf("the log says %s", log)
		}
		for n := range 2 * maxOnce {
			r.Report(badHost(fmt.Sprintf("ns%d", n), n))
		}
		if n := len(r.Problems()); n > maxNamespaceProblems+1+maxOnce {
			t.Errorf("%d findings are remembered", n)
		}
	})
}

// What is due first is written first, of one namespace and of several.
func TestRecorderOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTest(&apiServer{}, "test", slog.New(slog.DiscardHandler))
		want := []string{"shop/i3", "shop/i1", "dev/i4", "shop/i2"}
		for _, id := range want {
			namespace, name, _ := strings.Cut(id, "/")
			f := badHost(namespace, 0)
			f.Name = name
			r.Replace(id, []Problem{f})
			time.Sleep(time.Millisecond)
		}
		if e, pause := r.schedule.next(); e != nil || pause != problemDelay-time.Duration(len(want))*time.Millisecond {
			t.Errorf("got %v, or a pause of %v before anything is due", e, pause)
		}
		time.Sleep(problemDelay)
		for _, id := range want {
			e, _ := r.schedule.next()
			if e == nil || e.Namespace+"/"+e.Name != id {
				t.Fatalf("got %+v, want %s", e, id)
			}
			r.write(t.Context(), e)
		}
		if e, pause := r.schedule.next(); e != nil || pause != repeatDelay {
			t.Errorf("got %v, or a pause of %v when all is told", e, pause)
		}
	})
}

// Of what is told once, so much waits as may, whatever lasts beside it.
func TestRecorderNews(t *testing.T) {
	server := &apiServer{}
	r := newTest(server, "test", slog.New(slog.DiscardHandler))
	var lasting []Problem
	for n := range 2 * maxOnce {
		lasting = append(lasting, badHost("shop", n))
	}
	r.Replace("claims", lasting)
	tellAll := func(step string, first, want int) {
		t.Helper()
		for n := range 2 * maxOnce {
			r.Report(badHost("dev", first+n))
		}
		if got := len(r.Problems()) - len(r.schedule.bySource["claims"]); got != want {
			t.Errorf("%s: %d wait, want %d", step, got, want)
		}
	}
	tellAll("at first", 0, maxOnce)
	tellAll("while they wait", 0, maxOnce)
	r.Replace("claims", nil)
	tellAll("without what lasted", 1000, maxOnce)
	const written = 3
	for range written {
		e, _ := r.schedule.next()
		if e == nil {
			t.Fatal("there is nothing to write")
		}
		r.write(t.Context(), e)
	}
	if got := len(r.Problems()); got != maxOnce-written {
		t.Errorf("%d wait once some are told, want %d", got, maxOnce-written)
	}
	tellAll("after some are told", 2000, maxOnce)
}

// All namespaces together take no more than so many a second.
func TestRecorderRate(t *testing.T) {
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		var findings []Problem
		for n := range 1000 {
			findings = append(findings, badHost(fmt.Sprintf("ns%d", n), n))
		}
		r.Replace("claims", findings)
		time.Sleep(problemDelay + 20*time.Second)
		if n, most := server.count(""), eventBurst+eventRate*20; n > most+1 || n < most-5 {
			t.Errorf("%d events within 20 seconds, want %d", n, most)
		}
	})
}

// Without a recorder nothing is recorded.
func TestNoRecorder(t *testing.T) {
	var r *Recorder
	r.Replace("claims", []Problem{badHost("shop", 1)})
	r.Report(badHost("shop", 1))
}
