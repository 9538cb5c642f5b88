package alias

import (
	"math"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Claimed rewrites the next plugin's reply for a claimed host, in a type that is not ours (D6). Two
// statements would count for all types, and hide the addresses from a cache:
//   - NXDOMAIN (RFC 2308 §5) becomes NODATA;
//   - of an alias (RFC 1034 §3.6.2) only the data of the target is left, under the host's own name.
type Claimed struct {
	dns.ResponseWriter
	SOA *dns.SOA // of the host
}

// WriteMsg implements the dns.ResponseWriter interface. It does not modify reply, which a cache may keep.
func (w Claimed) WriteMsg(reply *dns.Msg) error {
	own := *reply
	switch {
	case len(reply.Question) == 1 && aliased(reply):
		q := reply.Question[0]
		own.AuthenticatedData, own.Answer, own.Ns = false, nil, nil
		passed := cnameChain(reply.Answer, q.Name)
		ttl := uint32(math.MaxUint32) // the shortest of the aliases
		for _, rr := range reply.Answer {
			if rr.Header().Rrtype == dns.TypeCNAME {
				ttl = min(ttl, rr.Header().Ttl)
			}
		}
		for _, rr := range reply.Answer {
			if passed[dns.CanonicalName(rr.Header().Name)] && rr.Header().Rrtype == q.Qtype && q.Qtype != dns.TypeCNAME && q.Qtype != dns.TypeRRSIG {
				rr = dns.Copy(rr)
				rr.Header().Name, rr.Header().Ttl = q.Name, min(ttl, rr.Header().Ttl)
				own.Answer = append(own.Answer, rr)
			}
		}
		if len(own.Answer) == 0 && !own.Truncated && (own.Rcode == dns.RcodeSuccess || own.Rcode == dns.RcodeNameError) {
			own.Rcode, own.Ns = dns.RcodeSuccess, []dns.RR{w.SOA} // D5
		}
	case reply.Rcode == dns.RcodeNameError && len(reply.Answer) == 0: // else it is about an alias' target
		own.AuthenticatedData, own.Rcode = false, dns.RcodeSuccess
	}
	return w.ResponseWriter.WriteMsg(&own)
}

// aliased reports whether the name of the question is an alias.
func aliased(reply *dns.Msg) bool {
	return slices.ContainsFunc(reply.Answer, func(rr dns.RR) bool {
		return rr.Header().Rrtype == dns.TypeCNAME && strings.EqualFold(rr.Header().Name, reply.Question[0].Name)
	})
}
