package informer

import (
	"context"
	"reflect"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// Full is an object as the API has it.
type Full interface {
	runtime.Object
	metav1.Object
}

// Object is what a Store keeps of an object, immutable once it is there: a pointer as a rule.
type Object interface {
	comparable
	Key() cache.ObjectName
}

// Store has the objects of one kind, in one namespace or all, reduced to what is needed of them. The reflector writes
// into it straight from the watch, so that an event has reached every subscriber when its call returns, with no queue
// in between.
type Store[R Full, T Object] struct {
	*Status
	// OnRequest is called with the outcome of each request, if it is not nil, and reports whether it has dealt with it.
	OnRequest func(ctx context.Context, err error) bool

	transform func(R) T
	derived   []derived[R]

	mu sync.Mutex // held by whoever changes the objects until all subscribers know
	objects[T]
}

// NewStore returns an empty Store, whose transform returns what is kept of an object: the zero T for one that is left out.
func NewStore[R Full, T Object](status *Status, transform func(R) T) *Store[R, T] {
	return &Store[R, T]{Status: status, transform: transform, objects: objects[T]{byName: map[cache.ObjectName]T{}, changed: status.server.changed}}
}

// Subscribe lets f be called for each change: old is zero for a new object, new for a deleted one. The Store is
// locked meanwhile. It must be called before anything is read.
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
	list := make([]T, 0, len(s.byName))
	for _, object := range s.byName {
		list = append(list, object)
	}
	return list
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

// Observe takes note of a request's outcome. What was restored of an optional kind goes when the API server refuses
// to show it.
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

// forget takes all objects out, of a kind that the API server does not serve any longer.
func (s *Store[R, T]) forget() {
	s.mu.Lock()
	s.empty()
	s.Status.forget()
	s.mu.Unlock()
	s.notify()
}

// item is an object on its way into a Store, in a form of which client-go's stores know the key.
type item[T Object] struct {
	name    cache.ObjectName
	object  T
	derived []any // the items of the derived Stores
}

// GetObjectMeta implements the metav1.ObjectMetaAccessor interface.
func (i *item[T]) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: i.name.Namespace, Name: i.name.Name}
}

// item returns obj in its reduced form, whichever it comes in.
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

// known is item with the object that is in the Store if there is nothing new in it, so that a list that comes again
// takes no memory and changes nothing.
func (s *Store[R, T]) known(obj any) *item[T] {
	reduced := s.item(obj)
	s.mu.Lock()
	defer s.mu.Unlock()
	reduced.object = s.same(reduced.object)
	return reduced
}

// Transformer implements the cache.TransformingStore interface, so that a streamed list is reduced object by object
// and never stands in memory as a whole.
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

// Replace implements the cache.ReflectorStore interface: it takes a whole list, in which objects that were deleted
// unseen are missing. The subscribers know all of them before the state is Listed (D71).
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

// Resync implements the cache.ReflectorStore interface. Nothing is kept that could need it.
func (s *Store[R, T]) Resync() error { return nil }

// Bookmark implements the cache.ReflectorBookmarkStore interface: that nothing has changed is news as well.
func (s *Store[R, T]) Bookmark(string) error {
	s.event()
	return nil
}

// objects are those of a Store. It is not safe for concurrent use.
type objects[T Object] struct {
	byName      map[cache.ObjectName]T
	subscribers []func(old, new T)
	changed     func()
}

// same returns the object that is there, if it equals this one.
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
	o.changed()
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

// clear takes all objects out.
func (o *objects[T]) clear() {
	for name := range o.byName {
		o.remove(name)
	}
}
