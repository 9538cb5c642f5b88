package source

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

// versioned is a table of a kind that the API server may begin to serve, serve in another
// version, or cease to serve while we run (G5, G6).
type versioned[R runtime.Object, T keyed] struct {
	*table[R, T]
	choose   func(offer) schema.GroupVersionResource // the version to read, the zero value for none
	open     func(version schema.GroupVersionResource, observe func(context.Context, error)) cache.ListerWatcher
	expected R // what the reflector expects to get

	running sync.WaitGroup

	mu      sync.Mutex
	chosen  schema.GroupVersionResource
	current *feed[R, T] // fills the table
	next    *feed[R, T] // is to, once its first list is complete
}

// follow reads the version that is to be read of those that are served, from now on until the
// context is cancelled. It reports whether that is another one than before.
func (v *versioned[R, T]) follow(ctx context.Context, offered offer) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	chosen := v.choose(offered)
	if chosen == v.chosen {
		v.dropRestored()
		return false
	}
	v.chosen = chosen
	if v.next != nil {
		v.next.cancel()
		v.next = nil
	}
	if chosen.Empty() {
		if v.current != nil {
			v.current.cancel()
			v.current = nil
		}
		v.forget()
		return true
	}
	v.begin()
	v.absent.Store(false)
	f := &feed[R, T]{table: v.table, of: v}
	ctx, f.cancel = context.WithCancel(ctx)
	v.next = f
	v.running.Go(func() {
		defer f.cancel()
		runReflector(ctx, v.what(), v.open(chosen, f.observe), v.expected, f)
	})
	return true
}

// forget takes all objects out. It is called with the lock held.
func (v *versioned[R, T]) forget() {
	v.table.mu.Lock()
	defer v.table.mu.Unlock()
	v.clear()
	v.health.forget()
}

// drop takes out what was restored, as nobody can tell what is served.
func (v *versioned[R, T]) drop() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.dropRestored()
}

// dropRestored takes out what was restored, if there is no version to be read. It is called with
// the lock held.
func (v *versioned[R, T]) dropRestored() {
	if v.chosen.Empty() && v.restored.Load() {
		v.forget()
		v.settled()
	}
}

// version returns the version that is read, "" for none.
func (v *versioned[R, T]) version() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.chosen.Version
}

// loses reports whether what is served now has no version of a kind that was served, as far as is
// known.
func (v *versioned[R, T]) loses(offered offer) bool {
	return (v.version() != "" || v.restored.Load()) && v.choose(offered).Empty()
}

// wait returns when nothing reads any longer, after the end of the context.
func (v *versioned[R, T]) wait() { v.running.Wait() }

// subscribe lets a Translator follow the objects of a versioned table, once.
func subscribe[R runtime.Object, T keyed](t *Translator, v *versioned[R, T], subscriber func(old, new T)) {
	if t.await(v.health) {
		v.subscribers = append(v.subscribers, subscriber)
	}
}

// feed is what the reflector of one version writes to. The table is filled by the version
// before until this one has listed all its objects, so that none is missing in between.
type feed[R runtime.Object, T keyed] struct {
	*table[R, T]
	of     *versioned[R, T]
	cancel context.CancelFunc
}

// write calls f unless the table is another's by now.
func (f *feed[R, T]) Write(write func() error) error {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	if f.of.current != f {
		return nil
	}
	return write()
}

// observe takes note of a request's outcome. While the next version is being read, what the one
// before has to say does not matter any longer.
func (f *feed[R, T]) observe(ctx context.Context, err error) {
	f.of.mu.Lock()
	outgoing := f.of.next != nil && f.of.next != f
	f.of.mu.Unlock()
	switch {
	case !outgoing:
		f.table.observe(ctx, err)
	case apierrors.IsNotFound(err):
		f.gone()
	}
}

// Transformer implements the cache.TransformingStore interface. The table may be another's still, so
// that what is in it is left to Replace.
func (f *feed[R, T]) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) { return f.reduced(obj), nil }
}

// Add implements the cache.ReflectorStore interface.
func (f *feed[R, T]) Add(obj any) error { return f.Update(obj) }

// Update implements the cache.ReflectorStore interface.
func (f *feed[R, T]) Update(obj any) error {
	return f.Write(func() error { return f.table.Update(obj) })
}

// Delete implements the cache.ReflectorStore interface.
func (f *feed[R, T]) Delete(obj any) error {
	return f.Write(func() error { return f.table.Delete(obj) })
}

// Bookmark implements the cache.ReflectorBookmarkStore interface.
func (f *feed[R, T]) Bookmark(version string) error {
	return f.Write(func() error { return f.table.Bookmark(version) })
}

// Replace implements the cache.ReflectorStore interface. The first list takes the table over.
func (f *feed[R, T]) Replace(list []any, version string) error {
	f.of.mu.Lock()
	if f.of.next == f {
		if f.of.current != nil {
			f.of.current.cancel()
		}
		f.of.current, f.of.next = f, nil
	}
	f.of.mu.Unlock()
	return f.Write(func() error { return f.table.Replace(list, version) })
}
