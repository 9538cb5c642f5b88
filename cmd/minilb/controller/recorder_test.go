package controller

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
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var eventsResource = schema.GroupResource{Group: "events.k8s.io", Resource: "events"}

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

func (a *apiServer) there(_ context.Context, object *corev1.ObjectReference) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.gone[object.Name], a.away
}

func (a *apiServer) may(_ context.Context, namespace string) bool { return a.granted[namespace] }

func (a *apiServer) create(_ context.Context, event *eventsv1.Event) error {
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
func record(t *testing.T, f func(t *testing.T, r *recorder, server *apiServer, log *buffer)) {
	synctest.Test(t, func(t *testing.T) {
		server, log := &apiServer{}, new(buffer)
		r := newRecorder(server.create, server.may, server.there, "test", duration(t, becoming), slog.New(slog.NewTextHandler(log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); r.run(ctx) }()
		f(t, r, server, log)
		cancel()
		<-ended
	})
}

// duration parses one that is a string for whoever links.
func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func badHost(namespace string, n int) finding {
	return finding{kind: "Ingress", namespace: namespace, name: fmt.Sprintf("i%d", n), uid: "uid", reason: reasonInvalidHost, note: "Host is refused"}
}

// S17: a finding that lasts is told once, again when the API server has forgotten it, and not at all if
// it does not last.
func TestRecorderOnce(t *testing.T) {
	record(t, func(t *testing.T, r *recorder, server *apiServer, log *buffer) {
		f, fleeting := badHost("shop", 1), badHost("shop", 2)
		r.replace("claims", []finding{f, f, fleeting})
		time.Sleep(settling / 2)
		r.replace("claims", []finding{f})
		time.Sleep(settling)
		if n := server.count(""); n != 1 || server.asked() != 1 {
			t.Fatalf("%d events by %d requests, want one", n, server.asked())
		}
		r.replace("claims", []finding{f})
		r.replace("another stanza's", []finding{f})
		r.replace("claims", nil)
		time.Sleep(renewal / 2)
		if server.asked() != 1 {
			t.Errorf("%d requests, want one", server.asked())
		}
		server.turn(nil)
		time.Sleep(renewal)
		if n := server.count(""); n != 1 {
			t.Error("what still holds was not told again after an hour")
		}
		again := f
		again.generation = 2
		r.replace("another stanza's", []finding{again})
		time.Sleep(2 * settling)
		if n := server.count(""); n != 2 {
			t.Errorf("%d events, want another one of the next generation", n)
		}
		r.replace("another stanza's", nil)
		time.Sleep(2 * r.becoming)
		if n := r.count(); n != 0 {
			t.Errorf("%d findings are remembered, want none", n)
		}
		if got := testutil.ToFloat64(r.written.WithLabelValues(reasonInvalidHost)); got != 3 {
			t.Errorf("minilb_controller_events_total is %v, want 3", got)
		}
		if log.String() != "" {
			t.Errorf("the log says %s", log)
		}
	})
}

// M2: a host that leads nowhere is most often one that is being set up.
func TestRecorderPatience(t *testing.T) {
	record(t, func(t *testing.T, r *recorder, server *apiServer, log *buffer) {
		f := badHost("shop", 1)
		f.reason = reasonHostNotServed
		r.replace("claims", []finding{f})
		time.Sleep(r.becoming - time.Second)
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
	record(t, func(t *testing.T, r *recorder, server *apiServer, log *buffer) {
		other := newRecorder(server.create, server.may, server.there, "other", duration(t, becoming), slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go other.run(ctx)
		r.replace("claims", []finding{badHost("shop", 1)})
		other.replace("claims", []finding{badHost("shop", 1)})
		time.Sleep(2 * settling)
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
	record(t, func(t *testing.T, r *recorder, server *apiServer, log *buffer) {
		var findings []finding
		for n := range 10_000 {
			findings = append(findings, badHost("evil", n))
		}
		r.replace("claims", findings)
		r.replace("service", []finding{badHost("shop", 1)})
		time.Sleep(settling + time.Second)
		if n := server.count("shop"); n != 1 {
			t.Errorf("%d events about another namespace, want one", n)
		}
		if n := r.count(); n != maxNamespaceFindings+1 {
			t.Errorf("%d findings are remembered, want %d", n, maxNamespaceFindings+1)
		}
		time.Sleep(time.Minute)
		if n, most := server.count("evil"), namespaceEventBurst+namespaceEventRate*62; n > most || n < most-3 {
			t.Errorf("%d events within a minute, want %d", n, most)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "more is wrong than events are written of") {
			t.Errorf("the log says %s", log)
		}
		for n := range 2 * maxNews {
			r.tell(badHost(fmt.Sprintf("ns%d", n), n))
		}
		if n := r.count(); n > maxNamespaceFindings+1+maxNews {
			t.Errorf("%d findings are remembered", n)
		}
	})
}

// What is due first is written first, of one namespace and of several.
func TestRecorderOrder(t *testing.T) {
	now := time.Unix(1e9, 0)
	r := newRecorder((&apiServer{}).create, (&apiServer{}).may, (&apiServer{}).there, "test", duration(t, becoming), slog.New(slog.DiscardHandler))
	r.now = func() time.Time { return now }
	want := []string{"shop/i3", "shop/i1", "dev/i4", "shop/i2"}
	for _, id := range want {
		namespace, name, _ := strings.Cut(id, "/")
		f := badHost(namespace, 0)
		f.name = name
		r.replace(id, []finding{f})
		now = now.Add(time.Millisecond)
	}
	if _, event, pause := r.next(); event != nil || pause != settling-time.Duration(len(want))*time.Millisecond {
		t.Errorf("got %v, or a pause of %v before anything is due", event, pause)
	}
	now = now.Add(settling)
	for _, id := range want {
		key, event, _ := r.next()
		if event == nil || event.Regarding.Namespace+"/"+event.Regarding.Name != id {
			t.Fatalf("got %+v, want %s", event, id)
		}
		r.write(t.Context(), key, event)
	}
	if _, event, pause := r.next(); event != nil || pause != renewal {
		t.Errorf("got %v, or a pause of %v when all is told", event, pause)
	}
}

// Of what is told once, so much waits as may, whatever lasts beside it.
func TestRecorderNews(t *testing.T) {
	server := &apiServer{}
	r := newRecorder(server.create, server.may, server.there, "test", duration(t, becoming), slog.New(slog.DiscardHandler))
	var lasting []finding
	for n := range 2 * maxNews {
		lasting = append(lasting, badHost("shop", n))
	}
	r.replace("claims", lasting)
	tellAll := func(step string, first, want int) {
		t.Helper()
		for n := range 2 * maxNews {
			r.tell(badHost("dev", first+n))
		}
		if got := r.count() - len(r.topics["claims"]); got != want {
			t.Errorf("%s: %d wait, want %d", step, got, want)
		}
	}
	tellAll("at first", 0, maxNews)
	tellAll("while they wait", 0, maxNews)
	r.replace("claims", nil)
	tellAll("without what lasted", 1000, maxNews)
	const written = 3
	for range written {
		key, event, _ := r.next()
		if event == nil {
			t.Fatal("there is nothing to write")
		}
		r.write(t.Context(), key, event)
	}
	if got := r.count(); got != maxNews-written {
		t.Errorf("%d wait once some are told, want %d", got, maxNews-written)
	}
	tellAll("after some are told", 2000, maxNews)
}

// All namespaces together take no more than so many a second.
func TestRecorderRate(t *testing.T) {
	record(t, func(t *testing.T, r *recorder, server *apiServer, log *buffer) {
		var findings []finding
		for n := range 1000 {
			findings = append(findings, badHost(fmt.Sprintf("ns%d", n), n))
		}
		r.replace("claims", findings)
		time.Sleep(settling + 20*time.Second)
		if n, most := server.count(""), eventBurst+eventRate*20; n > most+1 || n < most-5 {
			t.Errorf("%d events within 20 seconds, want %d", n, most)
		}
	})
}

// Without a recorder nothing is recorded.
func TestNoRecorder(t *testing.T) {
	var r *recorder
	r.replace("claims", []finding{badHost("shop", 1)})
	r.tell(badHost("shop", 1))
}
