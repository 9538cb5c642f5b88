// Package alias filters what other plugins answer for the targets of aliases, and for names of which some types are ours.
package alias

import (
	"net"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// Target is the target of an alias, with what is found there.
type Target struct {
	Name             string
	Answers          func(netip.Addr) bool // whether an address is answered (D30, D34)
	Listed           bool                  // only addresses in some networks are (D34)
	Records          []dns.RR              // of the type of the query, and the aliases that lead to them
	Usable, Unusable int                   // number of addresses; localhost counts as one

	names map[string]bool // the name and those that it is an alias of, canonical
}

// Add counts the addresses that aliases lead to from the target, and adds the records if they are of the query's type.
func (t *Target) Add(found []dns.RR, qtype uint16, answered bool) {
	passed := cnameChain(found, t.Name)
	if answered {
		t.names = passed
	}
	for _, rr := range found {
		kind := rr.Header().Rrtype
		if !passed[dns.CanonicalName(rr.Header().Name)] || kind != qtype && kind != dns.TypeCNAME && kind != dns.TypeRRSIG {
			continue
		}
		if rr = t.clean(rr, passed); rr != nil && answered {
			t.Records = append(t.Records, rr)
		}
	}
}

// InZone reports whether one of the names is in the zone.
func (t *Target) InZone(zone string) bool {
	for name := range t.names {
		if dns.IsSubDomain(zone, name) {
			return true
		}
	}
	return false
}

// cnameChain returns a name and those that aliases lead to from there, canonical.
func cnameChain(answer []dns.RR, name string) map[string]bool {
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
func (t *Target) clean(rr dns.RR, passed map[string]bool) dns.RR {
	bad := func(ip net.IP) bool { // 16 bytes of this package may be an address of IPv4
		addr, _ := netip.AddrFromSlice(ip)
		return t.rejects(addr.Unmap())
	}
	unusable := t.Unusable
	switch r := rr.(type) {
	case *dns.CNAME:
		if hostname.IsLocalhost(dns.CanonicalName(r.Target)) {
			t.Unusable++
			return nil
		}
	case *dns.A:
		if bad(r.A) {
			return nil
		}
	case *dns.AAAA:
		if addr, _ := netip.AddrFromSlice(r.AAAA); t.rejects(addr) {
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
			t.Unusable++
			return nil
		case t.Listed && target != "." && !passed[target]: // D34
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
		if t.Unusable > unusable {
			return own
		}
	}
	return rr
}

// rejects counts an address, and reports whether it is forbidden.
func (t *Target) rejects(addr netip.Addr) bool {
	if t.Answers(addr) {
		t.Usable++
		return false
	}
	t.Unusable++
	return true
}
