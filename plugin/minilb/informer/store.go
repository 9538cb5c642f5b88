package informer

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

// Full is an object of the API.
type Full interface {
	runtime.Object
	metav1.Object
}

// Object is what a Store keeps of an object: usually a pointer. It is immutable.
type Object interface {
	comparable
	Key() cache.ObjectName
}

// Store has the reduced objects of one kind, in one namespace or all. The reflector writes into it without a queue in
// between, so that an event has reached every subscriber when its call returns.
type Store[R Full, T Object] struct {
	*Status
	// OnRequest is called with the outcome of each request and reports whether it has handled it. It may be nil.
	OnRequest func(ctx context.Context, err error) bool

	transform   func(R) T
	subscribers []func(old, new T)
	parts       []part[R] // the Store itself, and those derived from it

	mu     *sync.Mutex // held by whoever changes the objects until all subscribers know; derived Stores share it
	byName map[cache.ObjectName]T
}

// NewStore returns an empty Store. transform returns what it keeps of an object: the zero T for one that is left out.
func NewStore[R Full, T Object](status *Status, transform func(R) T) *Store[R, T] {
	s := &Store[R, T]{Status: status, transform: transform, mu: &sync.Mutex{}, byName: map[cache.ObjectName]T{}}
	s.parts = []part[R]{s}
	if f := status.server.OnChange; f != nil {
		s.Subscribe(func(_, _ T) { f() })
	}
	return s
}

// Derive returns a Store that shares the watch and the Status of s and has its own transform, so that two readers of a kind
// cost the API server one watch. A snapshot's objects do not reach it. It must be called before anything is read.
func Derive[R Full, T, U Object](s *Store[R, T], transform func(R) U) *Store[R, U] {
	d := NewStore(s.Status, transform)
	d.mu = s.mu
	s.parts = append(s.parts, d)
	return d
}

// Subscribe makes the Store call f within the event of each change: old is zero for a new object, new for a deleted
// one. It must be called before anything is read.
func (s *Store[R, T]) Subscribe(f func(old, new T)) { s.subscribers = append(s.subscribers, f) }

// Get returns an object, and whether it is there.
func (s *Store[R, T]) Get(name cache.ObjectName) (T, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	object, there := s.byName[name]
	return object, there
}

// List returns the objects, in no particular order.
func (s *Store[R, T]) List() []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.AppendSeq(make([]T, 0, len(s.byName)), maps.Values(s.byName))
}

// Seed fills the Store with objects of a snapshot, unless the API server has listed them, or refuses to.
func (s *Store[R, T]) Seed(objects []T) {
	s.mu.Lock()
	defer s.notify()
	defer s.mu.Unlock()
	if state := s.State(); state == Listed || state == Forbidden && s.Optional {
		return
	}
	for _, object := range objects {
		s.put(object.Key(), object)
	}
	s.restored()
}

// Observe records a request's outcome. The restored objects of an optional kind go when the API server refuses to show it.
func (s *Store[R, T]) Observe(ctx context.Context, err error) {
	if s.OnRequest == nil || !s.OnRequest(ctx, err) {
		s.Status.Observe(ctx, err)
	}
	if state := s.State(); state == Forbidden || state == NotServed {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fill(nil)
	}
}

// forget empties the Store of a kind that is no longer served.
func (s *Store[R, T]) forget() {
	s.mu.Lock()
	s.fill(nil)
	s.Status.forget()
	s.mu.Unlock()
	s.notify()
}

// item is an object on its way into a Store: what each of the parts keeps of it. client-go's temporary stores take the key
// from its metadata. It is never modified.
type item struct {
	name cache.ObjectName
	kept []any
}

// GetObjectMeta implements the metav1.ObjectMetaAccessor interface.
func (i *item) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: i.name.Namespace, Name: i.name.Name}
}

// GetObjectKind and DeepCopyObject implement the runtime.Object interface.
func (i *item) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }
func (i *item) DeepCopyObject() runtime.Object   { return i }

// item returns the reduced form of what the reflector passes, reduced already or not.
func (s *Store[R, T]) item(obj any) *item {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	if reduced, ok := obj.(*item); ok {
		return reduced
	}
	if reduced, ok := obj.(T); ok {
		return &item{reduced.Key(), []any{reduced}}
	}
	full := obj.(R) // the reflector checks the type
	i := &item{name: cache.MetaObjectToName(full)}
	for _, p := range s.parts {
		i.kept = append(i.kept, p.reduce(full))
	}
	return i
}

// known returns the item of obj, with the Store's own objects where they are equal: a repeated list takes no memory.
func (s *Store[R, T]) known(obj any) *item {
	reduced := s.item(obj)
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, p := range s.parts {
		reduced.kept[n] = p.same(reduced.name, reduced.kept[n])
	}
	return reduced
}

// Transformer implements the cache.TransformingStore interface: a streamed list is reduced object by object.
func (s *Store[R, T]) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) { return s.known(obj), nil }
}

// Add implements the cache.ReflectorStore interface.
func (s *Store[R, T]) Add(obj any) error { return s.Update(obj) }

// Update implements the cache.ReflectorStore interface.
func (s *Store[R, T]) Update(obj any) error {
	s.event()
	reduced := s.item(obj)
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, p := range s.parts {
		p.put(reduced.name, reduced.kept[n])
	}
	return nil
}

// Delete implements the cache.ReflectorStore interface.
func (s *Store[R, T]) Delete(obj any) error {
	s.event()
	deleted := s.item(obj)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		p.put(deleted.name, nil)
	}
	return nil
}

// Replace implements the cache.ReflectorStore interface. The subscribers know all changes before the state is Listed (D71).
func (s *Store[R, T]) Replace(list []any, _ string) error {
	s.event()
	items := make([]*item, len(list))
	for i, obj := range list {
		items[i] = s.item(obj)
	}
	s.mu.Lock()
	s.fill(items)
	s.move(func(p *progress) { p.state = Listed })
	s.mu.Unlock()
	if !s.unwatched.Swap(false) { // the list was the beginning of a watch
		s.Observe(context.Background(), nil)
	}
	s.notify()
	return nil
}

// Resync implements the cache.ReflectorStore interface.
func (s *Store[R, T]) Resync() error { return nil }

// Bookmark implements the cache.ReflectorBookmarkStore interface.
func (s *Store[R, T]) Bookmark(string) error {
	s.event()
	return nil
}

// fill replaces the objects of all parts.
func (s *Store[R, T]) fill(items []*item) {
	for n, p := range s.parts {
		p.replace(n, items)
	}
}

// part is a Store of any type. Its methods are for the Store that was not derived, which guards all of them by their one lock.
type part[R Full] interface {
	reduce(R) any
	same(cache.ObjectName, any) any
	put(cache.ObjectName, any)
	replace(part int, items []*item)
}

func (s *Store[R, T]) reduce(full R) any { return s.transform(full) }

// same returns the object of that name in the Store if it equals this one.
func (s *Store[R, T]) same(name cache.ObjectName, object any) any {
	if old, there := s.byName[name]; there && reflect.DeepEqual(any(old), object) {
		return old
	}
	return object
}

// put makes the Store have an object under a name, none if that is nil or the zero T.
func (s *Store[R, T]) put(name cache.ObjectName, object any) {
	var none T
	old := s.byName[name]
	new, _ := s.same(name, object).(T)
	switch {
	case new == old:
		return
	case new == none:
		delete(s.byName, name)
	default:
		s.byName[name] = new
	}
	for _, f := range s.subscribers {
		f(old, new)
	}
}

func (s *Store[R, T]) replace(part int, items []*item) {
	listed := make(map[cache.ObjectName]bool, len(items))
	for _, i := range items {
		listed[i.name] = true
		s.put(i.name, i.kept[part])
	}
	for name := range s.byName {
		if !listed[name] {
			s.put(name, nil)
		}
	}
}
