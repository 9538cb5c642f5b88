package minilb

import (
	"context"
	"testing"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"
)

// TestClaimed checks that what others say of a name that exists here cannot hide what
// it has.
func TestClaimed(t *testing.T) {
	soa := []dns.RR{test.SOA("ex.org. 60 IN SOA ns.ex.org. hostmaster.ex.org. 1 2 3 4 60")}
	own := func(name string) []dns.RR {
		return []dns.RR{test.SOA(name + " 5 IN SOA ns1.minilb. hostmaster.minilb. 0 7200 1800 86400 5")}
	}
	nxdomain := test.Case{Rcode: dns.RcodeNameError, Ns: soa}
	alias := test.CNAME("a.ex.org. 60 IN CNAME b.ex.org.")
	tests := []struct {
		name  string
		qname string
		qtype uint16
		next  test.Case
		want  test.Case
	}{
		{"a claimed host", "a.ex.org.", dns.TypeTXT, nxdomain, test.Case{Ns: soa}},          // D6
		{"what a wildcard covers", "q.w.ex.org.", dns.TypeMX, nxdomain, test.Case{Ns: soa}}, // D10
		{"what a claimed host lies below", "w.ex.org.", dns.TypeA, nxdomain, nxdomain},      // D3
		{"a sibling", "b.ex.org.", dns.TypeA, nxdomain, nxdomain},                           // D3
		{"what lies below a claimed host", "z.a.ex.org.", dns.TypeA, nxdomain, nxdomain},    // D3
		{"a failure", "a.ex.org.", dns.TypeTXT, test.Case{Rcode: dns.RcodeServerFailure}, test.Case{Rcode: dns.RcodeServerFailure}},
		{"its data", "a.ex.org.", dns.TypeTXT, test.Case{Answer: []dns.RR{test.TXT("a.ex.org. 60 IN TXT x")}}, test.Case{Answer: []dns.RR{test.TXT("a.ex.org. 60 IN TXT x")}}},
		{
			"an alias with data", "A.ex.org.", dns.TypeTXT, test.Case{Answer: []dns.RR{alias, test.TXT("b.ex.org. 60 IN TXT x")}},
			test.Case{Answer: []dns.RR{test.TXT("A.ex.org. 60 IN TXT x")}},
		},
		{
			"an alias that lives longer", "A.ex.org.", dns.TypeTXT, test.Case{Answer: []dns.RR{test.CNAME("a.ex.org. 30 IN CNAME b.ex.org."), test.TXT("b.ex.org. 86400 IN TXT x")}},
			test.Case{Answer: []dns.RR{test.TXT("A.ex.org. 30 IN TXT x")}},
		},
		{"what nobody asked for", "A.ex.org.", dns.TypeTXT, test.Case{Answer: []dns.RR{alias, test.TXT("c.ex.org. 60 IN TXT x")}, Ns: soa}, test.Case{Ns: own("A.ex.org.")}},
		{"an alias without", "A.ex.org.", dns.TypeMX, test.Case{Answer: []dns.RR{alias}, Ns: soa}, test.Case{Ns: own("A.ex.org.")}},
		{"an alias to nothing", "a.ex.org.", dns.TypeMX, test.Case{Rcode: dns.RcodeNameError, Answer: []dns.RR{alias}, Ns: soa}, test.Case{Ns: own("a.ex.org.")}},
		{"an alias that fails", "a.ex.org.", dns.TypeMX, test.Case{Rcode: dns.RcodeServerFailure, Answer: []dns.RR{alias}}, test.Case{Rcode: dns.RcodeServerFailure}},
		{"the alias itself", "a.ex.org.", dns.TypeCNAME, test.Case{Answer: []dns.RR{alias}}, test.Case{Ns: own("a.ex.org.")}},
		{"an alias of another", "b.ex.org.", dns.TypeCNAME, test.Case{Answer: []dns.RR{alias}}, test.Case{Answer: []dns.RR{alias}}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			said := &dns.Msg{Answer: tc.next.Answer, Ns: tc.next.Ns}
			m := testPlugin(testConfig())
			m.Next = plugin.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
				said.SetRcode(r, tc.next.Rcode)
				return dns.RcodeSuccess, w.WriteMsg(said)
			})
			w := dnstest.NewRecorder(&test.ResponseWriter{})
			tc.want.Qname, tc.want.Qtype = tc.qname, tc.qtype
			if code, err := m.ServeDNS(t.Context(), w, tc.want.Msg()); code != dns.RcodeSuccess || err != nil {
				t.Fatalf("got %d, %v", code, err)
			}
			got := w.Msg.Copy()
			for _, rr := range got.Ns {
				if soa, ok := rr.(*dns.SOA); ok && soa.Ns == "ns1.minilb." {
					soa.Serial = 0
				}
			}
			if err := test.SortAndCheck(got, tc.want); err != nil {
				t.Errorf("%v; got\n%s", err, got)
			}
			// It may be what a cache goes on to hold.
			if said.Rcode != tc.next.Rcode || len(said.Answer) != len(tc.next.Answer) || len(said.Ns) != len(tc.next.Ns) {
				t.Errorf("what the next plugin wrote became\n%s", said)
			}
		})
	}
}
