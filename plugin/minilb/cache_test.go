package minilb

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/cache"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"
)

// D9: a CoreDNS built in another plugin order has cache in front, which must get what it
// needs to give right answers, from us and from its store.
func TestBehindCache(t *testing.T) {
	synctest.Test(t, testBehindCache) // in which no time passes, or the TTLs would be less
}

func testBehindCache(t *testing.T) {
	m := testPlugin(testConfig())
	c := cache.New()
	asked := 0
	c.Next = plugin.HandlerFunc(func(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
		asked++
		return m.ServeDNS(ctx, w, r)
	})
	for _, tc := range []struct {
		name    string
		qtype   uint16
		rcode   int
		answers []string
		soa     string // owner of the SOA of a negative answer
	}{
		{"web.shop.minilb.", dns.TypeAAAA, dns.RcodeSuccess, []string{"fd00::1"}, ""},
		{"web.shop.minilb.", dns.TypeTXT, dns.RcodeSuccess, nil, "minilb."},
		{"nope.shop.minilb.", dns.TypeA, dns.RcodeNameError, nil, "minilb."},
		{"shop.minilb.", dns.TypeA, dns.RcodeSuccess, nil, "minilb."},
		{"a.ex.org.", dns.TypeA, dns.RcodeSuccess, []string{"10.0.0.1"}, ""},
		{"a.ex.org.", dns.TypeAAAA, dns.RcodeSuccess, nil, "a.ex.org."},
	} {
		asked = 0
		for _, name := range []string{tc.name, strings.ToUpper(tc.name)} {
			w := dnstest.NewRecorder(&test.ResponseWriter{})
			c.ServeDNS(t.Context(), w, new(dns.Msg).SetQuestion(name, tc.qtype))
			var answers []string
			for _, rr := range w.Msg.Answer {
				answers = append(answers, dns.Field(rr, 1))
				if !strings.EqualFold(rr.Header().Name, name) || rr.Header().Ttl != 5 {
					t.Errorf("%s: got owner and TTL of %s", name, rr)
				}
			}
			if w.Msg.Rcode != tc.rcode || !slices.Equal(answers, tc.answers) {
				t.Errorf("%s %s: got\n%s", name, dns.TypeToString[tc.qtype], w.Msg)
			}
			if tc.soa != "" && (len(w.Msg.Ns) != 1 || w.Msg.Ns[0].Header().Name != tc.soa) {
				t.Errorf("%s %s: want the SOA of %s in\n%s", name, dns.TypeToString[tc.qtype], tc.soa, w.Msg)
			}
		}
		if asked != 1 { // D5, D25: a negative answer is kept for its SOA alone
			t.Errorf("%s %s: two questions reached the plugin %d times, want once", tc.name, dns.TypeToString[tc.qtype], asked)
		}
	}
}
