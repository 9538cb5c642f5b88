package minilb

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/ede"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// SOA timers, in seconds (D24). Only secondaries use them.
const (
	soaRefresh = 7200
	soaRetry   = 1800
	soaExpire  = 86400
)

// srvWeight is the weight of every SRV record: all are of one Service, and no endpoint is preferred (D41, L3).
const srvWeight = 100

// answer returns the reply for a lookup. Owner names have the case of the query (D22); the server adds EDNS (D32).
func (m *Minilb) answer(ctx context.Context, state *request.Request, zone string, result records.Result, node *records.Node, who *asker) *dns.Msg {
	reply := new(dns.Msg)
	reply.SetReply(state.Req)
	reply.Authoritative = true

	owner, qtype := state.QName(), state.QType()
	switch {
	case node != nil && node.Addrs != nil && (qtype == dns.TypeA || qtype == dns.TypeAAAA):
		size := recordSize + net.IPv4len
		if qtype == dns.TypeAAAA {
			size = recordSize + net.IPv6len
		}
		reply.Answer = m.addresses(owner, qtype, node, m.limit(state, reply, size), who)
	case node != nil && node.Ports != nil && qtype == dns.TypeSRV:
		m.services(reply, state, owner, node)
		m.fit(reply, state)
	case node != nil && node.Target != "" && qtype != dns.TypeANY:
		if m.alias(ctx, state, node, reply) {
			return reply
		}
		ede.Add(reply, state.Req, dns.ExtendedErrorCodeFiltered, "all addresses of "+node.Target+" are forbidden, or outside the networks of property addresses")
	default:
		m.other(reply, state, zone, result, node)
	}
	if len(reply.Answer) == 0 {
		m.deny(reply, owner, zone)
	}
	return reply
}

// other answers what is queried less often than addresses and ports: its variables would enlarge the stack of those.
func (m *Minilb) other(reply *dns.Msg, state *request.Request, zone string, result records.Result, node *records.Node) {
	owner, qtype := state.QName(), state.QType()
	switch {
	case result == records.NameError:
		reply.Rcode = dns.RcodeNameError
	case qtype == dns.TypeANY: // D28, RFC 8482 §4.2
		reply.Answer = []dns.RR{m.hinfo(owner)}
	case state.Name() == zone && qtype == dns.TypeSOA:
		reply.Answer = []dns.RR{m.soa(owner, zone, m.index.Serial(zone))}
	case state.Name() == zone && qtype == dns.TypeNS:
		m.nameServers(reply, owner, zone)
		m.fit(reply, state)
	case node == nil:
	case qtype == dns.TypePTR:
		reply.Answer = m.pointers(owner, node.Pointers[:fittingPointers(m.room(state)-questionSize(reply), node.Pointers)])
	case qtype == dns.TypeHTTPS && node.Addrs != nil:
		reply.Answer = m.https(owner, node)
	}
}

// deny adds the SOA record of a negative answer (D25).
func (m *Minilb) deny(reply *dns.Msg, owner, zone string) {
	apex := zone
	if zone == "" { // D5: outside the zones each host is a zone of its own
		apex = owner
	}
	reply.Ns = []dns.RR{m.soa(apex, zone, m.index.PeekSerial(zone))}
}

func (m *Minilb) header(owner string, rrtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: rrtype, Class: dns.ClassINET, Ttl: m.ttl}
}

// headerOf returns the header of a record of the node's own (L2).
func (m *Minilb) headerOf(node *records.Node, owner string, rrtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: rrtype, Class: dns.ClassINET, Ttl: node.TTLOr(m.ttl)}
}

// hinfo returns the record that stands for all others of a name (RFC 8482 §4.2).
func (m *Minilb) hinfo(owner string) dns.RR {
	return &dns.HINFO{Hdr: m.header(owner, dns.TypeHINFO), Cpu: "RFC8482"}
}

// addresses returns a random sample of one family in random order (D20, D23), or what the client is to get (L4, L5), of those of
// one Service if the host leads to several with shares (L3): at most limit addresses, 0 for all.
func (m *Minilb) addresses(owner string, rrtype uint16, node *records.Node, limit int, who *asker) []dns.RR {
	var c *records.Client
	if who != nil {
		c = &who.Client
	}
	family := 0
	if rrtype == dns.TypeAAAA {
		family = 1
	}
	all, drawn := node.Addrs.Load().Draw(c, family)
	picked, varies := all.For(c, family == 1, limit)
	if drawn || varies {
		who.varies = true
	}
	return m.addressRecords(node, len(picked), func(i int) (string, netip.Addr) { return owner, picked[i] })
}

// bothFamilies returns samples of all addresses.
func (m *Minilb) bothFamilies(owner string, node *records.Node, limit int) []dns.RR {
	all := node.Addrs.Load()
	return append(m.sample(owner, node, all.V4, limit), m.sample(owner, node, all.V6, limit)...)
}

func (m *Minilb) sample(owner string, node *records.Node, all []netip.Addr, limit int) []dns.RR {
	picked := records.Sample(all, limit)
	return m.addressRecords(node, len(picked), func(i int) (string, netip.Addr) { return owner, picked[i] })
}

// addressRecords returns n records with the owners and addresses that of returns. They share one allocation for each type.
func (m *Minilb) addressRecords(node *records.Node, n int, of func(i int) (owner string, addr netip.Addr)) []dns.RR {
	n4 := 0
	for i := range n {
		if _, addr := of(i); addr.Is4() {
			n4++
		}
	}
	rrs := make([]dns.RR, n)
	own4 := make([]struct {
		rr dns.A
		ip [net.IPv4len]byte
	}, n4)
	own6 := make([]struct {
		rr dns.AAAA
		ip [net.IPv6len]byte
	}, n-n4)
	for i := range n {
		if owner, addr := of(i); addr.Is4() {
			own := &own4[0]
			own4 = own4[1:]
			own.ip = addr.As4()
			own.rr = dns.A{Hdr: m.headerOf(node, owner, dns.TypeA), A: own.ip[:]}
			rrs[i] = &own.rr
		} else {
			own := &own6[0]
			own6 = own6[1:]
			own.ip = addr.As16()
			own.rr = dns.AAAA{Hdr: m.headerOf(node, owner, dns.TypeAAAA), AAAA: own.ip[:]}
			rrs[i] = &own.rr
		}
	}
	return rrs
}

// services answers with all SRV records of a named port and the addresses of their targets (D23b, D41, RFC 2782). If they do
// not fit, and the server truncates them, a client gets the same ones each time.
func (m *Minilb) services(reply *dns.Msg, state *request.Request, owner string, node *records.Node) {
	service := serviceOf(owner)
	targets := node.Targets(service, overflowing(state, recordSize+srvSize+len(service)))
	fit := targetsFit(m.room(state)-questionSize(reply), targets)
	if fit {
		rand.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	}
	reply.Answer = m.targets(owner, node, targets)
	if fit { // else the server truncates the reply
		reply.Extra = m.additional(node, targets)
	}
}

func (m *Minilb) targets(owner string, node *records.Node, targets []records.Target) []dns.RR {
	rrs, own := make([]dns.RR, len(targets)), make([]dns.SRV, len(targets))
	for i := range targets {
		own[i] = dns.SRV{Hdr: m.headerOf(node, owner, dns.TypeSRV), Weight: srvWeight, Port: targets[i].Number, Target: targets[i].Name}
		rrs[i] = &own[i]
	}
	return rrs
}

func (m *Minilb) additional(node *records.Node, targets []records.Target) []dns.RR {
	if len(node.Ports) == 1 && len(targets) > 0 && targets[0].Addr.IsValid() {
		return m.addressRecords(node, len(targets), func(i int) (string, netip.Addr) { return targets[i].Name, targets[i].Addr })
	}
	owners, addrs := addressesAt(node, targets)
	return m.addressRecords(node, len(addrs), func(i int) (string, netip.Addr) { return owners[i], addrs[i] })
}

// addressesAt returns the names of targets, of which several may be equal, with their addresses.
func addressesAt(node *records.Node, targets []records.Target) (owners []string, addrs []netip.Addr) {
	seen := make(map[string]bool, len(targets))
	for i := range targets {
		name := targets[i].Name
		if seen[name] {
			continue
		}
		seen[name] = true
		for _, addr := range node.ServedBy.At(targets[i].Label()) { // IPv4 first
			owners, addrs = append(owners, name), append(addrs, addr)
		}
	}
	return owners, addrs
}

// serviceOf returns the name of the Service that a named port's name is below.
func serviceOf(port string) string {
	_, service, _ := strings.Cut(port, ".")
	_, service, _ = strings.Cut(service, ".")
	return service
}

// https returns the HTTPS record of a name: in service mode, with the name itself as the target (D50, D51, RFC 9460 §9).
func (m *Minilb) https(owner string, node *records.Node) []dns.RR {
	params := node.SvcParams()
	if params == nil || strings.HasPrefix(owner, "_") { // the name of another port (RFC 9460 §9.1)
		return nil
	}
	rr := &dns.HTTPS{SVCB: dns.SVCB{Hdr: m.headerOf(node, owner, dns.TypeHTTPS), Priority: 1, Target: "."}}
	if len(params.ALPN) > 0 {
		rr.Value = append(rr.Value, &dns.SVCBAlpn{Alpn: params.ALPN})
	}
	if params.Port != 443 {
		rr.Value = append(rr.Value, &dns.SVCBPort{Port: params.Port})
	}
	return []dns.RR{rr}
}

// pointers returns the PTR records of an address (D60).
func (m *Minilb) pointers(owner string, names []string) (rrs []dns.RR) {
	for _, name := range names {
		rrs = append(rrs, &dns.PTR{Hdr: m.header(owner, dns.TypePTR), Ptr: name})
	}
	return rrs
}

// soa returns the SOA record of a zone, or of a host outside the zones if zone is "" (D5, D24).
func (m *Minilb) soa(owner, zone string, serial uint32) *dns.SOA {
	meta := m.zoneMeta(zone)
	return &dns.SOA{
		Hdr: m.header(owner, dns.TypeSOA), Ns: meta.servers[0], Mbox: meta.mailbox, Serial: serial,
		Refresh: soaRefresh, Retry: soaRetry, Expire: soaExpire, Minttl: m.ttl,
	}
}

// nameServers answers with the NS records of a zone, and the addresses of those servers that are in our zones (D26).
func (m *Minilb) nameServers(reply *dns.Msg, owner, zone string) {
	reply.Answer = m.apexServers(owner, zone)
	for _, name := range m.zoneMeta(zone).servers {
		if result, node := m.index.Lookup(m.index.Zone(name), name); result == records.Found && node.Target == "" {
			reply.Extra = append(reply.Extra, m.bothFamilies(name, node, m.maxAnswers)...)
		}
	}
}

// zoneMeta is the SOA and NS data of a forward zone.
type zoneMeta struct {
	zone    string
	servers []string // those of the Corefile, or ns1 below the apex, not in a subdomain, which would be a namespace's (D26)
	mailbox string   // of who is responsible, as a name (RFC 1035 §3.3.13)
}

// zoneMeta returns the data of a forward zone, or that of the first one for reverse zones and hosts outside all zones.
func (m *Minilb) zoneMeta(zone string) *zoneMeta {
	i := slices.IndexFunc(m.zones, func(meta zoneMeta) bool { return meta.zone == zone })
	return &m.zones[max(0, i)]
}
