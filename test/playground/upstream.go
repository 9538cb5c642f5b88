package main

import (
	"fmt"
	"net"

	"github.com/miekg/dns"
)

// What the upstream says, whatever the name. Both are for documentation (RFC 5737, RFC 3849),
// and so cannot be taken for a pod's address.
const (
	upstreamIPv4 = "192.0.2.53"
	upstreamIPv6 = "2001:db8::53"
)

// upstreamTTL is in seconds.
const upstreamTTL = 60

// upstream stands for the rest of the DNS, so that no network is needed: the resolver to which
// CoreDNS forwards.
type upstream struct {
	servers []*dns.Server
	ended   chan error // takes one error of each server
}

// startUpstream serves UDP and TCP at addr.
func startUpstream(addr string) (*upstream, error) {
	u := &upstream{ended: make(chan error, 2)}
	for _, network := range []string{"udp", "tcp"} {
		started := make(chan struct{})
		server := &dns.Server{
			Net:               network,
			Addr:              addr,
			Handler:           dns.HandlerFunc(answerAll),
			NotifyStartedFunc: func() { close(started) },
		}
		go func() { u.ended <- server.ListenAndServe() }()
		select {
		case <-started:
			u.servers = append(u.servers, server)
		case err := <-u.ended:
			u.stop()
			return nil, fmt.Errorf("start the upstream: %w", err)
		}
	}
	return u, nil
}

// stop ends the servers, if there are any, and waits for them.
func (u *upstream) stop() {
	if u == nil {
		return
	}
	for _, server := range u.servers {
		_ = server.Shutdown() // fails only if it has ended
		<-u.ended
	}
}

func answerAll(w dns.ResponseWriter, request *dns.Msg) {
	reply := new(dns.Msg).SetReply(request)
	reply.RecursionAvailable = true
	question := request.Question[0]
	header := dns.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: dns.ClassINET, Ttl: upstreamTTL}
	switch question.Qtype {
	case dns.TypeA:
		reply.Answer = []dns.RR{&dns.A{Hdr: header, A: net.ParseIP(upstreamIPv4)}}
	case dns.TypeAAAA:
		reply.Answer = []dns.RR{&dns.AAAA{Hdr: header, AAAA: net.ParseIP(upstreamIPv6)}}
	}
	_ = w.WriteMsg(reply) // who asked will ask again
}
