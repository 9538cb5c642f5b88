package controller

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// services holds the Services that the watch has seen. It implements cache.ReflectorStore. What it returns must not be
// changed.
type services struct {
	// transform returns what is kept of a Service, nil for nothing.
	transform func(*corev1.Service) *service
	// enqueue is called with the name of each Service that has changed, without a lock held.
	enqueue func(cache.ObjectName)
	// onList is called after each complete list.
	onList func()
	// synced is set by the first complete list and never unset: an outage does not make what
	// we know disappear.
	synced atomic.Bool

	mu     sync.RWMutex
	byName map[cache.ObjectName]*service
}

func newServices(transform func(*corev1.Service) *service, enqueue func(cache.ObjectName), onList func()) *services {
	return &services{transform: transform, enqueue: enqueue, onList: onList, byName: map[cache.ObjectName]*service{}}
}

// get returns a Service, nil if none of that name is kept.
func (s *services) get(name cache.ObjectName) *service {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byName[name]
}

// count returns how many Services are ours.
func (s *services) count() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ours := 0
	for _, service := range s.byName {
		if service.ours() {
			ours++
		}
	}
	return ours
}

// pending returns how many Services do not have the status yet that they should.
func (s *services) pending() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	for _, service := range s.byName {
		if service.pending && !service.deleting {
			n++
		}
	}
	return n
}

// Add implements cache.ReflectorStore.
func (s *services) Add(object any) error {
	reduced := s.transform(object.(*corev1.Service))
	if reduced == nil {
		return s.Delete(object)
	}
	s.mu.Lock()
	s.byName[reduced.name] = reduced
	s.mu.Unlock()
	s.enqueue(reduced.name)
	return nil
}

// Update implements cache.ReflectorStore.
func (s *services) Update(object any) error { return s.Add(object) }

// Delete implements cache.ReflectorStore.
func (s *services) Delete(object any) error {
	name := cache.MetaObjectToName(object.(*corev1.Service))
	s.mu.Lock()
	_, existed := s.byName[name]
	delete(s.byName, name)
	s.mu.Unlock()
	if existed {
		s.enqueue(name)
	}
	return nil
}

// Replace implements cache.ReflectorStore. Every Service is enqueued, those that have
// disappeared, too.
func (s *services) Replace(objects []any, _ string) error {
	next := make(map[cache.ObjectName]*service, len(objects))
	for _, object := range objects {
		if reduced := s.reduced(object); reduced != nil {
			next[reduced.name] = reduced
		}
	}
	s.mu.Lock()
	last := s.byName
	s.byName = next
	s.mu.Unlock()

	for name := range last {
		if next[name] == nil {
			s.enqueue(name)
		}
	}
	err := s.Resync()
	s.synced.Store(true)
	s.onList()
	return err
}

// reduced returns what is kept of a Service of a list, which may have been transformed when its page came.
func (s *services) reduced(object any) *service {
	if kept, ok := object.(*kube.Reduced); ok {
		return kept.Object.(*service)
	}
	return s.transform(object.(*corev1.Service))
}

// Resync implements cache.ReflectorStore.
func (s *services) Resync() error {
	for _, name := range s.names() {
		s.enqueue(name)
	}
	return nil
}

// names returns those of all, in no particular order.
func (s *services) names() []cache.ObjectName {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Keys(s.byName))
}
