package translator

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// services updates the address sets of the exposed Services within the event of a slice, without a queue, so that a list is
// complete in the answers once its store is listed (D71).
type services struct {
	onRenamed func()        // called when the names of Services have come or gone; it must not wait
	wake      chan struct{} // holds a token while large Services are due
	merging   sync.Mutex    // held while they are merged, one at a time

	found map[cache.ObjectName]*exposedService // as of when the resolver asked; the run loop owns it

	mu    sync.Mutex
	state serviceState
}

func newServices(options *config.Options, index *records.Index, onRenamed func()) *services {
	return &services{
		onRenamed: onRenamed,
		wake:      make(chan struct{}, 1),
		found:     map[cache.ObjectName]*exposedService{},
		state: serviceState{
			options:            options,
			index:              index,
			exposed:            map[cache.ObjectName]*exposedService{},
			unions:             map[cache.ObjectName][]*union{},
			namespaces:         map[string]int{},
			renamed:            map[cache.ObjectName]bool{},
			slicesOf:           map[cache.ObjectName][]*object.EndpointSlice{},
			slicesWithProblems: map[cache.ObjectName]*object.EndpointSlice{},
			due:                map[cache.ObjectName]int64{},
			probed:             map[netip.AddrPort][]cache.ObjectName{},
			followers:          map[string][]cache.ObjectName{},
			excluded:           map[string]bool{},
		},
	}
}

// with calls f while nobody else reads or changes them, and wakes the run loops for which something has changed.
func (s *services) with(f func(*serviceState)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.state)
	if len(s.state.renamed) > 0 {
		s.onRenamed()
	}
	if len(s.state.due) > 0 {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// recheck updates the Services that depend on what probes have found out, and returns them.
func (s *services) recheck(dependents func(*serviceState) []cache.ObjectName) (owners []cache.ObjectName) {
	s.with(func(state *serviceState) {
		owners = slices.Clone(dependents(state))
		for _, service := range owners {
			state.update(service, 0)
		}
	})
	return owners
}

// probedAt returns the Services whose endpoints are probed there.
func (s *services) probedAt(addr netip.AddrPort) []cache.ObjectName {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.state.probed[addr])
}

// blocked returns at how many endpoints a Service is probed, if something seems to keep the probes from all of them, else 0.
func (s *services) blocked(service cache.ObjectName) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.state.exposed[service]; e != nil && s.state.probing.Blocked(e.targets) {
		return len(e.targets)
	}
	return 0
}

// find returns an exposed Service, nil if it is none or is pending: its first addresses are not merged yet.
func (s *services) find(service cache.ObjectName) (e *exposedService, pending bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e = s.state.exposed[service]; e != nil && !e.populated { // its hosts would have no addresses, for a moment
		return nil, true
	}
	return e, false
}

// Exposed implements the claim.Services interface, as do Pending and InNamespace.
func (s *services) Exposed(service cache.ObjectName) bool {
	e, _ := s.find(service)
	if s.found[service] = e; e == nil {
		delete(s.found, service)
	}
	return e != nil
}

func (s *services) Pending(service cache.ObjectName) bool {
	e, pending := s.find(service)
	return pending || e != nil // exposed since Exposed was called
}

func (s *services) InNamespace(namespace string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.namespaces[namespace] > 0
}

// takeRenamed returns the Services whose names have come or gone since the last call.
func (s *services) takeRenamed() map[cache.ObjectName]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	renamed := s.state.renamed
	s.state.renamed = map[cache.ObjectName]bool{}
	for name := range renamed {
		delete(s.found, name)
	}
	return renamed
}

// run merges large Services whenever some are due, until the context is cancelled.
func (s *services) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			s.mergeDue()
		}
	}
}

// mergeDue merges the Services that are due when it is called. A Service that changes meanwhile is due again.
func (s *services) mergeDue() {
	s.merging.Lock()
	defer s.merging.Unlock()
	s.mu.Lock()
	due := slices.SortedFunc(maps.Keys(s.state.due), object.CompareNames)
	s.mu.Unlock()
	for _, service := range due {
		s.mu.Lock()
		job := s.state.begin(service)
		if job != nil {
			job.slices = slices.Clone(job.slices) // events change them meanwhile
		}
		s.mu.Unlock()
		if job != nil {
			job.merge(s.state.options) // aside: events of other Services go on
			s.with(func(state *serviceState) { state.finish(job) })
		}
	}
}
