// Package ede adds extended DNS errors (RFC 8914), and other EDNS options, to replies.
package ede

import "github.com/miekg/dns"

// Add adds an extended DNS error if the query has an OPT record (RFC 6891 §7, D75). A cache in front removes it again (D76).
func Add(reply, query *dns.Msg, code uint16, text string) {
	if query.IsEdns0() != nil {
		AddOption(reply, &dns.EDNS0_EDE{InfoCode: code, ExtraText: text})
	}
}

// AddOption adds an option to a reply to a query that has an OPT record.
func AddOption(reply *dns.Msg, option dns.EDNS0) {
	opt := reply.IsEdns0()
	if opt == nil {
		opt = &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}} // the server fills in the rest
		reply.Extra = append(reply.Extra, opt)
	}
	opt.Option = append(opt.Option, option)
}
