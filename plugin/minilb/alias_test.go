package minilb

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"
)

// fakeUpstream stands for the rest of the server, which the integration tests ask for real.
type fakeUpstream func(ctx context.Context, name string, qtype uint16) (*dns.Msg, error)

func (f fakeUpstream) Lookup(ctx context.Context, _ request.Request, name string, qtype uint16) (*dns.Msg, error) {
	return f(ctx, name, qtype)
}

// D30, D31
func TestAlias(t *testing.T) {
	cname := test.CNAME("alias.ex.org. 5 IN CNAME lb.example.com.")
	address := test.A("lb.example.com. 60 IN A 198.51.100.1")
	soa := test.SOA("example.com. 300 IN SOA ns.example.com. hostmaster.example.com. 1 2 3 4 5")
	reply := func(rcode int, answer, ns []dns.RR) *dns.Msg {
		return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: rcode}, Answer: answer, Ns: ns}
	}
	tests := []struct {
		name  string
		found *dns.Msg
		err   error
		want  test.Case
	}{
		{"answer", reply(dns.RcodeSuccess, []dns.RR{address}, nil), nil, test.Case{Answer: []dns.RR{cname, address}}},
		{"answer with its authority", reply(dns.RcodeSuccess, []dns.RR{address}, []dns.RR{test.NS("example.com. 300 IN NS ns.example.com.")}), nil, test.Case{Answer: []dns.RR{cname, address}}},
		{"nodata", reply(dns.RcodeSuccess, nil, []dns.RR{soa}), nil, test.Case{Answer: []dns.RR{cname}, Ns: []dns.RR{soa}}},
		{"nxdomain", reply(dns.RcodeNameError, nil, []dns.RR{soa}), nil, test.Case{Rcode: dns.RcodeNameError, Answer: []dns.RR{cname}, Ns: []dns.RR{soa}}},
		{"nodata, by whoever is not asked", reply(dns.RcodeSuccess, nil, []dns.RR{test.SOA("bank.example. 300 IN SOA ns.bank.example. hostmaster.bank.example. 1 2 3 4 5")}), nil, test.Case{Answer: []dns.RR{cname}}},
		{"servfail", reply(dns.RcodeServerFailure, nil, nil), nil, test.Case{Rcode: dns.RcodeServerFailure, Answer: []dns.RR{cname}}},
		{"refused, as where no forward is", reply(dns.RcodeRefused, nil, nil), nil, test.Case{Answer: []dns.RR{cname}}},
		{"error", nil, errors.New("no full server is running"), test.Case{Answer: []dns.RR{cname}}},
		{"answer that is an error, too", reply(dns.RcodeSuccess, []dns.RR{address}, nil), errors.New("it broke off"), test.Case{Answer: []dns.RR{cname}}},
		{"nothing", nil, nil, test.Case{Answer: []dns.RR{cname}}},
		{"all of them loopback", reply(dns.RcodeSuccess, []dns.RR{test.A("lb.example.com. 60 IN A 127.0.0.1"), test.A("lb.example.com. 60 IN A 0.0.0.0")}, nil), nil,
			test.Case{Ns: []dns.RR{test.SOA("alias.ex.org. 5 IN SOA ns1.minilb. hostmaster.minilb. 1 7200 1800 86400 5")}}},
		{"along aliases, in any order", reply(dns.RcodeSuccess, []dns.RR{
			test.A("b.example.net. 60 IN A 198.51.100.2"), test.CNAME("a.example.net. 60 IN CNAME B.example.net."), test.CNAME("LB.example.com. 60 IN CNAME a.example.net."),
		}, nil), nil, test.Case{Answer: []dns.RR{
			test.CNAME("LB.example.com. 60 IN CNAME a.example.net."), test.CNAME("a.example.net. 60 IN CNAME B.example.net."), cname, test.A("b.example.net. 60 IN A 198.51.100.2"),
		}}},
		{"what nobody asked for", reply(dns.RcodeSuccess, []dns.RR{
			address, test.A("bank.example. 60 IN A 198.51.100.66"), test.CNAME("shop.example. 60 IN CNAME lb.example.com."), test.TXT("lb.example.com. 60 IN TXT x"),
		}, nil), nil, test.Case{Answer: []dns.RR{cname, address}}},
		{"aliases that lead back", reply(dns.RcodeSuccess, []dns.RR{test.CNAME("lb.example.com. 60 IN CNAME lb.example.com.")}, nil), nil,
			test.Case{Answer: []dns.RR{cname, test.CNAME("lb.example.com. 60 IN CNAME lb.example.com.")}}},
		{"loopback, link-local and the like", reply(dns.RcodeSuccess, []dns.RR{
			test.A("lb.example.com. 60 IN A 127.0.0.1"), test.A("lb.example.com. 60 IN A 169.254.169.254"), test.A("lb.example.com. 60 IN A 0.0.0.0"), address,
			test.AAAA("lb.example.com. 60 IN AAAA ::1"), test.AAAA("lb.example.com. 60 IN AAAA ::ffff:127.0.0.1"),
		}, nil), nil, test.Case{Answer: []dns.RR{cname, address}}},
	}
	for _, tc := range tests {
		m := testPlugin(testConfig())
		var loop any
		m.upstream = fakeUpstream(func(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
			if name != "lb.example.com." || qtype != dns.TypeA {
				t.Errorf("%s: looked up %s %d", tc.name, name, qtype)
			}
			loop = ctx.Value(dnsserver.LoopKey{})
			return tc.found, tc.err
		})
		w := dnstest.NewRecorder(&test.ResponseWriter{})
		ctx := context.WithValue(t.Context(), dnsserver.LoopKey{}, 3)
		if _, err := m.ServeDNS(ctx, w, new(dns.Msg).SetQuestion("alias.ex.org.", dns.TypeA)); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		tc.want.Qname, tc.want.Qtype = "alias.ex.org.", dns.TypeA
		if err := test.SortAndCheck(w.Msg, tc.want); err != nil {
			t.Errorf("%s: %v in\n%s", tc.name, err, w.Msg)
		}
		if !w.Msg.Authoritative || loop != 4 {
			t.Errorf("%s: AA %v, loop count %v, want true, 4", tc.name, w.Msg.Authoritative, loop)
		}
	}
}

// D6, D22, D30, D31: where nobody knows the target, or has come back too often, the alias stands alone.
func TestAliasAlone(t *testing.T) {
	m := testPlugin(testConfig())
	for _, q := range []struct {
		name  string
		qtype uint16
		loop  int
	}{{"alias.ex.org.", dns.TypeCNAME, 0}, {"Alias.Ex.org.", dns.TypeCNAME, 0}, {"home.minilb.", dns.TypeCNAME, 0}, {"alias.ex.org.", dns.TypeCNAME, 1}, {"alias.ex.org.", dns.TypeA, maxAliases}} {
		m.upstream = fakeUpstream(func(context.Context, string, uint16) (*dns.Msg, error) {
			if q.loop > 0 {
				t.Error("looked up")
			}
			return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeRefused}}, nil
		})
		w := dnstest.NewRecorder(&test.ResponseWriter{})
		m.ServeDNS(context.WithValue(t.Context(), dnsserver.LoopKey{}, q.loop), w, new(dns.Msg).SetQuestion(q.name, q.qtype))
		if w.Msg == nil || len(w.Msg.Answer) != 1 || w.Msg.Answer[0].(*dns.CNAME).Target != "lb.example.com." || w.Msg.Answer[0].Header().Name != q.name || w.Msg.Rcode != dns.RcodeSuccess {
			t.Errorf("%s: got %v, want the alias alone", q.name, w.Msg)
		}
	}
}

// A name that nobody can resolve now is not waited for three times.
func TestAliasFailing(t *testing.T) {
	m := testPlugin(testConfig())
	lookups := 0
	m.upstream = fakeUpstream(func(context.Context, string, uint16) (*dns.Msg, error) {
		lookups++
		return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}, nil
	})
	m.ServeDNS(t.Context(), dnstest.NewRecorder(&test.ResponseWriter{}), new(dns.Msg).SetQuestion("alias.ex.org.", dns.TypeA))
	if lookups != 1 {
		t.Errorf("looked up %d times", lookups)
	}
}

// D30: an alias of a name whose addresses are never answered is none, whatever it is asked for: a
// resolver that remembers it would follow it by itself, for all types.
func TestAliasToLoopback(t *testing.T) {
	const sound = "198.51.100.1"
	lan := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	for _, tc := range []struct {
		name  string
		found []string
		types map[uint16]int // how many records of the target are answered, -1 for none and no alias either
		lan   []netip.Prefix
	}{
		{"loopback in one family", []string{"A 127.0.0.1"}, map[uint16]int{dns.TypeA: -1, dns.TypeAAAA: -1, dns.TypeHTTPS: -1, dns.TypeCNAME: -1}, nil},
		{"loopback in the other", []string{"AAAA ::1"}, map[uint16]int{dns.TypeA: -1, dns.TypeAAAA: -1, dns.TypeHTTPS: -1, dns.TypeCNAME: -1}, nil},
		{"NAT64 of loopback", []string{"AAAA 64:ff9b::7f00:1", "AAAA 64:ff9b:1::7f00:1"}, map[uint16]int{dns.TypeA: -1, dns.TypeAAAA: -1, dns.TypeCNAME: -1}, nil},
		{"one sound address", []string{"A 127.0.0.1", "A " + sound}, map[uint16]int{dns.TypeA: 1, dns.TypeAAAA: 0, dns.TypeHTTPS: 0, dns.TypeCNAME: 0}, nil},
		{"hints of loopback", []string{"A " + sound, "HTTPS 1 . alpn=h2 ipv4hint=127.0.0.1 ipv6hint=::1"}, map[uint16]int{dns.TypeA: 1, dns.TypeHTTPS: -1, dns.TypeCNAME: 0}, nil},
		{"hints of both", []string{"HTTPS 1 . ipv4hint=127.0.0.1,198.51.100.1 ipv6hint=::1", "SVCB 1 . ipv6hint=::1,2001:db8::1"}, map[uint16]int{dns.TypeHTTPS: 1, dns.TypeSVCB: 1}, nil},
		{"no hints", []string{"A 127.0.0.1", "HTTPS 1 . alpn=h2"}, map[uint16]int{dns.TypeHTTPS: -1}, nil},
		{"nothing", nil, map[uint16]int{dns.TypeA: 0, dns.TypeHTTPS: 0, dns.TypeCNAME: 0}, nil},
		{"NAT64 of loopback as hints", []string{"HTTPS 1 . ipv6hint=64:ff9b::7f00:1,64:ff9b:1::7f00:1", "SVCB 1 . ipv6hint=64:ff9b:1:7f00:0:100::"}, map[uint16]int{dns.TypeHTTPS: -1, dns.TypeSVCB: -1}, nil},
		{"a hint that is mandatory", []string{"A " + sound, "HTTPS 1 . mandatory=ipv4hint ipv4hint=127.0.0.1 alpn=h2", "HTTPS 2 . ipv4hint=198.51.100.1"}, map[uint16]int{dns.TypeA: 1, dns.TypeHTTPS: 1}, nil},
		{"localhost", []string{"CNAME localhost.", "HTTPS 1 localhost. alpn=h2", "SVCB 1 www.LOCALHOST. port=80"}, map[uint16]int{dns.TypeHTTPS: -1, dns.TypeSVCB: -1}, nil},
		{"outside of the networks that are answered", []string{"A 192.0.2.1", "AAAA 64:ff9b::192.0.2.1", "HTTPS 1 . ipv4hint=192.0.2.1"}, // D34
			map[uint16]int{dns.TypeA: -1, dns.TypeAAAA: -1, dns.TypeHTTPS: -1, dns.TypeCNAME: -1}, lan},
		{"some of them outside", []string{"A 192.0.2.1", "A " + sound, "AAAA 64:ff9b::198.51.100.1", "HTTPS 1 . ipv4hint=192.0.2.1,198.51.100.1"}, // D34
			map[uint16]int{dns.TypeA: 1, dns.TypeAAAA: 1, dns.TypeHTTPS: 1, dns.TypeCNAME: 0}, lan},
		{"bindings to other names", []string{"A " + sound, "HTTPS 0 nas.lan.", "HTTPS 1 nas.lan. alpn=h2", "HTTPS 2 LB.example.com. alpn=h2", "HTTPS 3 . alpn=h2"}, map[uint16]int{dns.TypeA: 1, dns.TypeHTTPS: 2}, lan}, // D34
		{"bindings to other names, of any address", []string{"A " + sound, "HTTPS 1 nas.lan. alpn=h2", "HTTPS 3 . alpn=h2"}, map[uint16]int{dns.TypeA: 1, dns.TypeHTTPS: 2}, nil},
	} {
		conf := testConfig()
		conf.Options.Addresses = tc.lan
		m := testPlugin(conf)
		m.upstream = fakeUpstream(func(_ context.Context, name string, qtype uint16) (*dns.Msg, error) {
			reply := new(dns.Msg)
			for _, text := range tc.found {
				if rr, err := dns.NewRR(name + " 60 IN " + text); err != nil {
					t.Fatal(err)
				} else if rr.Header().Rrtype == qtype {
					reply.Answer = append(reply.Answer, rr)
				}
			}
			return reply, nil
		})
		for qtype, want := range tc.types {
			w := dnstest.NewRecorder(&test.ResponseWriter{})
			if _, err := m.ServeDNS(t.Context(), w, new(dns.Msg).SetQuestion("alias.ex.org.", qtype).SetEdns0(1232, false)); err != nil {
				t.Fatal(err)
			}
			opt := w.Msg.IsEdns0() // who asks is told why
			if filtered := opt != nil && opt.Option[0].(*dns.EDNS0_EDE).InfoCode == dns.ExtendedErrorCodeFiltered; filtered != (want < 0) {
				t.Errorf("%s: %s: got the extended error %v", tc.name, dns.TypeToString[qtype], opt)
			}
			if got := len(w.Msg.Answer) - 1; got != want || w.Msg.Rcode != dns.RcodeSuccess {
				t.Errorf("%s: %s: got %d records behind the alias, want %d:\n%s", tc.name, dns.TypeToString[qtype], got, want, w.Msg)
			}
			if text := w.Msg.String(); strings.Contains(text, "127.0.0.1") || strings.Contains(text, "\"::1") || strings.Contains(text, "\t::1") || strings.Contains(text, "7f00") || strings.Contains(text, "192.0.2.1") || strings.Contains(strings.ToLower(text), "localhost") {
				t.Errorf("%s: %s: it is answered:\n%s", tc.name, dns.TypeToString[qtype], text)
			}
			if want < 0 && (len(w.Msg.Ns) != 1 || w.Msg.Ns[0].Header().Name != "alias.ex.org.") { // D5
				t.Errorf("%s: %s: got %v, want NODATA", tc.name, dns.TypeToString[qtype], w.Msg)
			}
		}
	}
}
