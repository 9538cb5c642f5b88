package minilb

import (
	"strings"

	"github.com/miekg/dns"
)

// existing writes what the next plugin says of a name that exists here. That the name does
// not exist elsewhere means that it has no data of that type: resolvers take NXDOMAIN for all
// types, so that it would hide the addresses, and what lies below (RFC 2308 §5, RFC 8020).
type existing struct {
	dns.ResponseWriter
}

// WriteMsg implements the dns.ResponseWriter interface.
func (w existing) WriteMsg(reply *dns.Msg) error {
	if reply.Rcode == dns.RcodeNameError && len(reply.Answer) == 0 { // else it is said of an alias' target
		nodata := *reply
		nodata.Rcode = dns.RcodeSuccess
		reply = &nodata
	}
	return w.ResponseWriter.WriteMsg(reply)
}

// claimed is existing for a name that has addresses here. If it is an alias elsewhere, it has
// the data of the alias' target, but is none: resolvers would follow it for all types, to other
// addresses (RFC 1034 §3.6.2).
type claimed struct {
	existing
	soa *dns.SOA // of the name
}

// WriteMsg implements the dns.ResponseWriter interface.
func (w claimed) WriteMsg(reply *dns.Msg) error {
	if len(reply.Question) != 1 || !aliased(reply) {
		return w.existing.WriteMsg(reply)
	}
	q, flat := reply.Question[0], *reply
	flat.AuthenticatedData, flat.Answer, flat.Ns = false, nil, nil
	for _, rr := range reply.Answer {
		if rr.Header().Rrtype == q.Qtype && q.Qtype != dns.TypeCNAME {
			rr = dns.Copy(rr)
			rr.Header().Name = q.Name
			flat.Answer = append(flat.Answer, rr)
		}
	}
	if len(flat.Answer) == 0 && (flat.Rcode == dns.RcodeSuccess || flat.Rcode == dns.RcodeNameError) {
		flat.Rcode, flat.Ns = dns.RcodeSuccess, []dns.RR{w.soa} // D5
	}
	return w.ResponseWriter.WriteMsg(&flat)
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
