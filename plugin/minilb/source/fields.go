package source

import (
	"fmt"

	"github.com/minilb/minilb/plugin/minilb/printable"
)

// The fields of everything that is kept in a snapshot. A change of them, or of their order, is
// another formatVersion.

func (m *meta) fields(c *codec) {
	shared(&m.namespace, c)
	text(&m.name, c)
	integer(&m.created, c)
	flag(&m.ignored, c)
}

func (s *service) fields(c *codec) {
	s.meta.fields(c)
	shared(&s.kind, c)
	maybe(&s.class, c, shared)
	pairs(&s.hosts, c)
	repeated(&s.shortened, c, (*shortening).fields)
	shared(&s.ports, c)
	maybe(&s.https, c, (*https).fields)
}

func (s *shortening) fields(c *codec) {
	shared(&s.annotation, c)
	integer(&s.hosts, c)
}

func (h *https) fields(c *codec) {
	shared(&h.port, c)
	flag(&h.plain, c)
	repeated(&h.alpn, c, text)
	repeated(&h.refused, c, text)
}

func (s *slice) fields(c *codec) {
	s.meta.fields(c)
	text(&s.service, c)
	s.endpoints.fields(c)
	repeated(&s.ports, c, (*port).fields)
	integer(&s.triggered, c)
	repeated(&s.problems, c, (*problem).fields)
}

func (e *endpoints) fields(c *codec) {
	if packed := c.bytes(e.packed); c.out == nil && len(packed) > 0 {
		e.packed = append([]byte(nil), packed...)
	}
	repeated(&e.hostnames, c, text)
	repeated(&e.nodes, c, shared)
	repeated(&e.pods, c, integer)
	integer(&e.width, c)
	fits := func(n int, none bool) bool { return none || n == e.len() }
	switch {
	case c.out != nil || e.width == 0 && e.packed == nil && e.hostnames == nil && e.nodes == nil && e.pods == nil:
	case e.width != 4+1 && e.width != 16+1, len(e.packed)%e.width != 0,
		!fits(len(e.hostnames), e.hostnames == nil), !fits(len(e.nodes), e.nodes == nil), !fits(len(e.pods), e.pods == nil):
		c.fail(fmt.Errorf("%d bytes, %d hostnames, %d nodes and %d pods cannot be those of endpoints that take %d bytes each", len(e.packed), len(e.hostnames), len(e.nodes), len(e.pods), e.width))
	}
}

func (p *port) fields(c *codec) {
	shared(&p.proto, c)
	shared(&p.service, c)
	integer(&p.number, c)
}

func (p *problem) fields(c *codec) {
	maybe(&p.owner, c, (*owner).fields)
	shared(&p.reason, c)
	text(&p.host, c)
	text(&p.text, c)
	integer(&p.hosts, c)
	if p.owner == nil && c.err == nil {
		c.fail(fmt.Errorf("the problem %q is nobody's", printable.Shorten(p.text)))
	}
}

func (o *owner) fields(c *codec) {
	shared(&o.kind, c)
	shared(&o.namespace, c)
	text(&o.name, c)
	integer(&o.created, c)
}

func (i *ingress) fields(c *codec) {
	i.meta.fields(c)
	repeated(&i.classes, c, shared)
	maybe(&i.service, c, text)
	repeated(&i.hosts, c, text)
	integer(&i.surplus, c)
	repeated(&i.addresses, c, (*ingressAddress).fields)
}

func (a *ingressAddress) fields(c *codec) {
	text(&a.ip, c)
	text(&a.hostname, c)
}

func (l *lead) fields(c *codec) {
	l.owner.fields(c)
	repeated(&l.targets, c, (*target).fields)
	repeated(&l.problems, c, (*problem).fields)
	text(&l.missing, c)
}

func (t *target) fields(c *codec) {
	address(&t.addr, c)
	objectName(&t.service, c)
	text(&t.host, c)
}

func (g *gateway) fields(c *codec) {
	g.meta.fields(c)
	g.lead.fields(c)
	shared(&g.class, c)
	repeated(&g.listeners, c, (*listener).fields)
	g.sets.fields(c)
	flag(&g.unreadable, c)
	flag(&g.standard, c)
}

func (l *listener) fields(c *codec) {
	text(&l.name, c)
	text(&l.host, c)
	integer(&l.port, c)
	shared(&l.protocol, c)
	repeated(&l.kinds, c, shared)
	l.routes.fields(c)
	repeated(&l.supported, c, shared)
	shared(&l.accepted, c)
	shared(&l.conflicts, c)
}

func (s *selection) fields(c *codec) {
	shared(&s.from, c)
	selector(&s.selector, c)
}

func (g *gatewayClass) fields(c *codec) {
	g.meta.fields(c)
	text(&g.controller, c)
	repeated(&g.problems, c, (*problem).fields)
}

func (n *namespace) fields(c *codec) {
	n.meta.fields(c)
	pairs(&n.labels, c)
}

func (s *listenerSet) fields(c *codec) {
	s.meta.fields(c)
	maybe(&s.lead, c, (*lead).fields)
	shared(&s.kind, c)
	s.parent.fields(c)
	repeated(&s.listeners, c, (*listener).fields)
	shared(&s.accepted, c)
	repeated(&s.problems, c, (*problem).fields)
}

func (k *kindName) fields(c *codec) {
	shared(&k.kind, c)
	shared(&k.namespace, c)
	text(&k.name, c)
}

func (r *route) fields(c *codec) {
	r.meta.fields(c)
	maybe(&r.lead, c, (*lead).fields)
	shared(&r.kind, c)
	repeated(&r.hosts, c, text)
	integer(&r.surplus, c)
	repeated(&r.parents, c, (*parentRef).fields)
	flag(&r.anywhere, c)
	repeated(&r.verdicts, c, (*verdict).fields)
	repeated(&r.problems, c, (*problem).fields)
}

func (p *parentRef) fields(c *codec) {
	p.kindName.fields(c)
	text(&p.section, c)
	integer(&p.port, c)
}

func (v *verdict) fields(c *codec) {
	v.parent.fields(c)
	shared(&v.controller, c)
	shared(&v.accepted, c)
	shared(&v.reason, c)
}
