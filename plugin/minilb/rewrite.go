package minilb

import (
	"math"
	"strings"

	"github.com/miekg/dns"
)

// claimed writes what the next plugin says of a host that has addresses here, in a type that is
// left to it (D6). Two things that it may say are of all types, and would hide the addresses from
// whoever remembers them:
//   - that there is no such name (RFC 2308 §5): it has no data of that type, then;
//   - that it is an alias (RFC 1034 §3.6.2): it has the data of the alias' target, then.
type claimed struct {
	dns.ResponseWriter
	soa *dns.SOA // of the host
}

// WriteMsg implements the dns.ResponseWriter interface. It leaves reply, which a cache may keep,
// as it is.
func (w claimed) WriteMsg(reply *dns.Msg) error {
	own := *reply
	switch {
	case len(reply.Question) == 1 && aliased(reply):
		q := reply.Question[0]
		own.AuthenticatedData, own.Answer, own.Ns = false, nil, nil
		passed := alongAliases(reply.Answer, q.Name)
		ttl := uint32(math.MaxUint32) // no longer than any alias on the way
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
			own.Rcode, own.Ns = dns.RcodeSuccess, []dns.RR{w.soa} // D5
		}
	case reply.Rcode == dns.RcodeNameError && len(reply.Answer) == 0: // else it is said of an alias' target
		own.AuthenticatedData, own.Rcode = false, dns.RcodeSuccess
	}
	return w.ResponseWriter.WriteMsg(&own)
}

// aliased reports whether the name that was asked for is an alias.
func aliased(reply *dns.Msg) bool {
	for _, rr := range reply.Answer {
		if rr.Header().Rrtype == dns.TypeCNAME && strings.EqualFold(rr.Header().Name, reply.Question[0].Name) {
			return true
		}
	}
	return false
}
