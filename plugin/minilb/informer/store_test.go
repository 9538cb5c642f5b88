package informer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// What the reflector asks a store for by type assertion, so that the compiler would not miss it.
var (
	_ cache.ReflectorBookmarkStore = (*Store[*corev1.Service, *thing])(nil)
	_ cache.TransformingStore      = (*Store[*corev1.Service, *thing])(nil)
)

// thing is what is kept of a Service here.
type thing struct {
	namespace, name string
	created         int64
}

func (t *thing) Key() cache.ObjectName { return cache.NewObjectName(t.namespace, t.name) }

func newThing(s *corev1.Service) *thing {
	if s.Labels["ignore"] != "" {
		return nil
	}
	return &thing{s.Namespace, s.Name, s.CreationTimestamp.Unix()}
}

func newThings(server *Server) *Store[*corev1.Service, *thing] {
	server.Log = cmp.Or(server.Log, Logger(&testLog{}))
	return NewStore(server.Watch(Resource{Kind: "thing", Name: "things"}, nil), newThing)
}

func testService(id string, created int64) *corev1.Service {
	namespace, name, _ := strings.Cut(id, "/")
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, CreationTimestamp: metav1.Unix(created, 0)}}
}

// D71: the objects of the first list have reached every subscriber before the store is Listed,
// and only then those who wait for it are told.
func TestStoreListed(t *testing.T) {
	server := &Server{}
	things, handed, settled := newThings(server), 0, 0
	things.Subscribe(func(_, _ *thing) {
		handed++
		if things.State() == Listed {
			t.Error("listed before its objects were handed on")
		}
	})
	server.OnStatus = func() {
		settled++
		if things.State() != Listed || handed != 3 {
			t.Errorf("reported in state %v, with %d objects handed on", things.State(), handed)
		}
	}
	things.Add(testService("shop/a", 1))
	if things.State() != Unknown {
		t.Error("listed by a single object")
	}
	things.Replace([]any{testService("shop/b", 1)}, "1")
	things.Replace([]any{testService("shop/b", 1)}, "1")
	if things.State() != Listed || settled != 1 {
		t.Errorf("after the list: state %v, reported %d times", things.State(), settled)
	}
}

// D78: whatever the API server says is news.
func TestStoreEvents(t *testing.T) {
	things := newThings(&Server{})
	object := testService("shop/web", 1)
	if !things.LastEvent().IsZero() {
		t.Error("there was an event already")
	}
	for name, event := range map[string]func() error{
		"list":     func() error { return things.Replace(nil, "1") },
		"added":    func() error { return things.Add(object) },
		"modified": func() error { return things.Update(object) },
		"deleted":  func() error { return things.Delete(object) },
		"bookmark": func() error { return things.Bookmark("1") },
	} {
		things.lastEvent.Store(0)
		before := time.Now()
		if err := event(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := things.LastEvent(); got.Before(before) {
			t.Errorf("%s: the last event is of %v", name, got)
		}
	}
}

// A streamed list is reduced while it comes in, and a subscriber learns of each change with
// what was before.
func TestStoreChanges(t *testing.T) {
	changes := 0
	things := newThings(&Server{OnChange: func() { changes++ }})
	stream := func(obj any) any {
		streamed, err := things.Transformer()(obj)
		if err != nil {
			t.Error(err)
		}
		return streamed
	}
	reduced := stream(testService("shop/web", 1))
	if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(reduced); key != "shop/web" || err != nil {
		t.Errorf("got key %q, %v", key, err)
	}
	var got []string
	name := func(s *thing) string {
		if s == nil {
			return "-"
		}
		return fmt.Sprintf("%s@%d", s.name, s.created)
	}
	things.Subscribe(func(old, new *thing) { got = append(got, name(old)+" "+name(new)) })
	expect := func(want ...string) {
		t.Helper()
		if !slices.Equal(got, want) || changes != len(want) {
			t.Errorf("got %q and %d changes, want %q", got, changes, want)
		}
		got, changes = nil, 0
	}
	things.Replace([]any{reduced}, "1")
	expect("- web@1")
	before, _ := things.Get(cache.NewObjectName("shop", "web"))
	// What is listed again takes the place of nothing, streamed or not.
	if again := stream(testService("shop/web", 1)).(*item).kept[0]; again != before {
		t.Errorf("streamed again: got %p, want %p", again, before)
	}
	things.Replace([]any{testService("shop/web", 1)}, "1")
	expect()
	things.Update(testService("shop/web", 2))
	expect("web@1 web@2")
	things.Replace([]any{testService("shop/api", 3)}, "2")
	expect("- api@3", "web@2 -")
	things.Delete(testService("shop/web", 2)) // has gone already
	expect()
	things.Delete(cache.DeletedFinalStateUnknown{Key: "shop/api", Obj: testService("shop/api", 3)})
	expect("api@3 -")
	// What is left out is as if it were not there, whichever way it comes.
	ignored := testService("shop/web", 4)
	ignored.Labels = map[string]string{"ignore": "yes"}
	things.Update(testService("shop/web", 3))
	expect("- web@3")
	things.Update(ignored)
	expect("web@3 -")
	things.Replace([]any{testService("shop/web", 3)}, "3")
	expect("- web@3")
	things.Replace([]any{stream(ignored), ignored}, "4")
	expect("web@3 -")
}

// What a snapshot has is there until the API server lists, or refuses to show, an optional kind.
func TestStoreSeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := []*thing{{"shop", "web", 1}}
		for _, optional := range []bool{false, true} {
			things := newThings(&Server{})
			things.Optional = optional
			if things.Seed(seed); things.State() != Restored || len(things.List()) != 1 {
				t.Errorf("got state %v with %v", things.State(), things.List())
			}
			things.Observe(t.Context(), errForbidden)
			time.Sleep(forbiddenGrace)
			if things.Observe(t.Context(), errForbidden); (things.State() == Forbidden) != optional || (len(things.List()) == 0) != optional {
				t.Errorf("forbidden, optional %v: got state %v with %v", optional, things.State(), things.List())
			}
			if things.Seed(seed); (len(things.List()) == 0) != optional {
				t.Errorf("restored again, optional %v: got %v", optional, things.List())
			}
			things.Replace(nil, "1")
			if things.Seed(seed); things.State() != Listed || len(things.List()) > 0 {
				t.Errorf("listed: got state %v with %v", things.State(), things.List())
			}
		}
	})
}

// Whoever deals with the outcome of a request keeps it from the state.
func TestStoreOnRequest(t *testing.T) {
	things := newThings(&Server{})
	things.OnRequest = func(_ context.Context, err error) bool { return err == errAbsent }
	if things.Observe(t.Context(), errAbsent); things.Failure() != nil {
		t.Error("it is observed")
	}
	if things.Observe(t.Context(), errUnwell); things.Failure() == nil {
		t.Error("it is not observed")
	}
}

// fakeClient fails all requests.
type fakeClient struct{ selectors []string }

func (c *fakeClient) List(_ context.Context, options metav1.ListOptions) (*corev1.ServiceList, error) {
	c.selectors = append(c.selectors, options.FieldSelector)
	return nil, errUnwell
}

func (c *fakeClient) Watch(_ context.Context, options metav1.ListOptions) (watch.Interface, error) {
	c.selectors = append(c.selectors, options.FieldSelector)
	return nil, errUnwell
}

// itself keeps objects as they are.
func itself(full runtime.Object) runtime.Object { return full }

// Both kinds of request are limited by the selector, and seen by the table's health.
func TestListWatch(t *testing.T) {
	for name, request := range map[string]func(cache.ListerWatcherWithContext) error{
		"list": func(lw cache.ListerWatcherWithContext) error {
			_, err := lw.ListWithContext(t.Context(), metav1.ListOptions{})
			return err
		},
		"watch": func(lw cache.ListerWatcherWithContext) error {
			_, err := lw.WatchWithContext(t.Context(), metav1.ListOptions{})
			return err
		},
	} {
		c, log := &fakeClient{}, &testLog{}
		h := (&Server{Log: log}).Watch(Resource{Name: "services"}, nil)
		err := request(cache.ToListerWatcherWithContext(listWatch(h.Observe, h.listed, itself, c, "spec.type=LoadBalancer")))
		if lines := log.take(); err == nil || len(lines) != 1 {
			t.Errorf("%s: got error %v and log %q, want one line", name, err, lines)
		}
		if got := apierrors.IsInternalError(err); !got {
			t.Errorf("%s: got error %v, want the client's", name, err)
		}
		if len(c.selectors) != 1 || c.selectors[0] != "spec.type=LoadBalancer" {
			t.Errorf("%s: got selectors %q", name, c.selectors)
		}
	}
}

// A watch that is granted shows that the kind can be read again.
func TestListWatchGranted(t *testing.T) {
	log := &testLog{}
	h := (&Server{Log: log}).Watch(Resource{Name: "services"}, nil)
	h.Observe(t.Context(), errUnwell)
	log.take()
	lw := cache.ToListerWatcherWithContext(listWatch(h.Observe, h.listed, itself, grantingClient{}, ""))
	if _, err := lw.WatchWithContext(t.Context(), metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	if lines := log.take(); !slices.Equal(lines, []string{"I services: can be read again"}) {
		t.Errorf("got the log %q", lines)
	}
}

// grantingClient grants all watches.
type grantingClient struct{}

func (grantingClient) List(context.Context, metav1.ListOptions) (*corev1.ServiceList, error) {
	return &corev1.ServiceList{}, nil
}

func (grantingClient) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	return watch.NewFake(), nil
}

// A server that does not stream its first list is asked for an ordinary one before anything is
// said, and not waited for, as the reflector would by what the error is.
func TestListWatchStream(t *testing.T) {
	yes, log := true, &testLog{}
	h := (&Server{Log: log}).Watch(Resource{Name: "services"}, nil)
	lw := cache.ToListerWatcherWithContext(listWatch(h.Observe, h.listed, itself, &fakeClient{}, ""))
	_, err := lw.WatchWithContext(t.Context(), metav1.ListOptions{SendInitialEvents: &yes})
	if lines := log.take(); err == nil || apierrors.IsInternalError(err) || len(lines) > 0 {
		t.Errorf("got error %v and log %q, want an error of no kind and silence", err, lines)
	}
}

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

// A kind that can be listed and not watched is an outage: nothing is heard of what changes.
func TestListedNotWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &testLog{}
		services := NewStore((&Server{Log: log}).Watch(Resource{Name: "services"}, nil), newThing)
		lw := cache.ToListerWatcherWithContext(listWatch(services.Observe, services.listed, itself, listingClient{}, ""))
		for range 5 {
			if _, err := lw.ListWithContext(t.Context(), metav1.ListOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := services.Replace(nil, "1"); err != nil {
				t.Fatal(err)
			}
			if _, err := lw.WatchWithContext(t.Context(), metav1.ListOptions{}); err == nil {
				t.Fatal("no error")
			}
			time.Sleep(forbiddenGrace)
		}
		if lines := log.take(); len(lines) != 1 || services.Failure() == nil || services.State() != Listed {
			t.Errorf("got the log %q, %v and state %v, want one line of what fails", lines, services.Failure(), services.State())
		}
		services.Observe(t.Context(), nil)
		if lines := log.take(); !slices.Equal(lines, []string{"I services: can be read again"}) {
			t.Errorf("once it can be watched: got the log %q", lines)
		}
	})
}

// listingClient grants lists and no watch.
type listingClient struct{}

func (listingClient) List(context.Context, metav1.ListOptions) (*corev1.ServiceList, error) {
	return &corev1.ServiceList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}, nil
}

func (listingClient) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	return nil, errForbidden
}
