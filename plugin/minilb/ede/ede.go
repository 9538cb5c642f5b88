package minilb

import (
	"time"

	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"
)

// staleAfter is for how long the API server must have been away for answers to be marked as
// stale (D78). What it says is answered all the same.
const staleAfter = 5 * time.Minute

// stale reports whether what is answered is old, as far as anybody can tell (D78).
func (m *Minilb) stale() bool { return m.restored() || m.outage() > staleAfter }

// addEDE adds an extended DNS error (RFC 8914) to the reply, if the question has an OPT record:
// who sends none may not get one (RFC 6891 §7, D75). A cache in front takes it out again (D76).
func addEDE(reply *dns.Msg, state *request.Request, code uint16, text string) {
	if state.Req.IsEdns0() == nil {
		return
	}
	opt := reply.IsEdns0()
	if opt == nil {
		opt = &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}} // the server fills in the rest
		reply.Extra = append(reply.Extra, opt)
	}
	opt.Option = append(opt.Option, &dns.EDNS0_EDE{InfoCode: code, ExtraText: text})
}

// notSynced is the reply to a question that cannot be answered yet, with its reason.
func notSynced(state *request.Request) *dns.Msg {
	reply := new(dns.Msg).SetRcode(state.Req, dns.RcodeServerFailure)
	addEDE(reply, state, dns.ExtendedErrorCodeNotReady, "the cluster has not been read yet")
	return reply
}
