package resolvers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// testCase asks minilb itself in lower, upper and mixed case for whatever there is. Resolvers that
// spell at random against forgery take no answer that is not spelled as the question (D22).
func testCase(t *testing.T, addr string, names []named) {
	qtypes := []uint16{
		dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT, dns.TypeMX, dns.TypeCAA, dns.TypeHTTPS, dns.TypeSVCB,
		dns.TypeSOA, dns.TypeNS, dns.TypePTR, dns.TypeCNAME, dns.TypeDS, dns.TypeDNSKEY, dns.TypeANY,
	}
	for _, network := range []string{"udp", "tcp"} {
		client := &asker{addr: addr, network: network}
		defer client.close()
		for _, size := range ednsSizes {
			for _, spell := range spellings {
				for _, n := range names {
					for _, qtype := range qtypes {
						question := dns.Question{Name: spell(n.name), Qtype: qtype, Qclass: dns.ClassINET}
						reply, err := client.ask(question, size)
						if err == nil {
							err = checkSpelling(n, question, size, reply)
						}
						if err != nil {
							t.Errorf("over %s with EDNS size %d: %s %s: %v", network, size, question.Name, dns.TypeToString[qtype], err)
						}
					}
				}
			}
		}
	}
}

// checkSpelling compares our own reply with what it is to be, letter by letter.
func checkSpelling(n named, question dns.Question, size uint16, reply *dns.Msg) error {
	ours := n.ours(question.Qtype)
	if !ours && question.Qtype == dns.TypeANY {
		return nil // what the public DNS makes of it
	}
	synthesized := 0
	switch question.Qtype {
	case dns.TypeANY: // D28
		if !n.gone {
			synthesized = int(dns.TypeHINFO)
		}
	case dns.TypeSOA, dns.TypeNS:
		if n.name == n.apex {
			synthesized = int(question.Qtype)
		}
	}
	switch {
	case synthesized == 0:
		if err := n.check(question, reply); err != nil {
			return err
		}
	case len(reply.Question) != 1 || reply.Question[0] != question:
		return fmt.Errorf("the question came back as %v", reply.Question)
	case len(reply.Answer) != 1 || int(reply.Answer[0].Header().Rrtype) != synthesized:
		return fmt.Errorf("got %v, want one %s", reply.Answer, dns.TypeToString[uint16(synthesized)])
	}
	if ours && !reply.Authoritative {
		return fmt.Errorf("got no AA")
	}
	if opt := reply.IsEdns0(); (opt != nil) != (size > 0) { // RFC 6891 §7
		return fmt.Errorf("got EDNS %v", opt)
	}
	targets := map[string]bool{}
	for _, rr := range reply.Answer {
		if ours && rr.Header().Name != question.Name {
			return fmt.Errorf("got owner %s", rr.Header().Name)
		}
		if srv, ok := rr.(*dns.SRV); ok {
			_, service, _ := strings.Cut(question.Name, ".")
			_, service, _ = strings.Cut(service, ".")
			if !strings.HasSuffix(srv.Target, "."+service) {
				return fmt.Errorf("got target %s, want it in %s", srv.Target, service)
			}
			targets[srv.Target] = true
		}
	}
	for _, rr := range reply.Extra {
		if question.Qtype == dns.TypeSRV && rr.Header().Rrtype != dns.TypeOPT && !targets[rr.Header().Name] {
			return fmt.Errorf("got ADDITIONAL %s, want the targets' addresses", rr)
		}
	}
	return nil
}
