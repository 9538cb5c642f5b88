package informer

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/kube"
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

	transform func(R) T
	derived   []derived[R]

	mu sync.Mutex // held by whoever changes the objects until all subscribers know
	objects[T]
}

// NewStore returns an empty Store. transform returns what it keeps of an object: the zero T for one that is left out.
func NewStore[R Full, T Object](status *Status, transform func(R) T) *Store[R, T] {
	s := &Store[R, T]{Status: status, transform: transform, objects: objects[T]{byName: map[cache.ObjectName]T{}}}
	if f := status.server.OnChange; f != nil {
		s.Subscribe(func(_, _ T) { f() })
	}
	return s
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
		s.set(object)
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
		s.empty()
	}
}

// forget empties the Store of a kind that is no longer served.
func (s *Store[R, T]) forget() {
	s.mu.Lock()
	s.empty()
	s.Status.forget()
	s.mu.Unlock()
	s.notify()
}

// item is an object on its way into a Store. client-go's temporary stores take the key from its metadata.
type item[T Object] struct {
	name    cache.ObjectName
	object  T
	derived []any // the items of the derived Stores
}

// GetObjectMeta implements the metav1.ObjectMetaAccessor interface.
func (i *item[T]) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: i.name.Namespace, Name: i.name.Name}
}

// item returns the reduced form of what the reflector passes, reduced already or not.
func (s *Store[R, T]) item(obj any) *item[T] {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	if reduced, ok := obj.(*kube.Reduced); ok {
		obj = reduced.Object
	}
	if reduced, ok := obj.(*item[T]); ok {
		return reduced
	}
	if reduced, ok := obj.(T); ok {
		return &item[T]{name: reduced.Key(), object: reduced}
	}
	full := obj.(R) // the reflector checks the type
	i := &item[T]{name: cache.MetaObjectToName(full), object: s.transform(full)}
	for _, d := range s.derived {
		i.derived = append(i.derived, d.keep(full))
	}
	return i
}

// known returns the item of obj, with the Store's own object if that is equal: a repeated list takes no memory.
func (s *Store[R, T]) known(obj any) *item[T] {
	reduced := s.item(obj)
	s.mu.Lock()
	defer s.mu.Unlock()
	reduced.object = s.same(reduced.object)
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
	var none T
	if reduced.object == none {
		s.remove(reduced.name)
	} else {
		s.set(s.same(reduced.object))
	}
	return s.derive(reduced, derived[R].Update)
}

// Delete implements the cache.ReflectorStore interface.
func (s *Store[R, T]) Delete(obj any) error {
	s.event()
	deleted := s.item(obj)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(deleted.name)
	return s.derive(deleted, derived[R].Delete)
}

// Replace implements the cache.ReflectorStore interface. The subscribers know all changes before the state is Listed (D71).
func (s *Store[R, T]) Replace(list []any, _ string) error {
	s.event()
	items := make([]*item[T], len(list))
	for i, obj := range list {
		items[i] = s.item(obj)
	}
	s.mu.Lock()
	s.replace(items)
	for n, d := range s.derived {
		var of []any
		for _, i := range items {
			if i.derived != nil {
				of = append(of, i.derived[n])
			}
		}
		d.fill(of)
	}
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

// Derive returns a Store that shares the watch and the Status of s and has its own transform, so that two readers of a kind
// cost the API server one watch. A snapshot's objects do not reach it. It must be called before anything is read.
func Derive[R Full, T, U Object](s *Store[R, T], transform func(R) U) *Store[R, U] {
	d := NewStore(s.Status, transform)
	s.derived = append(s.derived, d)
	return d
}

// derived is a Store of any type that another one feeds, while that is locked.
type derived[R Full] interface {
	keep(R) any // returns the object's item
	Update(item any) error
	Delete(item any) error
	fill(items []any)
}

func (s *Store[R, T]) derive(i *item[T], change func(derived[R], any) error) error {
	for n, d := range s.derived[:len(i.derived)] {
		if err := change(d, i.derived[n]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store[R, T]) keep(full R) any { return s.known(full) }

func (s *Store[R, T]) fill(items []any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*item[T], len(items))
	for i := range items {
		all[i] = items[i].(*item[T])
	}
	s.replace(all)
}

// empty removes all objects, also from the derived Stores, which it locks.
func (s *Store[R, T]) empty() {
	s.replace(nil)
	for _, d := range s.derived {
		d.fill(nil)
	}
}

// objects are those of a Store. It is not safe for concurrent use.
type objects[T Object] struct {
	byName      map[cache.ObjectName]T
	subscribers []func(old, new T)
}

// same returns the object of that name in the Store if it equals this one.
func (o *objects[T]) same(object T) T {
	var none T
	if object == none {
		return object
	}
	if old, there := o.byName[object.Key()]; there && reflect.DeepEqual(old, object) {
		return old
	}
	return object
}

func (o *objects[T]) set(object T) {
	old, there := o.byName[object.Key()]
	if there && old == object {
		return
	}
	o.byName[object.Key()] = object
	o.publish(old, object)
}

func (o *objects[T]) remove(name cache.ObjectName) {
	old, there := o.byName[name]
	if !there {
		return
	}
	delete(o.byName, name)
	var none T
	o.publish(old, none)
}

func (o *objects[T]) publish(old, new T) {
	for _, f := range o.subscribers {
		f(old, new)
	}
}

func (o *objects[T]) replace(items []*item[T]) {
	var none T
	listed := make(map[cache.ObjectName]struct{}, len(items))
	for _, i := range items {
		if i.object != none {
			listed[i.name] = struct{}{}
			o.set(o.same(i.object))
		}
	}
	for name := range o.byName {
		if _, there := listed[name]; !there {
			o.remove(name)
		}
	}
}
