package source

import (
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// exposure is a Service that is served: its addresses, and its names.
type exposure struct {
	addrs     *records.Set
	node      *records.Node
	names     []string // in each zone
	published bool     // whether the names are answered
	https     *https   // may be nil
	claim     *claim   // of its annotations, may be nil
	states    states
}

func (t *Translator) expose(s *service) *exposure {
	e := &exposure{addrs: &records.Set{}, https: t.httpsOf(s)}
	e.node = &records.Node{Addrs: e.addrs, Parental: true, Source: "service", Namespace: s.namespace, Service: s.name}
	if t.options.Services {
		for _, zone := range t.options.Zones {
			e.names = append(e.names, s.name+"."+s.namespace+"."+zone)
		}
	}
	return e
}

// httpsOf returns how a Service says that it serves HTTPS, nil if nobody asks.
func (t *Translator) httpsOf(s *service) *https {
	if !t.options.HTTPS {
		return nil
	}
	return s.https
}

// point lets the reverse zones point to an exposed Service's endpoints, if they have names.
func (t *Translator) point(e *exposure, before, after *records.Addresses) {
	if len(e.names) > 0 {
		t.index.Move(e.node, before, after)
	}
}

// refresh puts the addresses that the slices give into the Service's set and into the unions
// it is part of, and reports whether that changed what is answered.
func (t *Translator) refresh(service cache.ObjectName) bool {
	e := t.exposed[service]
	if e == nil {
		return false
	}
	addrs, states := t.options.merge(t.slicesOf[service], e.https)
	t.states.add(e.states, -1)
	t.states.add(states, 1)
	e.states = states
	before := e.addrs.Load()
	if !e.addrs.Store(addrs) {
		return false
	}
	t.point(e, before, addrs)
	if e.published { // else the snapshot with the names counts as the change
		for _, name := range e.names {
			t.index.Touch(t.index.Match(name))
		}
		if !addrs.Alike(before) {
			t.index.Touch(t.named[service]...)
		}
	}
	for _, u := range t.unions[service] {
		if u.addrs.Store(u.merge(&t.options, t.exposed)) {
			t.index.Touch(u.zones...)
		}
	}
	return true
}

func (s *states) add(o states, sign int) {
	s.ready += sign * o.ready
	s.terminating += sign * o.terminating
	s.notReady += sign * o.notReady
}
