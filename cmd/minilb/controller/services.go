package controller

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// service is what we need of a Service that is ours, which is a fraction of it.
type service struct {
	name     cache.ObjectName
	uid      types.UID
	version  string // resourceVersion
	deleting bool
	settled  bool   // its status says what it should and nothing else
	rival    string // who has written its status last if it does not
	foreign  bool   // it is not ours, and only to be told of what its owner got wrong
	selects  bool   // it has a selector
	findings []finding
	ports    []corev1.ServicePort // those whose number its endpoints alone have
}

// services holds the Services that are ours as the watch has last seen them, and tells the name
// of each that changes. It implements cache.ReflectorStore. What it returns must not be changed.
type services struct {
	// reduce returns what we need of a Service, nil if it is not ours.
	reduce func(*corev1.Service) *service
	// changed is called without a lock held.
	changed func(cache.ObjectName)
	// synced is set by the first complete list and never unset: an outage does not make what
	// we know disappear.
	synced atomic.Bool

	mu     sync.RWMutex
	byName map[cache.ObjectName]*service
}

func newServices(reduce func(*corev1.Service) *service, changed func(cache.ObjectName)) *services {
	return &services{reduce: reduce, changed: changed, byName: map[cache.ObjectName]*service{}}
}

// get returns a Service, nil if none of that name is ours, or foreign.
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
		if !service.foreign {
			ours++
		}
	}
	return ours
}

// unwritten returns the status of how many Services does not say yet what it should.
func (s *services) unwritten() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	for _, service := range s.byName {
		if !service.settled && !service.deleting && !service.foreign {
			n++
		}
	}
	return n
}

// Add implements cache.ReflectorStore.
func (s *services) Add(object any) error {
	reduced := s.reduce(object.(*corev1.Service))
	if reduced == nil {
		return s.Delete(object)
	}
	s.mu.Lock()
	s.byName[reduced.name] = reduced
	s.mu.Unlock()
	s.changed(reduced.name)
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
		s.changed(name)
	}
	return nil
}

// Replace implements cache.ReflectorStore. Every Service is looked at again, those that have
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
	s.synced.Store(true)

	for name := range last {
		if next[name] == nil {
			s.changed(name)
		}
	}
	return s.Resync()
}

// reduced returns what we need of a Service of a list, which may have been reduced when its page came.
func (s *services) reduced(object any) *service {
	if kept, ok := object.(*kube.Reduced); ok {
		return kept.Object.(*service)
	}
	return s.reduce(object.(*corev1.Service))
}

// Resync implements cache.ReflectorStore.
func (s *services) Resync() error {
	for _, name := range s.names() {
		s.changed(name)
	}
	return nil
}

// names returns those of all, in no particular order.
func (s *services) names() []cache.ObjectName {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Keys(s.byName))
}
