package minilb

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// SOA timers, in seconds (D24). They matter to secondaries alone.
const (
	soaRefresh = 7200
	soaRetry   = 1800
	soaExpire  = 86400
)

// srvWeight is that of all targets: each is as good as the others (D41).
const srvWeight = 100

// maxAliases is how often a query may come back to the server on its way along aliases (D31).
const maxAliases = 8

// answer makes the reply for what the index found at the name. Owner names are written as
// they were asked for (D22); size and EDNS are the server's (D32).
func (m *Minilb) answer(ctx context.Context, state request.Request, zone string, result records.Result, node *records.Node) *dns.Msg {
	reply := new(dns.Msg)
	reply.SetReply(state.Req)
	reply.Authoritative = true

	owner, qtype := state.QName(), state.QType()
	switch {
	case result == records.NotFound:
		reply.Rcode = dns.RcodeNameError
	case qtype == dns.TypeANY: // D28, RFC 8482 §4.2
		reply.Answer = []dns.RR{m.existence(owner)}
	case state.Name() == zone && qtype == dns.TypeSOA:
		reply.Answer = []dns.RR{m.soa(owner, zone, m.index.Serial(zone))}
	case state.Name() == zone && qtype == dns.TypeNS:
		m.nameServers(reply, owner, zone)
		m.fit(reply, state)
	case node == nil:
	case node.Target != "":
		m.alias(ctx, state, node.Target, reply)
		return reply
	case qtype == dns.TypePTR:
		reply.Answer = m.pointers(owner, node.Pointers[:fittingPointers(m.room(state)-questionSize(reply), node.Pointers)])
	case qtype == dns.TypeSRV && node.Ports != nil:
		m.services(reply, state, node)
		m.fit(reply, state)
	case node.Addrs == nil:
	case qtype == dns.TypeA:
		reply.Answer = m.addresses(owner, qtype, node, m.limit(state, reply, recordSize+net.IPv4len))
	case qtype == dns.TypeAAAA:
		reply.Answer = m.addresses(owner, qtype, node, m.limit(state, reply, recordSize+net.IPv6len))
	case qtype == dns.TypeHTTPS:
		reply.Answer = m.https(owner, node)
	}
	if len(reply.Answer) == 0 { // D25; D5: outside our zones each host is a zone of its own
		apex := zone
		if zone == "" {
			apex = owner
		}
		reply.Ns = []dns.RR{m.soa(apex, zone, m.index.PeekSerial(zone))}
	}
	return reply
}

func (m *Minilb) header(owner string, rrtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: rrtype, Class: dns.ClassINET, Ttl: m.ttl}
}

// existence is a record that says no more than that the name exists (RFC 8482 §4.2).
func (m *Minilb) existence(owner string) dns.RR {
	return &dns.HINFO{Hdr: m.header(owner, dns.TypeHINFO), Cpu: "RFC8482"}
}

// addresses returns the RRset of the type: all addresses of the family, or as many as the limit
// says, 0 for all, drawn at random and in random order (D20, D23).
func (m *Minilb) addresses(owner string, rrtype uint16, node *records.Node, limit int) []dns.RR {
	all := node.Addrs.Load().V4
	if rrtype == dns.TypeAAAA {
		all = node.Addrs.Load().V6
	}
	return m.addressRecords(owner, rrtype, records.Pick(all, limit))
}

// addressRecords returns the records of addresses, all of which are of the type's family. What
// they are made of is made at once: it is thrown away at once, too.
func (m *Minilb) addressRecords(owner string, rrtype uint16, addrs []netip.Addr) []dns.RR {
	rrs := make([]dns.RR, len(addrs))
	if rrtype == dns.TypeAAAA {
		own, octets := make([]dns.AAAA, len(addrs)), make([][net.IPv6len]byte, len(addrs))
		for i, addr := range addrs {
			octets[i] = addr.As16()
			own[i] = dns.AAAA{Hdr: m.header(owner, dns.TypeAAAA), AAAA: octets[i][:]}
			rrs[i] = &own[i]
		}
		return rrs
	}
	own, octets := make([]dns.A, len(addrs)), make([][net.IPv4len]byte, len(addrs))
	for i, addr := range addrs {
		octets[i] = addr.As4()
		own[i] = dns.A{Hdr: m.header(owner, dns.TypeA), A: octets[i][:]}
		rrs[i] = &own[i]
	}
	return rrs
}

// services answers with the SRV records of a named port, and the addresses of the endpoints
// that they name (D41, RFC 2782).
func (m *Minilb) services(reply *dns.Msg, state request.Request, node *records.Node) {
	owner := state.QName()
	service := serviceOf(owner)
	limit := m.maxAnswers
	if limit == 0 {
		limit = overflowing(state, recordSize+srvSize+len(service))
	}
	targets := someTargets(node, service, limit)
	n := fittingTargets(m.room(state)-questionSize(reply), targets, service)
	if m.maxAnswers > 0 {
		targets = targets[:n]
	}
	reply.Answer = m.targets(owner, targets)
	if n < len(targets) {
		return // it is truncated, so that additional records are of no use
	}
	named := make(map[string]bool, len(targets))
	reply.Extra = make([]dns.RR, 0, len(targets))
	for i, target := range targets {
		if named[target.Label] {
			continue
		}
		named[target.Label] = true
		name := reply.Answer[i].(*dns.SRV).Target
		for _, addr := range node.Of.At(target.Label) { // IPv4 first
			reply.Extra = append(reply.Extra, m.addressRecord(name, addr))
		}
	}
}

// addressRecord returns the record of one address.
func (m *Minilb) addressRecord(owner string, addr netip.Addr) dns.RR {
	if addr.Is4() {
		return &dns.A{Hdr: m.header(owner, dns.TypeA), A: addr.AsSlice()}
	}
	return &dns.AAAA{Hdr: m.header(owner, dns.TypeAAAA), AAAA: addr.AsSlice()}
}

// targets returns the SRV records of a named port, whose name owner is.
func (m *Minilb) targets(owner string, targets []records.Target) []dns.RR {
	rrs := make([]dns.RR, 0, len(targets))
	for _, target := range targets {
		rrs = append(rrs, &dns.SRV{Hdr: m.header(owner, dns.TypeSRV), Weight: srvWeight, Port: target.Number, Target: target.Label + "." + serviceOf(owner)})
	}
	return rrs
}

// someTargets returns at most limit of a port's targets, without those whose names below the Service's
// would be too long (D33).
func someTargets(node *records.Node, service string, limit int) []records.Target {
	if records.Below(longestLabel, service) != "" {
		return node.Targets(limit)
	}
	targets := nameable(node.Targets(0), service)
	return targets[:min(len(targets), limit)]
}

var longestLabel = strings.Repeat("x", 63)

// nameable returns the targets that can have names below the Service's (D33).
func nameable(targets []records.Target, service string) []records.Target {
	return slices.DeleteFunc(targets, func(t records.Target) bool { return records.Below(t.Label, service) == "" })
}

// serviceOf returns the name of the Service that a named port's is below.
func serviceOf(port string) string {
	_, service, _ := strings.Cut(port, ".")
	_, service, _ = strings.Cut(service, ".")
	return service
}

// https answers with how the Service behind a name serves HTTPS. The name itself is the target,
// and its addresses are asked for as always (D50, D51, RFC 9460 §9).
func (m *Minilb) https(owner string, node *records.Node) []dns.RR {
	binding := node.Binding()
	if binding == nil || strings.HasPrefix(owner, "_") { // which asks for another port (RFC 9460 §9.1)
		return nil
	}
	rr := &dns.HTTPS{SVCB: dns.SVCB{Hdr: m.header(owner, dns.TypeHTTPS), Priority: 1, Target: "."}}
	if len(binding.ALPN) > 0 {
		rr.Value = append(rr.Value, &dns.SVCBAlpn{Alpn: binding.ALPN})
	}
	if binding.Port != 443 {
		rr.Value = append(rr.Value, &dns.SVCBPort{Port: binding.Port})
	}
	return []dns.RR{rr}
}

// pointers answers with the names of an address (D60).
func (m *Minilb) pointers(owner string, names []string) []dns.RR {
	var rrs []dns.RR
	for _, name := range names {
		rrs = append(rrs, &dns.PTR{Hdr: m.header(owner, dns.TypePTR), Ptr: name})
	}
	return rrs
}

// alias answers for a host whose address is a name outside the cluster: the alias, and what
// the server makes of the name (D30, D31).
func (m *Minilb) alias(ctx context.Context, state request.Request, target string, reply *dns.Msg) {
	reply.Answer = []dns.RR{&dns.CNAME{Hdr: m.header(state.QName(), dns.TypeCNAME), Target: target}}
	if state.QType() == dns.TypeCNAME {
		return
	}
	loop, _ := ctx.Value(dnsserver.LoopKey{}).(int)
	if loop >= maxAliases {
		return
	}
	ctx = context.WithValue(ctx, dnsserver.LoopKey{}, loop+1)
	found, err := m.upstream.Lookup(ctx, state, target, state.QType())
	if err != nil || found == nil || found.Rcode == dns.RcodeRefused {
		return // nobody here knows the name: the client's resolver can follow the alias itself
	}
	reply.Rcode = found.Rcode // RFC 6604 §3
	reply.Answer = append(reply.Answer, found.Answer...)
	for _, rr := range found.Ns { // only a negative answer's: without its SOA it could not be cached
		if rr.Header().Rrtype == dns.TypeSOA {
			reply.Ns = append(reply.Ns, rr)
		}
	}
}

// soa returns the SOA record of zone, or of a host outside our zones if zone is "" (D5, D24).
func (m *Minilb) soa(owner, zone string, serial uint32) *dns.SOA {
	return &dns.SOA{
		Hdr:     m.header(owner, dns.TypeSOA),
		Ns:      m.nameserverNames(zone)[0],
		Mbox:    "hostmaster." + m.home(zone),
		Serial:  serial,
		Refresh: soaRefresh,
		Retry:   soaRetry,
		Expire:  soaExpire,
		Minttl:  m.ttl,
	}
}

// nameServers answers with the NS records of a zone and the addresses of those that are
// names of ours (D26).
func (m *Minilb) nameServers(reply *dns.Msg, owner, zone string) {
	for _, name := range m.nameserverNames(zone) {
		reply.Answer = append(reply.Answer, &dns.NS{Hdr: m.header(owner, dns.TypeNS), Ns: name})
		result, node := m.index.Lookup(m.index.Match(name), name)
		if result != records.Found || node.Target != "" {
			continue
		}
		reply.Extra = append(reply.Extra, m.addresses(name, dns.TypeA, node, m.maxAnswers)...)
		reply.Extra = append(reply.Extra, m.addresses(name, dns.TypeAAAA, node, m.maxAnswers)...)
	}
}

// nameserverNames returns the names of the zone's servers: those of the Corefile, or ns1
// below the apex. It is not in a subdomain, which would be a namespace's (D26).
func (m *Minilb) nameserverNames(zone string) []string {
	if m.nameservers != nil {
		return m.nameservers
	}
	return []string{nameserver(m.home(zone))}
}

// home returns the zone in which the names are that belong to a zone's structure: for a reverse
// zone, and for what lies outside of all zones, the first forward zone.
func (m *Minilb) home(zone string) string {
	if slices.Contains(m.zones, zone) {
		return zone
	}
	return m.zones[0]
}

func nameserver(zone string) string { return "ns1." + zone }
