package source

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// client lists and watches one resource, as the typed clients of client-go do. L is its list type.
type client[L list] interface {
	List(ctx context.Context, options metav1.ListOptions) (L, error)
	Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
}

// list is what all list types of the API have in common.
type list interface {
	runtime.Object
	metav1.ListInterface
}

// table holds the objects of one kind, in one namespace or all, reduced to what is needed of
// them: T, a pointer, is that form, R the API's. The reflector writes into it straight from the watch, so
// that an event has reached every subscriber when its call returns, with no queue in between.
type table[R runtime.Object, T keyed] struct {
	*health
	reduce   func(R) T
	editions editions // of the objects, if they are judged
	scope    string   // what snapshots tell it by from others of its kind: the namespace, "" for all

	mu      sync.Mutex // held by whoever changes the objects until all subscribers know
	objects map[cache.ObjectName]T

	// subscribers are told of each change: old is nil for a new object, new for a deleted
	// one. They are fixed before the reflector starts.
	subscribers []func(old, new T)
}

// object is the reduced form of an API object, immutable once it is in a table. The accessor
// is what client-go's stores take the key from.
type keyed interface {
	Key() cache.ObjectName
	metav1.ObjectMetaAccessor
}

// run fills the table from the API server until the context is cancelled.
func (t *table[R, T]) run(ctx context.Context, lw cache.ListerWatcher) {
	var expected R
	t.begin()
	runReflector(ctx, t.kind, lw, expected, t)
}

// observe takes note of a request's outcome. What was restored of a kind that only adds names goes
// when the API server refuses to show it; the others stay, as what was read before a refusal does.
func (t *table[R, T]) observe(ctx context.Context, err error) {
	t.health.observe(ctx, err)
	if t.optional && t.refused.Load() && t.restored.Load() {
		t.discard()
	}
}

// runReflector writes what the API server lists and watches into the store until the context
// is cancelled.
func runReflector(ctx context.Context, name string, lw cache.ListerWatcher, expected any, store cache.ReflectorStore) {
	backoff := kube.Reconnect
	reflector := cache.NewReflectorWithOptions(lw, expected, store, cache.ReflectorOptions{Name: name, Backoff: &backoff})
	// Its own log lines would repeat with each attempt what health says once.
	reflector.RunWithContext(klog.NewContext(ctx, klog.Logger{}))
}

// listWatch wraps a typed client so that observe sees the outcome of each request, so that a list is
// reduced page by page, and so that a watch is resumed only if it is the same API server's.
func listWatch[L list](observe func(context.Context, error), reduce func(runtime.Object) any, c client[L], selector string) cache.ListerWatcher {
	resumption := &kube.RelistPolicy{}
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = selector
			list, err := kube.ListReduced(resumption.Listing(ctx, &options), options, c.List, reduce)
			observe(ctx, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = selector
			w, err := resumption.Watch(ctx, options, c.Watch)
			if err != nil && options.SendInitialEvents != nil {
				// A server that cannot stream its first list may just be old. The reflector
				// turns to an ordinary list at once; told the error as it is, it would
				// rather sleep on, beyond the end of the context, while the server is away.
				return nil, fmt.Errorf("stream the first list: %v", err)
			}
			if err == nil && options.SendInitialEvents != nil {
				return w, nil // it may yet break off before it has told all; Replace observes that it has
			}
			observe(ctx, err)
			return w, err
		},
	}, c)
}

// Transformer implements the cache.TransformingStore interface, so that a streamed list is
// reduced object by object and never stands in memory as a whole.
func (t *table[R, T]) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) { return t.known(obj), nil }
}

// keep is known for a list's pages.
func (t *table[R, T]) keep(full runtime.Object) any { return t.known(full) }

// known returns obj in its reduced form: the one that is in the table if there is nothing new in
// it, so that a list that comes again takes no memory and changes nothing.
func (t *table[R, T]) known(obj any) T {
	reduced := t.reduced(obj)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.same(reduced)
}

// same returns the object that is in the table, if it is the same as this one. It is called with
// the lock held, as is all below that takes none.
func (t *table[R, T]) same(reduced T) T {
	if old, exists := t.objects[reduced.Key()]; exists && reflect.DeepEqual(old, reduced) {
		return old
	}
	return reduced
}

// reduced returns obj in its reduced form, whichever it comes in.
func (t *table[R, T]) reduced(obj any) T {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	if kept, ok := obj.(*kube.Reduced); ok {
		obj = kept.Object
	}
	if reduced, ok := obj.(T); ok {
		return reduced
	}
	return t.reduce(obj.(R)) // the reflector checks the type
}

// Add implements the cache.ReflectorStore interface.
func (t *table[R, T]) Add(obj any) error { return t.Update(obj) }

// Update implements the cache.ReflectorStore interface.
func (t *table[R, T]) Update(obj any) error {
	t.event()
	reduced := t.reduced(obj)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set(t.same(reduced))
	return nil
}

// Delete implements the cache.ReflectorStore interface.
func (t *table[R, T]) Delete(obj any) error {
	t.event()
	key := t.reduced(obj).Key()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remove(key)
	return nil
}

// Replace implements the cache.ReflectorStore interface: it takes a whole list, in which
// objects that were deleted unseen are missing.
func (t *table[R, T]) Replace(list []any, _ string) error {
	t.event()
	t.replace(list)
	t.observe(context.Background(), nil)
	t.settled()
	return nil
}

func (t *table[R, T]) replace(list []any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	listed := make(map[cache.ObjectName]struct{}, len(list))
	for _, obj := range list {
		object := t.same(t.reduced(obj))
		listed[object.Key()] = struct{}{}
		t.set(object)
	}
	for key := range t.objects {
		if _, ok := listed[key]; !ok {
			t.remove(key)
		}
	}
	t.editions.keep(listed)
	t.setSynced()
}

// clear takes all objects out.
func (t *table[R, T]) clear() {
	for key := range t.objects {
		t.remove(key)
	}
	t.editions.keep(nil)
}

// Resync implements the cache.ReflectorStore interface. Nothing is kept that could need it.
func (t *table[R, T]) Resync() error { return nil }

// Bookmark implements the cache.ReflectorBookmarkStore interface: nothing has changed up to
// now, which is news, too.
func (t *table[R, T]) Bookmark(string) error {
	t.event()
	return nil
}

func (t *table[R, T]) set(object T) {
	key := object.Key()
	old, existed := t.objects[key]
	if existed && any(old) == any(object) {
		return
	}
	t.objects[key] = object
	t.server.touch()
	for _, tell := range t.subscribers {
		tell(old, object)
	}
}

func (t *table[R, T]) remove(key cache.ObjectName) {
	t.editions.forget(key)
	old, existed := t.objects[key]
	if !existed {
		return
	}
	delete(t.objects, key)
	t.server.touch()
	var none T
	for _, tell := range t.subscribers {
		tell(old, none)
	}
}
