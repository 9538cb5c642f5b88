package controller

import (
	"strings"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// services holds the Services of type LoadBalancer as the watch has last seen them, and tells
// the name of each that changes. It implements cache.ReflectorStore. What it returns must not
// be changed.
type services struct {
	// changed is called without a lock held.
	changed func(cache.ObjectName)
	// synced is set by the first complete list and never unset: an outage does not make what
	// we know disappear.
	synced atomic.Bool

	mu     sync.RWMutex
	byName map[cache.ObjectName]*corev1.Service
}

func newServices(changed func(cache.ObjectName)) *services {
	return &services{changed: changed, byName: map[cache.ObjectName]*corev1.Service{}}
}

// get returns a Service, nil if there is none of that name.
func (s *services) get(name cache.ObjectName) *corev1.Service {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byName[name]
}

// count returns how many Services match.
func (s *services) count(match func(*corev1.Service) bool) (n int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, service := range s.byName {
		if match(service) {
			n++
		}
	}
	return n
}

// Add implements cache.ReflectorStore.
func (s *services) Add(object any) error {
	name := cache.MetaObjectToName(object.(*corev1.Service))
	service := trim(object.(*corev1.Service))
	s.mu.Lock()
	s.byName[name] = service
	s.mu.Unlock()
	s.changed(name)
	return nil
}

// Update implements cache.ReflectorStore.
func (s *services) Update(object any) error { return s.Add(object) }

// Delete implements cache.ReflectorStore.
func (s *services) Delete(object any) error {
	name := cache.MetaObjectToName(object.(*corev1.Service))
	s.mu.Lock()
	delete(s.byName, name)
	s.mu.Unlock()
	s.changed(name)
	return nil
}

// Replace implements cache.ReflectorStore. Every Service is looked at again, those that have
// disappeared, too.
func (s *services) Replace(objects []any, _ string) error {
	next := make(map[cache.ObjectName]*corev1.Service, len(objects))
	for _, object := range objects {
		next[cache.MetaObjectToName(object.(*corev1.Service))] = trim(object.(*corev1.Service))
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

// Resync implements cache.ReflectorStore.
func (s *services) Resync() error {
	s.mu.RLock()
	names := make([]cache.ObjectName, 0, len(s.byName))
	for name := range s.byName {
		names = append(names, name)
	}
	s.mu.RUnlock()
	for _, name := range names {
		s.changed(name)
	}
	return nil
}

// trim returns what we need of a Service, which is a fraction of it.
func trim(service *corev1.Service) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name:              service.Name,
			Namespace:         service.Namespace,
			UID:               service.UID,
			ResourceVersion:   service.ResourceVersion,
			DeletionTimestamp: service.DeletionTimestamp,
			Labels:            service.Labels,
			ManagedFields:     statusManagers(service.ManagedFields),
		},
		Spec: corev1.ServiceSpec{
			Type:              service.Spec.Type,
			LoadBalancerClass: service.Spec.LoadBalancerClass,
		},
		Status: corev1.ServiceStatus{LoadBalancer: service.Status.LoadBalancer},
	}
}

// statusManagers returns the names and times of those who own part of the load balancer's status.
func statusManagers(all []metav1.ManagedFieldsEntry) (owners []metav1.ManagedFieldsEntry) {
	for _, entry := range all {
		if entry.FieldsV1 != nil && strings.Contains(entry.FieldsV1.GetRawString(), `"f:loadBalancer"`) {
			owners = append(owners, metav1.ManagedFieldsEntry{Manager: entry.Manager, Time: entry.Time})
		}
	}
	return owners
}
