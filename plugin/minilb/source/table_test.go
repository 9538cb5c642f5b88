package source

import (
	"context"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// What the reflector asks a store for by type assertion, so that the compiler would not miss it.
var (
	_ cache.ReflectorBookmarkStore = (*table[*corev1.Service, *object.Service])(nil)
	_ cache.TransformingStore      = (*table[*corev1.Service, *object.Service])(nil)
)

// D71: the objects of the first list have reached every subscriber before the table is synced,
// and only then those who wait for it are told.
func TestTableSynced(t *testing.T) {
	b := newBench(t, config.Options{})
	services, told, settled := b.services(), 0, 0
	services.subscribers = append(services.subscribers, func(_, _ *object.Service) {
		told++
		if services.synced.Load() {
			t.Error("synced before its objects were handed on")
		}
	})
	services.settled = func() {
		settled++
		if !services.synced.Load() || told != 3 {
			t.Errorf("settled with synced %v and %d objects handed on", services.synced.Load(), told)
		}
	}
	services.Add(testService("shop/a", 1, ""))
	if services.synced.Load() {
		t.Error("synced by a single object")
	}
	services.Replace([]any{testService("shop/b", 1, "")}, "1")
	if !services.synced.Load() || settled != 1 {
		t.Errorf("after the list: synced %v, settled %d times", services.synced.Load(), settled)
	}
}

// D78: whatever the API server says is news.
func TestTableEvents(t *testing.T) {
	b := newBench(t, config.Options{})
	services := b.services()
	object := testService("shop/web", 1, "")
	for name, event := range map[string]func() error{
		"list":     func() error { return services.Replace(nil, "1") },
		"added":    func() error { return services.Add(object) },
		"modified": func() error { return services.Update(object) },
		"deleted":  func() error { return services.Delete(object) },
		"bookmark": func() error { return services.Bookmark("1") },
	} {
		services.lastEvent.Store(0)
		before := time.Now()
		if err := event(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := time.Unix(0, services.lastEvent.Load()); got.Before(before) {
			t.Errorf("%s: the last event is of %v", name, got)
		}
	}
}

// A streamed list is reduced while it comes in, and a subscriber learns of each change with
// what was before.
func TestTableChanges(t *testing.T) {
	b := newBench(t, config.Options{})
	services := b.services()
	reduced, err := services.Transformer()(testService("shop/web", 1, ""))
	if _, ok := reduced.(*object.Service); !ok || err != nil {
		t.Fatalf("got %T, %v, want the reduced form", reduced, err)
	}
	var got []string
	name := func(s *object.Service) string {
		if s == nil {
			return "-"
		}
		return s.Name + "@" + time.Unix(s.Created, 0).UTC().Format("5")
	}
	services.subscribers = []func(old, new *object.Service){func(old, new *object.Service) { got = append(got, name(old)+" "+name(new)) }}
	expect := func(want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		got = nil
	}
	services.Replace([]any{reduced}, "1")
	expect("- web@1")
	// What is listed again takes the place of nothing, streamed or not.
	if again, err := services.Transformer()(testService("shop/web", 1, "")); again != reduced || err != nil {
		t.Errorf("streamed again: got %p, %v, want %p", again, err, reduced)
	}
	services.Replace([]any{testService("shop/web", 1, "")}, "1")
	expect()
	services.Update(testService("shop/web", 2, ""))
	expect("web@1 web@2")
	services.Replace([]any{testService("shop/api", 3, "")}, "2")
	expect("- api@3", "web@2 -")
	services.Delete(testService("shop/web", 2, "")) // has gone already
	expect()
	services.Delete(cache.DeletedFinalStateUnknown{Key: "shop/api", Obj: testService("shop/api", 3, "")})
	expect("api@3 -")
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
func itself(full runtime.Object) any { return full }

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
		h := &health{resource: "services", server: &server{log: log}}
		err := request(cache.ToListerWatcherWithContext(listWatch(h.observe, itself, c, "spec.type=LoadBalancer")))
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
	h := &health{resource: "services", settled: func() {}, server: &server{log: log}}
	h.observe(t.Context(), errUnwell)
	log.take()
	lw := cache.ToListerWatcherWithContext(listWatch(h.observe, itself, grantingClient{}, ""))
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
	lw := cache.ToListerWatcherWithContext(listWatch((&health{resource: "services", server: &server{log: log}}).observe, itself, &fakeClient{}, ""))
	_, err := lw.WatchWithContext(t.Context(), metav1.ListOptions{SendInitialEvents: &yes})
	if lines := log.take(); err == nil || apierrors.IsInternalError(err) || len(lines) > 0 {
		t.Errorf("got error %v and log %q, want an error of no kind and silence", err, lines)
	}
}
