package translator

import (
	"sync"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/object"
)

// exposure is the exposed Services, as far as claims depend on them: see claim.Services.
type exposure interface {
	expose(*object.Service)
	unexpose(cache.ObjectName)
	takeRenamed() map[cache.ObjectName]bool // Services whose names have come or gone since the last call
	Exposed(cache.ObjectName) bool
	Pending(cache.ObjectName) bool
	InNamespace(string) bool
}

// unaddressed is the exposure of Claims without a Translator.
type unaddressed struct {
	mu         sync.Mutex
	exposed    map[cache.ObjectName]bool
	namespaces map[string]int // how many exposed Services there are in each
	renamed    map[cache.ObjectName]bool
}

func (u *unaddressed) expose(service *object.Service) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if key := service.Key(); !u.exposed[key] {
		u.exposed[key], u.renamed[key] = true, true
		u.namespaces[key.Namespace]++
	}
}

func (u *unaddressed) unexpose(service cache.ObjectName) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.exposed, service)
	u.renamed[service] = true
	if u.namespaces[service.Namespace]--; u.namespaces[service.Namespace] == 0 {
		delete(u.namespaces, service.Namespace)
	}
}

func (u *unaddressed) takeRenamed() map[cache.ObjectName]bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	renamed := u.renamed
	u.renamed = map[cache.ObjectName]bool{}
	return renamed
}

func (u *unaddressed) Exposed(service cache.ObjectName) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.exposed[service]
}

// Pending reports whether a Service was exposed since Exposed was called.
func (u *unaddressed) Pending(service cache.ObjectName) bool { return u.Exposed(service) }

func (u *unaddressed) InNamespace(namespace string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.namespaces[namespace] > 0
}
