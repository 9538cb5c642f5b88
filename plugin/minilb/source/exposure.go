package source

import (
	"sync/atomic"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/probe"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// exposure is a Service that is served: its addresses, and what stands at its names.
type exposure struct {
	addrs  *records.Set
	node   *records.Node
	merged bool   // whether its addresses are those of its slices, so that it may have its names
	asOf   uint64 // the last change that they follow
	named  bool   // whether its names are answered
	object.ServicePorts
	states  states
	targets []probe.Target // where its endpoints are probed, in order
	doubted uint32         // what its unions know of doubtful

	// doubtful has a bit for each family of which all addresses that it is answered with are suspect:
	// as there are no others, they are answered, but not where other Services have better ones.
	doubtful atomic.Uint32
}

// unaddressed stands for every Service whose addresses and names nobody asks for. It does not change.
var unaddressed = func() *exposure {
	nowhere := &records.Set{}
	nowhere.Store(&records.Addresses{})
	return &exposure{addrs: nowhere, node: &records.Node{Addrs: nowhere}, merged: true, named: true}
}()

// expose adds a Service to the exposed ones.
func (t *Translator) expose(s *object.Service) *exposure {
	e := unaddressed
	if t.claimsOnly {
		t.rename(s.Key())
	} else {
		e = &exposure{addrs: &records.Set{}, ServicePorts: t.offeredBy(s)}
		e.node = &records.Node{Addrs: e.addrs, Parental: true, Source: "service", Namespace: s.Namespace, Service: s.Name}
	}
	t.exposed[s.Key()] = e
	t.namespaces[s.Namespace]++
	return e
}

// conceal takes a Service out of the exposed ones.
func (t *Translator) conceal(service cache.ObjectName) {
	e := t.exposed[service]
	t.states.add(e.states, -1)
	if t.probing != nil {
		t.probe(service, e, nil)
	}
	t.point(e, e.addrs.Load(), &records.Addresses{})
	delete(t.exposed, service)
	if t.namespaces[service.Namespace]--; t.namespaces[service.Namespace] == 0 {
		delete(t.namespaces, service.Namespace)
	}
	t.rename(service)
}

// rename lets the names of a Service be published that have come or gone.
func (t *Translator) rename(service cache.ObjectName) {
	t.renamed[service] = true
	t.publishSoon()
}

// find returns an exposed Service, nil if it is none. It is called with the lock held.
func (t *Translator) find(service cache.ObjectName) *exposure { return t.exposed[service] }

// offeredBy returns what a Service says of its ports, as far as somebody asks.
func (t *Translator) offeredBy(s *object.Service) object.ServicePorts {
	if t.claimsOnly {
		return object.ServicePorts{}
	}
	o := s.ServicePorts
	if !t.options.HTTPS {
		o.HTTPS = nil
	}
	return o
}

// point lets the reverse zones point to an exposed Service's endpoints, if they have names.
func (t *Translator) point(e *exposure, before, after *records.Addresses) {
	if t.options.Services {
		t.index.Move(e.node, before, after)
	}
}

// sound returns the addresses of an exposed Service without those of families that are doubtful.
func (e *exposure) sound() *records.Addresses {
	addrs := *e.addrs.Load()
	doubtful := e.doubtful.Load()
	if doubtful&1 != 0 {
		addrs.V4 = nil
	}
	if doubtful&2 != 0 {
		addrs.V6 = nil
	}
	return &addrs
}

// refresh puts the addresses that the slices give into the Service's set and into the unions
// it is part of, and reports whether that changed what is answered.
func (t *Translator) refresh(service cache.ObjectName, e *exposure, addrs *records.Addresses, states states) bool {
	t.states.add(e.states, -1)
	t.states.add(states, 1)
	e.states = states
	before := e.addrs.Load()
	changed, doubted := e.addrs.Store(addrs), e.doubtful.Load()
	if !changed && doubted == e.doubted {
		return false
	}
	e.doubted = doubted
	if changed {
		t.point(e, before, addrs)
	}
	if changed && e.named { // else that its names come counts as the change
		for _, name := range t.options.ServiceNames(service) {
			t.index.Touch(t.index.Match(name))
		}
		if !addrs.Alike(before) {
			t.index.Touch(t.named[service]...)
		}
	}
	for _, u := range t.unions[service] {
		if u.addrs.Store(u.merge(&t.options, t.find)) {
			t.index.Touch(u.zones...)
		}
	}
	return true
}

func (s *states) add(o states, sign int) {
	s.ready += sign * o.ready
	s.terminating += sign * o.terminating
	s.notReady += sign * o.notReady
	s.suspect += sign * o.suspect
}
