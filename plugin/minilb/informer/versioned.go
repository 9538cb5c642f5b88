package informer

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

// Versioned is a Store of a kind that the API server may begin to serve, serve in another version, or cease to serve
// while we run (G5, G6). A Discovery says which.
type Versioned[R Full, T Object] struct {
	*Store[R, T]
	choose  func(Served) schema.GroupVersionResource // the version to read, the zero value for none
	watch   func(ctx context.Context, version schema.GroupVersionResource, into *versionStore[R, T])
	running sync.WaitGroup

	mu sync.Mutex // taken before the Store's
	versions[R, T]
}

// versions are those that are read of a kind. It is not safe for concurrent use.
type versions[R Full, T Object] struct {
	chosen  schema.GroupVersionResource
	current *versionStore[R, T] // fills the Store
	next    *versionStore[R, T] // is to, once its first list is complete
}

// stop ends what is read, now or next.
func (v *versions[R, T]) stop(of **versionStore[R, T]) {
	if *of != nil {
		(*of).cancel()
		*of = nil
	}
}

// NewVersioned returns a Store of which choose picks the version that is read, by the client for that version. Until a
// Discovery says otherwise, none is served.
func NewVersioned[L List, R Full, T Object](store *Store[R, T], choose func(Served) schema.GroupVersionResource, client func(schema.GroupVersionResource) Client[L], selector string) *Versioned[R, T] {
	store.state, store.last = NotServed, NotServed
	return &Versioned[R, T]{Store: store, choose: choose, watch: func(ctx context.Context, version schema.GroupVersionResource, into *versionStore[R, T]) {
		runReflector[R](ctx, store.String(), listWatch(into.Observe, into.listed, func(full runtime.Object) any { return store.known(full) }, client(version), selector), into)
	}}
}

// follow reads the version that is to be read of those that are served, from now on until the context is cancelled.
// It reports whether that is another one than before.
func (v *Versioned[R, T]) follow(ctx context.Context, served Served) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	chosen := v.choose(served)
	if chosen == v.chosen {
		if chosen.Empty() && v.State() == Restored {
			v.forget()
		}
		return false
	}
	v.chosen = chosen
	v.stop(&v.next)
	if chosen.Empty() {
		v.stop(&v.current)
		v.forget()
		return true
	}
	v.begin()
	v.next = &versionStore[R, T]{Store: v.Store, of: v}
	f := v.next
	ctx, f.cancel = context.WithCancel(ctx)
	v.running.Go(func() {
		defer f.cancel()
		v.watch(ctx, chosen, f)
	})
	return true
}

// load chooses the version of those that are served, which nothing watches.
func (v *Versioned[R, T]) load(served Served) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.chosen = v.choose(served); !v.chosen.Empty() {
		v.begin()
	}
}

// drop takes out what was restored, as nobody can say what is served.
func (v *Versioned[R, T]) drop() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.chosen.Empty() && v.State() == Restored {
		v.forget()
	}
}

// version returns the version that is read, "" for none.
func (v *Versioned[R, T]) version() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.chosen.Version
}

// loses reports whether what is served now has no version of a kind that was served, as far as is known.
func (v *Versioned[R, T]) loses(served Served) bool {
	return (v.version() != "" || v.State() == Restored) && v.choose(served).Empty()
}

// status returns the state of the watch.
func (v *Versioned[R, T]) status() *Status { return v.Status }

// wait returns when nothing reads any longer, after the end of the context.
func (v *Versioned[R, T]) wait() { v.running.Wait() }

// versionStore is what the reflector of one version writes to. The Store is filled by the version before until this one
// has listed all its objects: a cluster that is upgraded serves both for a while, and names whose objects are listed a
// moment later than the others would be missing in between.
type versionStore[R Full, T Object] struct {
	*Store[R, T]
	of     *Versioned[R, T]
	cancel context.CancelFunc
}

// write calls f unless the Store is another version's by now.
func (f *versionStore[R, T]) write(write func() error) error {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	if f.of.current != f {
		return nil
	}
	return write()
}

// Observe takes note of a request's outcome. While the next version is being read, what becomes of requests for the
// one before does not matter any longer.
func (f *versionStore[R, T]) Observe(ctx context.Context, err error) {
	f.of.mu.Lock()
	outgoing := f.of.next != nil && f.of.next != f
	f.of.mu.Unlock()
	switch {
	case !outgoing:
		f.Store.Observe(ctx, err)
	case apierrors.IsNotFound(err):
		f.gone()
	}
}

// Transformer implements the cache.TransformingStore interface. The Store may be another version's still, so that what
// is in it is left to Replace.
func (f *versionStore[R, T]) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) { return f.item(obj), nil }
}

// Add implements the cache.ReflectorStore interface.
func (f *versionStore[R, T]) Add(obj any) error { return f.Update(obj) }

// Update implements the cache.ReflectorStore interface.
func (f *versionStore[R, T]) Update(obj any) error {
	return f.write(func() error { return f.Store.Update(obj) })
}

// Delete implements the cache.ReflectorStore interface.
func (f *versionStore[R, T]) Delete(obj any) error {
	return f.write(func() error { return f.Store.Delete(obj) })
}

// Bookmark implements the cache.ReflectorBookmarkStore interface.
func (f *versionStore[R, T]) Bookmark(version string) error {
	return f.write(func() error { return f.Store.Bookmark(version) })
}

// Replace implements the cache.ReflectorStore interface. The first list takes the Store over.
func (f *versionStore[R, T]) Replace(list []any, version string) error {
	f.of.mu.Lock()
	if f.of.next == f {
		f.of.stop(&f.of.current)
		f.of.current, f.of.next = f, nil
	}
	f.of.mu.Unlock()
	return f.write(func() error { return f.Store.Replace(list, version) })
}
