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

// maxAliases bounds how often a query may come back to the server while it follows aliases (D31).
const maxAliases = 8

// alias answers for a host whose target is a name outside the cluster with a CNAME record, and with what
// the server answers for the target (D30, D31). It reports false, and adds nothing, if all addresses of
// the target are forbidden (D34): given the CNAME alone, the client's resolver would find them itself.
func (m *Minilb) alias(ctx context.Context, state *request.Request, target string, reply *dns.Msg) bool {
	loop, _ := ctx.Value(dnsserver.LoopKey{}).(int)
	ctx = context.WithValue(ctx, dnsserver.LoopKey{}, loop+1)
	qtype := state.QType()
	end := aliasEnd{target: target, answers: m.answers, listed: m.listed}
	var found *dns.Msg
	if qtype != dns.TypeCNAME && loop < maxAliases {
		found = m.follow(ctx, state, target, qtype, &end)
	}
	// A target without addresses of this type may have some of the other one. A query that follows an alias
	// is checked where that alias was followed.
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
		return true // no plugin knows the target: the client's resolver may
	}
	reply.Rcode = found.Rcode // RFC 6604 §3
	reply.Answer = append(reply.Answer, end.records...)
	for _, rr := range found.Ns { // without its SOA a negative answer could not be cached
		if rr.Header().Rrtype == dns.TypeSOA && end.within(rr.Header().Name) {
			reply.Ns = append(reply.Ns, rr)
		}
	}
	return true
}

// follow looks up the target of an alias, and returns nil if no plugin knows it.
func (m *Minilb) follow(ctx context.Context, state *request.Request, target string, qtype uint16, end *aliasEnd) *dns.Msg {
	found, err := m.upstream.Lookup(ctx, *state, target, qtype)
	if err != nil || found == nil || found.Rcode == dns.RcodeRefused {
		return nil
	}
	end.add(found.Answer, qtype, qtype == state.QType())
	return found
}

// aliasEnd is what was found at the target of an alias.
type aliasEnd struct {
	target           string
	answers          func(netip.Addr) bool
	listed           bool            // only addresses in some networks are answered
	passed           map[string]bool // the target and the names that it is an alias of, canonical
	records          []dns.RR        // of the type of the query, and the aliases that lead to them
	usable, unusable int             // number of addresses; localhost counts as one
}

// add counts the addresses found at the target, and adds the records if they are of the query's type.
// Records of names that the aliases do not lead to are ignored.
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

// within reports whether one of the names is in the zone.
func (e *aliasEnd) within(zone string) bool {
	for name := range e.passed {
		if dns.IsSubDomain(zone, name) {
			return true
		}
	}
	return false
}

// alongAliases returns a name and those that aliases lead to from there, canonical.
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

// clean counts the addresses of a record, including hints. It returns the record without the forbidden ones,
// and nil if none is left: the holder of the target's domain decides where it leads. A service binding to
// another name is dropped where only some networks are answered, as nothing checks its addresses.
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
		for _, value := range binding.Value { // a record without a mandatory key is malformed (RFC 9460 §8)
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

// rejects counts an address, and reports whether it is forbidden.
func (e *aliasEnd) rejects(addr netip.Addr) bool {
	if e.answers(addr) {
		e.usable++
		return false
	}
	e.unusable++
	return true
}
