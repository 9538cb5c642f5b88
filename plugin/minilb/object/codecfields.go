package object

import (
	"fmt"

	"github.com/minilb/minilb/plugin/minilb/printable"
)

// The fields of everything that is kept in a snapshot. A change of them, or of their order, is
// another formatVersion.

func (m *Meta) CodecFields(c *Codec) {
	shared(&m.Namespace, c)
	Text(&m.Name, c)
	Integer(&m.Created, c)
	Flag(&m.Ignored, c)
}

func (s *Service) CodecFields(c *Codec) {
	s.Meta.CodecFields(c)
	shared(&s.Kind, c)
	maybe(&s.Class, c, shared)
	pairs(&s.Hosts, c)
	Repeated(&s.Truncated, c, (*Truncation).CodecFields)
	shared(&s.Named, c)
	maybe(&s.HTTPS, c, (*HTTPS).CodecFields)
}

func (s *Truncation) CodecFields(c *Codec) {
	shared(&s.Annotation, c)
	Integer(&s.Dropped, c)
}

func (h *HTTPS) CodecFields(c *Codec) {
	shared(&h.Port, c)
	Flag(&h.HasHTTP, c)
	Repeated(&h.ALPN, c, Text)
	Repeated(&h.Rejected, c, Text)
}

func (s *EndpointSlice) CodecFields(c *Codec) {
	s.Meta.CodecFields(c)
	Text(&s.Service, c)
	s.Endpoints.CodecFields(c)
	Repeated(&s.Ports, c, (*Port).CodecFields)
	Integer(&s.Triggered, c)
	Repeated(&s.Problems, c, (*Problem).CodecFields)
}

func (e *Endpoints) CodecFields(c *Codec) {
	if packed := c.Bytes(e.Packed); c.Out == nil && len(packed) > 0 {
		e.Packed = append([]byte(nil), packed...)
	}
	Repeated(&e.Hostnames, c, Text)
	Repeated(&e.Nodes, c, shared)
	Repeated(&e.Pods, c, Integer)
	Integer(&e.Width, c)
	fits := func(n int, none bool) bool { return none || n == e.Len() }
	switch {
	case c.Out != nil || e.Width == 0 && e.Packed == nil && e.Hostnames == nil && e.Nodes == nil && e.Pods == nil:
	case e.Width != 4+1 && e.Width != 16+1, len(e.Packed)%e.Width != 0,
		!fits(len(e.Hostnames), e.Hostnames == nil), !fits(len(e.Nodes), e.Nodes == nil), !fits(len(e.Pods), e.Pods == nil):
		c.Fail(fmt.Errorf("%d bytes, %d hostnames, %d nodes and %d pods cannot be those of endpoints that take %d bytes each", len(e.Packed), len(e.Hostnames), len(e.Nodes), len(e.Pods), e.Width))
	}
}

func (p *Port) CodecFields(c *Codec) {
	shared(&p.Proto, c)
	shared(&p.Service, c)
	Integer(&p.Number, c)
}

func (p *Problem) CodecFields(c *Codec) {
	maybe(&p.Ref, c, (*Ref).CodecFields)
	shared(&p.Reason, c)
	Text(&p.Host, c)
	Text(&p.Text, c)
	Integer(&p.Hosts, c)
	if p.Ref == nil && c.Err == nil {
		c.Fail(fmt.Errorf("the problem %q is nobody's", printable.Shorten(p.Text)))
	}
}

func (o *Ref) CodecFields(c *Codec) {
	shared(&o.Kind, c)
	shared(&o.Namespace, c)
	Text(&o.Name, c)
	Integer(&o.Created, c)
}

func (i *Ingress) CodecFields(c *Codec) {
	i.Meta.CodecFields(c)
	Repeated(&i.Classes, c, shared)
	maybe(&i.Service, c, Text)
	Repeated(&i.Hosts, c, Text)
	Integer(&i.Surplus, c)
	Repeated(&i.Addresses, c, (*IngressAddress).CodecFields)
}

func (a *IngressAddress) CodecFields(c *Codec) {
	Text(&a.IP, c)
	Text(&a.Hostname, c)
}

func (l *Targets) CodecFields(c *Codec) {
	l.Ref.CodecFields(c)
	Repeated(&l.List, c, (*Target).CodecFields)
	Repeated(&l.Problems, c, (*Problem).CodecFields)
	Text(&l.Missing, c)
}

func (t *Target) CodecFields(c *Codec) {
	Address(&t.Addr, c)
	objectName(&t.Service, c)
	Text(&t.Host, c)
}

func (g *Gateway) CodecFields(c *Codec) {
	g.Meta.CodecFields(c)
	g.Targets.CodecFields(c)
	shared(&g.Class, c)
	Repeated(&g.Listeners, c, (*Listener).CodecFields)
	g.AllowedListeners.CodecFields(c)
	Flag(&g.Malformed, c)
	Flag(&g.IsDefault, c)
}

func (l *Listener) CodecFields(c *Codec) {
	Text(&l.Name, c)
	Text(&l.Host, c)
	Integer(&l.Port, c)
	shared(&l.Protocol, c)
	Repeated(&l.Kinds, c, shared)
	l.AllowedRoutes.CodecFields(c)
	Repeated(&l.Supported, c, shared)
	shared(&l.Accepted, c)
	shared(&l.Conflicts, c)
}

func (s *NamespaceSelection) CodecFields(c *Codec) {
	shared(&s.From, c)
	Selector(&s.Selector, c)
}

func (g *GatewayClass) CodecFields(c *Codec) {
	g.Meta.CodecFields(c)
	Text(&g.Controller, c)
	Repeated(&g.Problems, c, (*Problem).CodecFields)
}

func (n *Namespace) CodecFields(c *Codec) {
	n.Meta.CodecFields(c)
	pairs(&n.Labels, c)
}

func (s *ListenerSet) CodecFields(c *Codec) {
	s.Meta.CodecFields(c)
	maybe(&s.Targets, c, (*Targets).CodecFields)
	shared(&s.Kind, c)
	s.Parent.CodecFields(c)
	Repeated(&s.Listeners, c, (*Listener).CodecFields)
	shared(&s.Accepted, c)
	Repeated(&s.Problems, c, (*Problem).CodecFields)
}

func (k *KindName) CodecFields(c *Codec) {
	shared(&k.Kind, c)
	shared(&k.Namespace, c)
	Text(&k.Name, c)
}

func (r *Route) CodecFields(c *Codec) {
	r.Meta.CodecFields(c)
	maybe(&r.Targets, c, (*Targets).CodecFields)
	shared(&r.Kind, c)
	Repeated(&r.Hosts, c, Text)
	Integer(&r.Surplus, c)
	Repeated(&r.Parents, c, (*ParentRef).CodecFields)
	Flag(&r.UseDefaultGateways, c)
	Repeated(&r.Statuses, c, (*RouteStatus).CodecFields)
	Repeated(&r.Problems, c, (*Problem).CodecFields)
}

func (p *ParentRef) CodecFields(c *Codec) {
	p.KindName.CodecFields(c)
	Text(&p.Section, c)
	Integer(&p.Port, c)
}

func (v *RouteStatus) CodecFields(c *Codec) {
	v.Parent.CodecFields(c)
	shared(&v.Controller, c)
	shared(&v.Accepted, c)
	shared(&v.Reason, c)
}
