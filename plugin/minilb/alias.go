package minilb

import (
	"context"
	"net/netip"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/alias"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// maxAliases bounds how often a query may come back to the server while it follows aliases (D31).
const maxAliases = 8

// alias answers for a host whose target is a name outside the cluster: with a CNAME record, and with what the server answers
// for the target (D30, D31). It reports false, and adds nothing, if all addresses of the target are forbidden (D34): given
// the CNAME alone, the client's resolver would find them itself.
func (m *Minilb) alias(ctx context.Context, state *request.Request, node *records.Node, reply *dns.Msg) bool {
	target := node.Target
	loop, _ := ctx.Value(dnsserver.LoopKey{}).(int)
	ctx = context.WithValue(ctx, dnsserver.LoopKey{}, loop+1)
	qtype := state.QType()
	answers := func(addr netip.Addr) bool { return object.In(m.networks, addr) }
	end := alias.Target{Name: target, Answers: answers, Listed: m.networks != nil}
	var found *dns.Msg
	if qtype != dns.TypeCNAME && loop < maxAliases {
		found = m.follow(ctx, state, target, qtype, &end)
	}
	// A target without addresses of this type may have some of the other. Further aliases were checked where they were followed.
	if loop == 0 && (qtype == dns.TypeCNAME || found != nil && (found.Rcode == dns.RcodeSuccess || found.Rcode == dns.RcodeNameError)) {
		for _, family := range []uint16{dns.TypeA, dns.TypeAAAA} {
			if family != qtype && end.Usable+end.Unusable == 0 {
				m.follow(ctx, state, target, family, &end)
			}
		}
	}
	if end.Unusable > 0 && end.Usable == 0 {
		return false
	}
	reply.Answer = append(reply.Answer, &dns.CNAME{Hdr: m.headerOf(node, state.QName(), dns.TypeCNAME), Target: target})
	if found == nil {
		return true // no plugin knows the target: the client's resolver may
	}
	reply.Rcode = found.Rcode // RFC 6604 §3
	reply.Answer = append(reply.Answer, end.Records...)
	for _, rr := range found.Ns { // without its SOA a negative answer could not be cached
		if rr.Header().Rrtype == dns.TypeSOA && end.InZone(rr.Header().Name) {
			reply.Ns = append(reply.Ns, rr)
		}
	}
	return true
}

// follow looks up the target of an alias, and returns nil if no plugin knows it.
func (m *Minilb) follow(ctx context.Context, state *request.Request, target string, qtype uint16, end *alias.Target) *dns.Msg {
	found, err := m.upstream.Lookup(ctx, *state, target, qtype)
	if err != nil || found == nil || found.Rcode == dns.RcodeRefused {
		return nil
	}
	end.Add(found.Answer, qtype, qtype == state.QType())
	return found
}
