package translator

import (
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"

	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/endpoint"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/probe"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// exposedService is a Service that is answered.
type exposedService struct {
	addrs     *records.AddressSet
	node      *records.Node
	populated bool      // its addresses are those of its slices, so that it may have its names
	job       *mergeJob // the last one, until it is finished
	named     bool      // its names are answered
	kept      [2]bool   // it is among the Services of type LoadBalancer, and among those of other types (L1)
	object.ServicePorts
	states  endpoint.Counts
	targets []probe.Target // where its endpoints are probed, in order
	nodes   []string       // of its endpoints that cannot be probed, in order

	standing atomic.Pointer[standing]     // of the addresses
	share    atomic.Pointer[object.Share] // of hosts that lead to several Services
	ttl      *uint16                      // of its names, in seconds; nil for the server's
}

// serviceState is the Services and EndpointSlices of a plugin block. It is not safe for concurrent use: services has the lock.
type serviceState struct {
	options *config.Options
	index   *records.Index
	observe func(triggered int64) // called with when a change that is answered now was triggered, in Unix nanoseconds

	exposed            map[cache.ObjectName]*exposedService
	namespaces         map[string]int                               // how many exposed Services there are in each
	renamed            map[cache.ObjectName]bool                    // Services whose names have come, gone or got another TTL since they were published
	slicesOf           map[cache.ObjectName][]*object.EndpointSlice // by Service, whether exposed or not (E1)
	slicesWithProblems map[cache.ObjectName]*object.EndpointSlice
	excluded           map[string]bool               // nodes whose endpoints are answered only where there is no other (L6); replaced, never changed
	states             endpoint.Counts               // of the endpoints of all exposed Services
	unions             map[cache.ObjectName][]*union // by the Services in them

	// due are the Services to be merged, with when the last known trigger of their changes was, in Unix nanoseconds, 0 for none.
	due map[cache.ObjectName]int64

	probing   *probing                              // nil for none
	probed    map[netip.AddrPort][]cache.ObjectName // exposed Services by where their endpoints are probed
	followers map[string][]cache.ObjectName         // exposed Services by the nodes of their endpoints that cannot be probed
}

// expose adds a Service of one of the two kinds of stores to the exposed ones, or updates it.
func (s *serviceState) expose(service *object.Service, store int) {
	key, ports := service.Key(), service.ServicePorts
	if !s.options.HTTPS {
		ports.HTTPS = nil
	}
	ports.Affinity = ports.Affinity && s.options.Affinity
	e := s.exposed[key]
	known := e != nil
	if !known {
		e = &exposedService{addrs: &records.AddressSet{}, ttl: service.TTL}
		e.node = &records.Node{Addrs: e.addrs, NamesBelow: true, Source: "service", Namespace: service.Namespace, Service: service.Name}
		e.standing.Store(&standing{})
		e.share.Store(&service.Share)
		s.exposed[key] = e
		s.namespaces[service.Namespace]++
	} else {
		s.annotate(key, e, service)
	}
	e.kept[store] = true
	if known && ports.Equal(e.ServicePorts) {
		return
	}
	e.ServicePorts = ports
	s.update(key, 0)
}

// annotate updates what an exposed Service's annotations say.
func (s *serviceState) annotate(key cache.ObjectName, e *exposedService, service *object.Service) {
	if !ptr.Equal(e.ttl, service.TTL) {
		e.ttl = service.TTL
		s.renamed[key] = true // or its names would keep the node that has the other one
	}
	share := &service.Share
	before := e.share.Swap(share)
	if ptr.Equal(before.Weight, share.Weight) && ptr.Equal(before.Priority, share.Priority) {
		return
	}
	for _, u := range s.unions[key] {
		if u.addrs != nil {
			s.mergeUnion(u)
		}
	}
}

// nameNode returns the node of an exposed Service's names. The reverse zones go by the one without its TTL.
func (e *exposedService) nameNode() *records.Node {
	if e.ttl == nil {
		return e.node
	}
	node := *e.node
	node.TTL = e.ttl
	return &node
}

// unexpose removes a Service of one of the stores, and reports whether it is gone: it may have come into the other before.
func (s *serviceState) unexpose(service cache.ObjectName, store int) bool {
	e := s.exposed[service]
	if e.kept[store] = false; e.kept != [2]bool{} {
		return false
	}
	s.states.Add(e.states, -1)
	if s.probing != nil {
		s.probe(service, e, nil)
		s.followNodes(service, e, nil)
	}
	s.updateReverse(e, e.addrs.Load(), &records.Addresses{})
	e.job = nil
	delete(s.exposed, service)
	if s.namespaces[service.Namespace]--; s.namespaces[service.Namespace] == 0 {
		delete(s.namespaces, service.Namespace)
	}
	s.renamed[service] = true
	return true
}

// setSlice replaces an EndpointSlice; either may be nil. It updates the Service of each (E1).
func (s *serviceState) setSlice(old, new *object.EndpointSlice) {
	var before, after cache.ObjectName
	if old != nil {
		before = old.ServiceName()
		remove(s.slicesOf, before, func(of *object.EndpointSlice) bool { return of.Name == old.Name })
		delete(s.slicesWithProblems, old.Key())
	}
	triggered := int64(0)
	if new != nil && new.Service != "" {
		after = new.ServiceName()
		s.slicesOf[after] = append(s.slicesOf[after], new)
		if new.Problems != nil {
			s.slicesWithProblems[new.Key()] = new
		}
	}
	if new != nil && (old == nil || new.Triggered != old.Triggered) {
		triggered = new.Triggered
	}
	s.update(after, triggered) // first, or what both are part of would be without it for a moment
	if before != after {
		s.update(before, 0)
	}
}

// problems returns those of exposed Services' slices.
func (s *serviceState) problems() (all []object.Problem) {
	for _, slice := range s.slicesWithProblems {
		if s.exposed[slice.ServiceName()] != nil {
			all = append(all, slice.Problems...)
		}
	}
	return all
}

// updateReverse updates the reverse zones with an exposed Service's endpoints, if they have names.
func (s *serviceState) updateReverse(e *exposedService, before, after *records.Addresses) {
	if s.options.Services {
		s.index.UpdateReverse(e.node, before, after)
	}
}

// combine stores the zones of the hosts that lead to unions, and merges these.
func (s *serviceState) combine(unions map[*union]bool) {
	for u := range unions {
		for _, name := range u.services {
			switch {
			case len(u.uses) == 0:
				remove(s.unions, name, func(of *union) bool { return of == u })
			case len(u.zones) == 0:
				s.unions[name] = append(s.unions[name], u)
			}
		}
		if u.zones = slices.Sorted(maps.Keys(u.uses)); len(u.zones) > 0 && u.addrs != nil {
			s.mergeUnion(u) // with what has changed meanwhile
		}
	}
}

// remove removes from the slice of a key, and the key with the last one.
func remove[K comparable, V any](all map[K][]V, key K, which func(V) bool) {
	if all[key] = slices.DeleteFunc(all[key], which); len(all[key]) == 0 {
		delete(all, key)
	}
}

func (s *serviceState) mergeUnion(u *union) {
	if u.addrs.Store(u.merge(s.options, s.exposed)) {
		s.index.MarkChanged(u.zones...)
	}
}

// nameServices returns the changes of the index for Services whose names have come, which replace claims on them in hosts, or
// have gone, which leaves them to a claim.
func (s *serviceState) nameServices(
	renamed map[cache.ObjectName]bool, hosts map[string]*records.Node,
) (put []records.Entry, gone []string) {
	for key := range renamed {
		e := s.exposed[key]
		if e != nil && !e.populated {
			e = nil // made anew, and to be named once it is
		}
		if e != nil {
			e.named = true
		}
		for _, name := range s.options.ServiceNames(key) {
			claim, claimed := hosts[name]
			switch {
			case e != nil:
				delete(hosts, name)
				put = append(put, records.Entry{Name: name, Node: e.nameNode()})
			case claimed:
				put = append(put, records.Entry{Name: name, Node: claim})
			default:
				gone = append(gone, name)
			}
		}
	}
	return put, gone
}
