package informer

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

// Versioned is a Store of a kind that the API server may begin to serve, serve in another version, or cease to serve (G5, G6).
type Versioned[R Full, T Object] struct {
	*Store[R, T]
	choose  func(Served) schema.GroupVersionResource // the version to read, the zero value for none
	watch   func(ctx context.Context, version schema.GroupVersionResource, into *versionStore[R, T])
	running sync.WaitGroup

	mu      sync.Mutex // of what follows, taken before the Store's
	chosen  schema.GroupVersionResource
	current *versionStore[R, T] // fills the Store
	next    *versionStore[R, T] // replaces current once its first list is complete
}

// NewVersioned returns a Store that is filled by the client for the version that choose picks. It is NotServed until a
// Discovery follows.
func NewVersioned[L List, R Full, T Object](
	store *Store[R, T], choose func(Served) schema.GroupVersionResource, client func(schema.GroupVersionResource) Client[L], selector string,
) *Versioned[R, T] {
	store.state, store.last = NotServed, NotServed
	v := &Versioned[R, T]{Store: store, choose: choose}
	v.watch = func(ctx context.Context, version schema.GroupVersionResource, into *versionStore[R, T]) {
		runReflector(ctx, store, into, client(version), selector)
	}
	return v
}

// follow watches the version that choose picks until the context is cancelled. It reports whether that is a new one.
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
	v.next.stop()
	v.next = nil
	if chosen.Empty() {
		v.current.stop()
		v.current = nil
		v.forget()
		return true
	}
	v.begin()
	f := &versionStore[R, T]{Store: v.Store, of: v}
	ctx, f.cancel = context.WithCancel(ctx)
	v.next = f
	v.running.Go(func() {
		defer f.cancel()
		v.watch(ctx, chosen, f)
	})
	return true
}

// load is follow without a watch.
func (v *Versioned[R, T]) load(served Served) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.chosen = v.choose(served); !v.chosen.Empty() {
		v.begin()
	}
}

// drop removes what was restored: the account may not read what is served.
func (v *Versioned[R, T]) drop() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.chosen.Empty() && v.State() == Restored {
		v.forget()
	}
}

func (v *Versioned[R, T]) version() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.chosen.Version
}

// loses reports whether a kind that is read or restored is not served any longer.
func (v *Versioned[R, T]) loses(served Served) bool {
	return (v.version() != "" || v.State() == Restored) && v.choose(served).Empty()
}

func (v *Versioned[R, T]) status() *Status { return v.Status }

func (v *Versioned[R, T]) wait() { v.running.Wait() }

// versionStore is the target of one version's reflector. The previous version fills the Store until this one has listed all
// its objects, so that no name goes missing in between: an upgraded cluster serves both for a while.
type versionStore[R Full, T Object] struct {
	*Store[R, T]
	of     *Versioned[R, T]
	cancel context.CancelFunc
}

func (f *versionStore[R, T]) stop() {
	if f != nil {
		f.cancel()
	}
}

// write calls write unless the Store is another version's by now.
func (f *versionStore[R, T]) write(write func() error) error {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	if f.of.current != f {
		return nil
	}
	return write()
}

// Observe records a request's outcome. Requests for the current version do not count any longer while there is a next one.
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

// Transformer compares no objects with the Store's: that may be another version's still.
func (f *versionStore[R, T]) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) { return f.item(obj), nil }
}

func (f *versionStore[R, T]) Add(obj any) error { return f.Update(obj) }

func (f *versionStore[R, T]) Update(obj any) error {
	return f.write(func() error { return f.Store.Update(obj) })
}

func (f *versionStore[R, T]) Delete(obj any) error {
	return f.write(func() error { return f.Store.Delete(obj) })
}

func (f *versionStore[R, T]) Bookmark(version string) error {
	return f.write(func() error { return f.Store.Bookmark(version) })
}

// Replace makes this version the current one, with its first list.
func (f *versionStore[R, T]) Replace(list []any, version string) error {
	f.of.mu.Lock()
	if f.of.next == f {
		f.of.current.stop()
		f.of.current, f.of.next = f, nil
	}
	f.of.mu.Unlock()
	return f.write(func() error { return f.Store.Replace(list, version) })
}
