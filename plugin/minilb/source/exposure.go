package source

import (
	"sync/atomic"

	"k8s.io/client-go/tools/cache"

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
	offered
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
func (t *Translator) expose(s *service) *exposure {
	e := unaddressed
	if t.claimsOnly {
		t.rename(s.key())
	} else {
		e = &exposure{addrs: &records.Set{}, offered: t.offeredBy(s)}
		e.node = &records.Node{Addrs: e.addrs, Parental: true, Source: "service", Namespace: s.namespace, Service: s.name}
	}
	t.exposed[s.key()] = e
	t.namespaces[s.namespace]++
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

// namesOf returns the names that an exposed Service has, one in each zone.
func (o *Options) namesOf(service cache.ObjectName) (names []string) {
	if o.Services {
		for _, zone := range o.Zones {
			names = append(names, service.Name+"."+service.Namespace+"."+zone)
		}
	}
	return names
}

// serviceNamed returns the Service that would have the name host by the structure of a zone (M3,
// D16), whether it is exposed or not. There is but one zone with two labels less.
func (o *Options) serviceNamed(host string) (service cache.ObjectName, ok bool) {
	for _, zone := range o.Zones {
		if !inZone(host, zone) {
			continue
		}
		if labels := below(host, zone); len(labels) == 2 {
			return cache.NewObjectName(labels[1], labels[0]), true
		}
	}
	return cache.ObjectName{}, false
}

// offeredBy returns what a Service says of its ports, as far as somebody asks.
func (t *Translator) offeredBy(s *service) offered {
	if t.claimsOnly {
		return offered{}
	}
	o := s.offered
	if !t.options.HTTPS {
		o.https = nil
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
		for _, name := range t.options.namesOf(service) {
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
