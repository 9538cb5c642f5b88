package minilb

import (
	"context"
	"net"
	"net/netip"
	"slices"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// maxAliases is how often a query may come back to the server on its way along aliases (D31).
const maxAliases = 8

// alias answers for a host whose address is a name outside the cluster: the alias, and what the
// server makes of the name (D30, D31). It reports false, and answers nothing, if the alias leads to
// no address but those that are not answered (D34): a client's resolver would follow it by itself.
func (m *Minilb) alias(ctx context.Context, state *request.Request, target string, reply *dns.Msg) bool {
	loop, _ := ctx.Value(dnsserver.LoopKey{}).(int)
	ctx = context.WithValue(ctx, dnsserver.LoopKey{}, loop+1)
	qtype := state.QType()
	end := aliasEnd{target: target, answers: m.answers, listed: m.listed}
	var found *dns.Msg
	if qtype != dns.TypeCNAME && loop < maxAliases {
		found = m.follow(ctx, state, target, qtype, &end)
	}
	// What has no address of its own may have some of the other type. A query that comes from an alias
	// is judged by whoever follows that one.
	if loop == 0 && (qtype == dns.TypeCNAME || found != nil && (found.Rcode == dns.RcodeSuccess || found.Rcode == dns.RcodeNameError)) {
		for _, family := range []uint16{dns.TypeA, dns.TypeAAAA} {
			if family != qtype && end.usable+end.unusable == 0 {
				m.follow(ctx, state, target, family, &end)
			}
		}
	}
	if end.unusable > 0 && end.usable == 0 {
		return false
	}
	reply.Answer = append(reply.Answer, &dns.CNAME{Hdr: m.header(state.QName(), dns.TypeCNAME), Target: target})
	if found == nil {
		return true // nobody here knows the name: the client's resolver can follow the alias itself
	}
	reply.Rcode = found.Rcode // RFC 6604 §3
	reply.Answer = append(reply.Answer, end.records...)
	for _, rr := range found.Ns { // only a negative answer's: without its SOA it could not be cached
		if rr.Header().Rrtype == dns.TypeSOA && end.within(rr.Header().Name) {
			reply.Ns = append(reply.Ns, rr)
		}
	}
	return true
}

// follow looks up where an alias ends, and returns nil if nobody here knows.
func (m *Minilb) follow(ctx context.Context, state *request.Request, target string, qtype uint16, end *aliasEnd) *dns.Msg {
	found, err := m.upstream.Lookup(ctx, *state, target, qtype)
	if err != nil || found == nil || found.Rcode == dns.RcodeRefused {
		return nil
	}
	end.add(found.Answer, qtype, qtype == state.QType())
	return found
}

// aliasEnd is what stands where an alias ends.
type aliasEnd struct {
	target           string
	answers          func(netip.Addr) bool
	listed           bool            // answers judges by a list
	passed           map[string]bool // names on the way along the aliases, canonical
	records          []dns.RR        // of the type that is asked for, and the aliases on the way to them
	usable, unusable int             // addresses; localhost is one
}

// add takes in what was found at the target, as records to answer with or to count alone. What is not
// on the way along the aliases is nobody's who is asked for.
func (e *aliasEnd) add(found []dns.RR, qtype uint16, answered bool) {
	passed := alongAliases(found, e.target)
	if answered {
		e.passed = passed
	}
	for _, rr := range found {
		kind := rr.Header().Rrtype
		if !passed[dns.CanonicalName(rr.Header().Name)] || kind != qtype && kind != dns.TypeCNAME && kind != dns.TypeRRSIG {
			continue
		}
		if rr = e.clean(rr, passed); rr != nil && answered {
			e.records = append(e.records, rr)
		}
	}
}

// within reports whether a name that the answer is about lies in the zone.
func (e *aliasEnd) within(zone string) bool {
	for name := range e.passed {
		if dns.IsSubDomain(zone, name) {
			return true
		}
	}
	return false
}

// alongAliases returns the names, canonical, that a resolver passes which follows aliases from a name on.
func alongAliases(answer []dns.RR, name string) map[string]bool {
	leads := map[string]string{} // owner of an alias -> its target
	for _, rr := range answer {
		if cname, ok := rr.(*dns.CNAME); ok {
			leads[dns.CanonicalName(cname.Hdr.Name)] = dns.CanonicalName(cname.Target)
		}
	}
	passed := map[string]bool{}
	for name = dns.CanonicalName(name); name != "" && !passed[name]; name = leads[name] {
		passed[name] = true
	}
	return passed
}

// clean counts the addresses of a record, hints among them. It returns the record without those that are not
// answered, and nil if it has no others. Where an alias ends is up to whoever holds the domain that it leads to. A
// binding to a name that is not passed leads to addresses that nobody has judged by the list.
func (e *aliasEnd) clean(rr dns.RR, passed map[string]bool) dns.RR {
	bad := func(ip net.IP) bool { // 16 bytes of this package may be an address of IPv4
		addr, _ := netip.AddrFromSlice(ip)
		return e.rejects(addr.Unmap())
	}
	unusable := e.unusable
	switch r := rr.(type) {
	case *dns.CNAME:
		if hostname.IsLocalhost(dns.CanonicalName(r.Target)) {
			e.unusable++
			return nil
		}
	case *dns.A:
		if bad(r.A) {
			return nil
		}
	case *dns.AAAA:
		if addr, _ := netip.AddrFromSlice(r.AAAA); e.rejects(addr) {
			return nil
		}
	case *dns.HTTPS, *dns.SVCB:
		own := dns.Copy(rr) // a cache may have the original
		binding, _ := own.(*dns.SVCB)
		if https, ok := own.(*dns.HTTPS); ok {
			binding = &https.SVCB
		}
		switch target := dns.CanonicalName(binding.Target); {
		case hostname.IsLocalhost(target):
			e.unusable++
			return nil
		case e.listed && target != "." && !passed[target]: // D34
			return nil
		}
		var without []dns.SVCBKey
		binding.Value = slices.DeleteFunc(binding.Value, func(value dns.SVCBKeyValue) bool {
			var left []net.IP
			switch hint := value.(type) {
			case *dns.SVCBIPv4Hint:
				hint.Hint = slices.DeleteFunc(hint.Hint, bad)
				left = hint.Hint
			case *dns.SVCBIPv6Hint:
				hint.Hint = slices.DeleteFunc(hint.Hint, bad)
				left = hint.Hint
			default:
				return false
			}
			if len(left) == 0 {
				without = append(without, value.Key())
			}
			return len(left) == 0
		})
		for _, value := range binding.Value { // one that lacks what it calls mandatory is malformed (RFC 9460 §8)
			if m, ok := value.(*dns.SVCBMandatory); ok && slices.ContainsFunc(without, func(key dns.SVCBKey) bool { return slices.Contains(m.Code, key) }) {
				return nil
			}
		}
		if e.unusable > unusable {
			return own
		}
	}
	return rr
}

// rejects counts an address, and reports whether it is one of those that are not answered.
func (e *aliasEnd) rejects(addr netip.Addr) bool {
	if e.answers(addr) {
		e.usable++
		return false
	}
	e.unusable++
	return true
}
