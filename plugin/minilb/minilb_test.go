package minilb

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metadata"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/pkg/fall"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/source"
)

func addressNode(source, service string, addrs ...string) *records.Node {
	var list []netip.Addr
	for _, a := range addrs {
		list = append(list, netip.MustParseAddr(a))
	}
	return &records.Node{Addrs: records.NewSet(records.NewAddresses(list...)), Source: source, Namespace: "shop", Service: service}
}

// passedOn is the next plugin: it answers so that a test sees what reached it.
var passedOn = test.NextHandler(dns.RcodeBadName, nil)

func testConfig() *config {
	return &config{
		source: source.Options{Zones: []string{"minilb.", "lan."}}, ttl: 5, maxAnswers: 16,
	}
}

func testPlugin(conf *config) *Minilb {
	m := newMinilb(conf, records.NewSet(records.NewAddresses(netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8::53"))))
	m.Next = passedOn
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprintf("10.1.0.%d", i), fmt.Sprintf("fd00::%x", i))
	}
	names := []records.Record{
		{Name: "web.shop.minilb.", Node: addressNode("service", "web", "10.0.0.1", "10.0.0.2", "fd00::1")},
		{Name: "many.shop.minilb.", Node: addressNode("service", "many", many...)},
		{Name: "home.minilb.", Node: &records.Node{Target: "lb.example.com.", Source: "ingress", Namespace: "shop"}},
		{Name: "lan.", Node: addressNode("ingress", "", "10.0.0.9")},
		{Name: "a.ex.org.", Node: addressNode("ingress", "web", "10.0.0.1")},
		{Name: "*.w.ex.org.", Node: addressNode("ingress", "web", "10.0.0.1")},
		{Name: "alias.ex.org.", Node: &records.Node{Target: "lb.example.com.", Source: "ingress", Namespace: "shop"}},
	}
	m.index.Update(nil, names[:len(names)-1], false)
	m.index.Update(nil, names, false) // so that the serial outside the zones is another
	return m
}

func TestServeDNS(t *testing.T) {
	soa := func(owner, apex string) dns.RR {
		return test.SOA(fmt.Sprintf("%s 5 IN SOA ns1.%s hostmaster.%s 0 7200 1800 86400 5", owner, apex, apex))
	}
	v4 := []dns.RR{test.A("web.shop.minilb. 5 IN A 10.0.0.1"), test.A("web.shop.minilb. 5 IN A 10.0.0.2")}
	negative := func(name string, qtype uint16, rcode int, apex string) test.Case {
		return test.Case{Qname: name, Qtype: qtype, Rcode: rcode, Ns: []dns.RR{soa(apex, apex)}}
	}
	tests := []struct {
		rule string
		with func(*config)
		test.Case
	}{
		{"D20", nil, test.Case{Qname: "web.shop.minilb.", Qtype: dns.TypeA, Answer: v4}},
		{"D20", nil, test.Case{Qname: "web.shop.minilb.", Qtype: dns.TypeAAAA, Answer: []dns.RR{test.AAAA("web.shop.minilb. 5 IN AAAA fd00::1")}}},
		{"D2", nil, negative("nope.lan.", dns.TypeA, dns.RcodeNameError, "lan.")},
		{"D2", func(c *config) { c.fall = fall.Root }, test.Case{Qname: "nope.shop.minilb.", Qtype: dns.TypeA, Rcode: dns.RcodeBadName}},
		{"B5: a known name never falls through", func(c *config) { c.fall = fall.Root }, negative("web.shop.minilb.", dns.TypeTXT, dns.RcodeSuccess, "minilb.")},
		{"B5: nor does an empty non-terminal", func(c *config) { c.fall = fall.Root }, negative("shop.minilb.", dns.TypeA, dns.RcodeSuccess, "minilb.")},
		{"D20", func(c *config) { c.ttl = 77 }, test.Case{Qname: "web.shop.minilb.", Qtype: dns.TypeAAAA, Answer: []dns.RR{test.AAAA("web.shop.minilb. 77 IN AAAA fd00::1")}}},
		{"D24", func(c *config) { c.ttl = 77 }, test.Case{Qname: "nope.minilb.", Qtype: dns.TypeA, Rcode: dns.RcodeNameError, Ns: []dns.RR{test.SOA("minilb. 77 IN SOA ns1.minilb. hostmaster.minilb. 0 7200 1800 86400 77")}}},
		{"D26", nil, test.Case{Qname: "minilb.", Qtype: dns.TypeNS, Answer: []dns.RR{test.NS("minilb. 5 IN NS ns1.minilb.")}, Extra: []dns.RR{test.A("ns1.minilb. 5 IN A 192.0.2.53"), test.AAAA("ns1.minilb. 5 IN AAAA 2001:db8::53")}}},
		{"D26", nil, test.Case{Qname: "ns1.lan.", Qtype: dns.TypeA, Answer: []dns.RR{test.A("ns1.lan. 5 IN A 192.0.2.53")}}},
		{"D26", func(c *config) { c.nameservers = []string{"dns.example.org.", "web.shop.minilb."} }, test.Case{
			Qname: "minilb.", Qtype: dns.TypeNS,
			Answer: []dns.RR{test.NS("minilb. 5 IN NS dns.example.org."), test.NS("minilb. 5 IN NS web.shop.minilb.")},
			Extra:  append(slices.Clone(v4), test.AAAA("web.shop.minilb. 5 IN AAAA fd00::1")),
		}},
		{"D26: an alias has no address", func(c *config) { c.nameservers = []string{"home.minilb.", "alias.ex.org."} }, test.Case{
			Qname: "minilb.", Qtype: dns.TypeNS,
			Answer: []dns.RR{test.NS("minilb. 5 IN NS alias.ex.org."), test.NS("minilb. 5 IN NS home.minilb.")},
		}},
		{"D26", func(c *config) { c.nameservers = []string{"dns.example.org."} }, test.Case{
			Qname: "ns1.minilb.", Qtype: dns.TypeA, Rcode: dns.RcodeNameError,
			Ns: []dns.RR{test.SOA("minilb. 5 IN SOA dns.example.org. hostmaster.minilb. 0 7200 1800 86400 5")},
		}},
		{"D27", nil, test.Case{Qname: "lan.", Qtype: dns.TypeA, Answer: []dns.RR{test.A("lan. 5 IN A 10.0.0.9")}}},
		{"D27", nil, test.Case{Qname: "lan.", Qtype: dns.TypeNS, Answer: []dns.RR{test.NS("lan. 5 IN NS ns1.lan.")}, Extra: []dns.RR{test.A("ns1.lan. 5 IN A 192.0.2.53"), test.AAAA("ns1.lan. 5 IN AAAA 2001:db8::53")}}},
		{"D29", nil, test.Case{Qname: "ex.org.", Qtype: dns.TypeAXFR, Rcode: dns.RcodeBadName}},
	}
	for _, tc := range tests {
		conf := testConfig()
		if tc.with != nil {
			tc.with(conf)
		}
		m := testPlugin(conf)
		w := dnstest.NewRecorder(&test.ResponseWriter{})
		rcode, err := m.ServeDNS(t.Context(), w, tc.Msg())
		if tc.Rcode == dns.RcodeBadName {
			if rcode != dns.RcodeBadName || w.Msg != nil {
				t.Errorf("%s: %s %d was not passed on: %d, %v", tc.rule, tc.Qname, tc.Qtype, rcode, w.Msg)
			}
			continue
		}
		if err != nil || rcode != dns.RcodeSuccess || w.Msg == nil {
			t.Errorf("%s: %s: got %d, %v, %v", tc.rule, tc.Qname, rcode, err, w.Msg)
			continue
		}
		if err := test.SortAndCheck(w.Msg, tc.Case); err != nil {
			t.Errorf("%s: %s %s: %v in\n%s", tc.rule, tc.Qname, dns.TypeToString[tc.Qtype], err, w.Msg)
			continue
		}
		// Of an SOA record that compares the name server alone.
		want := slices.Concat(tc.Answer, tc.Ns, tc.Extra)
		for i, rr := range slices.Concat(w.Msg.Answer, w.Msg.Ns, w.Msg.Extra) {
			if soa, ok := want[i].(*dns.SOA); ok {
				soa.Serial = m.index.Serial(m.index.Match(strings.ToLower(tc.Qname)))
			}
			if rr.String() != want[i].String() {
				t.Errorf("%s: %s: got %s, want %s", tc.rule, tc.Qname, rr, want[i])
			}
		}
		if !w.Msg.Authoritative {
			t.Errorf("%s: %s: not authoritative", tc.rule, tc.Qname)
		}
	}
}

// D23: never more than max_answers of a family, all with 0, and not always the same.
func TestMaxAnswers(t *testing.T) {
	for limit, want := range map[int]int{16: 16, 1: 1, 0: 40, 100: 40} {
		conf := testConfig()
		conf.maxAnswers = limit
		m := testPlugin(conf)
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			firsts := map[string]bool{}
			for range 50 {
				w := dnstest.NewRecorder(&test.ResponseWriter{TCP: limit == 0 || limit > 16})
				m.ServeDNS(t.Context(), w, new(dns.Msg).SetQuestion("many.shop.minilb.", qtype))
				if len(w.Msg.Answer) != want {
					t.Fatalf("max_answers %d: got %d records, want %d", limit, len(w.Msg.Answer), want)
				}
				firsts[w.Msg.Answer[0].String()] = true
				// D32: sixteen addresses of either family fit what a client without EDNS takes.
				w.Msg.Compress = true // as the server does
				if limit == 16 && w.Msg.Len() > dns.MinMsgSize {
					t.Errorf("%d bytes do not fit %d", w.Msg.Len(), dns.MinMsgSize)
				}
			}
			if len(firsts) < 10 {
				t.Errorf("max_answers %d: only %d of 40 addresses came first in 50 answers", limit, len(firsts))
			}
		}
	}
}

// D72, D73, D74
func TestNotSynced(t *testing.T) {
	conf := testConfig()
	conf.fall = fall.Root
	m := newMinilb(conf, &records.Set{})
	m.Next = passedOn
	if m.Ready() {
		t.Error("ready before anything is known")
	}
	for _, name := range []string{"web.shop.minilb.", "minilb.", "ns1.minilb.", "nope.lan."} {
		w := dnstest.NewRecorder(&test.ResponseWriter{})
		rcode, err := m.ServeDNS(t.Context(), w, new(dns.Msg).SetQuestion(name, dns.TypeA))
		if rcode != dns.RcodeServerFailure || err == nil || w.Msg != nil {
			t.Errorf("%s: got %d, %v, %v, want SERVFAIL unwritten", name, rcode, err, w.Msg)
		}
	}
	if rcode, _ := m.ServeDNS(t.Context(), &test.ResponseWriter{}, new(dns.Msg).SetQuestion("a.ex.org.", dns.TypeA)); rcode != dns.RcodeBadName {
		t.Errorf("outside the zones: got %d, want it passed on", rcode)
	}
	m.index.Update(nil, nil, true)
	if m.Ready() {
		t.Error("ready with a part of the cluster's state")
	}
	m.index.Update(nil, nil, false)
	if !m.Ready() {
		t.Error("not ready with all of the cluster's state")
	}
}

// D29: a transfer of our zones is nobody else's, but plugin transfer's.
func TestTransferQuestion(t *testing.T) {
	for behind, want := range map[bool]int{false: dns.RcodeRefused, true: dns.RcodeBadName} {
		m := testPlugin(testConfig())
		m.transferBehind = behind
		w := dnstest.NewRecorder(&test.ResponseWriter{TCP: true})
		if rcode, err := m.ServeDNS(t.Context(), w, new(dns.Msg).SetQuestion("minilb.", dns.TypeIXFR)); rcode != want || err != nil || w.Msg != nil {
			t.Errorf("with transfer behind it %v: got %d, %v, %v", behind, rcode, err, w.Msg)
		}
	}
}

// D4, D29
func TestNoNextPlugin(t *testing.T) {
	m := testPlugin(testConfig())
	m.Next = nil
	for name, qtype := range map[string]uint16{"b.ex.org.": dns.TypeA, "minilb.": dns.TypeAXFR, "lan.": dns.TypeIXFR} {
		w := dnstest.NewRecorder(&test.ResponseWriter{})
		if rcode, err := m.ServeDNS(t.Context(), w, new(dns.Msg).SetQuestion(name, qtype)); rcode != dns.RcodeRefused || err != nil || w.Msg != nil {
			t.Errorf("%s: got %d, %v, %v, want REFUSED unwritten", name, rcode, err, w.Msg)
		}
	}
}

// brokenWriter has lost its client.
type brokenWriter struct{ test.ResponseWriter }

func (*brokenWriter) WriteMsg(*dns.Msg) error { return errors.New("connection reset") }

func TestWriteFails(t *testing.T) {
	rcode, err := testPlugin(testConfig()).ServeDNS(t.Context(), &brokenWriter{}, new(dns.Msg).SetQuestion("web.shop.minilb.", dns.TypeA))
	if rcode != dns.RcodeServerFailure || err == nil || !strings.Contains(err.Error(), "plugin/minilb: connection reset") {
		t.Errorf("got %d, %v", rcode, err)
	}
}

func TestOtherClass(t *testing.T) {
	r := new(dns.Msg).SetQuestion("web.shop.minilb.", dns.TypeA)
	r.Question[0].Qclass = dns.ClassCHAOS
	if rcode, _ := testPlugin(testConfig()).ServeDNS(t.Context(), &test.ResponseWriter{}, r); rcode != dns.RcodeBadName {
		t.Errorf("got %d, want it passed on", rcode)
	}
}

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

// D30: an alias of a name whose addresses are never answered is none, whatever it is asked for: a
// resolver that remembers it would follow it by itself, for all types.
func TestAliasToLoopback(t *testing.T) {
	const sound = "198.51.100.1"
	for _, tc := range []struct {
		name  string
		found []string
		types map[uint16]int // how many records of the target are answered, -1 for none and no alias either
	}{
		{"loopback in one family", []string{"A 127.0.0.1"}, map[uint16]int{dns.TypeA: -1, dns.TypeAAAA: -1, dns.TypeHTTPS: -1, dns.TypeCNAME: -1}},
		{"loopback in the other", []string{"AAAA ::1"}, map[uint16]int{dns.TypeA: -1, dns.TypeAAAA: -1, dns.TypeHTTPS: -1, dns.TypeCNAME: -1}},
		{"NAT64 of loopback", []string{"AAAA 64:ff9b::7f00:1", "AAAA 64:ff9b:1::7f00:1"}, map[uint16]int{dns.TypeA: -1, dns.TypeAAAA: -1, dns.TypeCNAME: -1}},
		{"one sound address", []string{"A 127.0.0.1", "A " + sound}, map[uint16]int{dns.TypeA: 1, dns.TypeAAAA: 0, dns.TypeHTTPS: 0, dns.TypeCNAME: 0}},
		{"hints of loopback", []string{"A " + sound, "HTTPS 1 . alpn=h2 ipv4hint=127.0.0.1 ipv6hint=::1"}, map[uint16]int{dns.TypeA: 1, dns.TypeHTTPS: -1, dns.TypeCNAME: 0}},
		{"hints of both", []string{"HTTPS 1 . ipv4hint=127.0.0.1,198.51.100.1 ipv6hint=::1", "SVCB 1 . ipv6hint=::1,2001:db8::1"}, map[uint16]int{dns.TypeHTTPS: 1, dns.TypeSVCB: 1}},
		{"no hints", []string{"A 127.0.0.1", "HTTPS 1 . alpn=h2"}, map[uint16]int{dns.TypeHTTPS: -1}},
		{"nothing", nil, map[uint16]int{dns.TypeA: 0, dns.TypeHTTPS: 0, dns.TypeCNAME: 0}},
	} {
		m := testPlugin(testConfig())
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
			if _, err := m.ServeDNS(t.Context(), w, new(dns.Msg).SetQuestion("alias.ex.org.", qtype)); err != nil {
				t.Fatal(err)
			}
			if got := len(w.Msg.Answer) - 1; got != want || w.Msg.Rcode != dns.RcodeSuccess {
				t.Errorf("%s: %s: got %d records behind the alias, want %d:\n%s", tc.name, dns.TypeToString[qtype], got, want, w.Msg)
			}
			if text := w.Msg.String(); strings.Contains(text, "127.0.0.1") || strings.Contains(text, "\"::1") || strings.Contains(text, "\t::1") || strings.Contains(text, "7f00") {
				t.Errorf("%s: %s: it is answered:\n%s", tc.name, dns.TypeToString[qtype], text)
			}
			if want < 0 && (len(w.Msg.Ns) != 1 || w.Msg.Ns[0].Header().Name != "alias.ex.org.") { // D5
				t.Errorf("%s: %s: got %v, want NODATA", tc.name, dns.TypeToString[qtype], w.Msg)
			}
		}
	}
}

// D50, D51: what a Service says of HTTPS stands at its names, and at a secondary, too. A name that asks
// for another port has no such record (RFC 9460 §9.1).
func TestHTTPS(t *testing.T) {
	alpn := []string{"h2", "http/1.1"}
	for _, tc := range []struct {
		name    string
		binding *records.Binding
		want    string
	}{
		{"web.shop.minilb.", nil, ""},
		{"web.shop.minilb.", &records.Binding{Port: 443}, "1 ."},
		{"Web.shop.minilb.", &records.Binding{Port: 443, ALPN: alpn}, `1 . alpn="h2,http/1.1"`},
		{"web.shop.minilb.", &records.Binding{Port: 8443}, `1 . port="8443"`},
		{"q.ex.org.", &records.Binding{Port: 8443, ALPN: alpn}, `1 . alpn="h2,http/1.1" port="8443"`},
		{"_https.ex.org.", &records.Binding{Port: 443}, ""},
	} {
		m := newMinilb(testConfig(), &records.Set{})
		addrs := records.NewAddresses(netip.MustParseAddr("10.0.0.1"))
		addrs.HTTPS = tc.binding
		node := &records.Node{Addrs: records.NewSet(addrs), Source: "service", Namespace: "shop", Service: "web"}
		m.index.Update(nil, []records.Record{{Name: "web.shop.minilb.", Node: node}, {Name: "*.ex.org.", Node: node}}, false)
		var want, transferred []string
		if tc.want != "" {
			want = []string{tc.name + " 5 HTTPS " + tc.want}
		}
		flat := func(rr dns.RR) string {
			return strings.Replace(strings.Join(strings.Fields(rr.String()), " "), " IN ", " ", 1)
		}
		var got []string
		reply := exchange(t, m, tc.name, dns.TypeHTTPS)
		for _, rr := range reply.Answer {
			got = append(got, flat(rr))
		}
		if !slices.Equal(got, want) || (len(reply.Ns) == 0) != (len(want) > 0) { // D25
			t.Errorf("%s %+v: got %q, want %q, in\n%s", tc.name, tc.binding, got, want, reply)
		}
		if reply := exchange(t, m, tc.name, dns.TypeSVCB); len(reply.Answer) != 0 || len(reply.Ns) != 1 { // D50: HTTPS only
			t.Errorf("%s %+v: SVCB got\n%s", tc.name, tc.binding, reply)
		}
		if m.index.Match(strings.ToLower(tc.name)) == "" {
			continue
		}
		rrs, err := m.Transfer("minilb.", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, rr := range received(rrs) {
			if rr.Header().Rrtype == dns.TypeHTTPS {
				transferred = append(transferred, flat(rr))
			}
		}
		if len(transferred) != len(want) || len(want) > 0 && !strings.EqualFold(transferred[0], want[0]) {
			t.Errorf("%+v: transferred %q, want %q", tc.binding, transferred, want)
		}
	}
}

func TestMetadata(t *testing.T) {
	m := testPlugin(testConfig())
	tests := map[string]string{
		"WEB.shop.minilb.": "shop web service",
		"q.w.ex.org.":      "shop web ingress",
		"alias.ex.org.":    "shop  ingress",
		"shop.minilb.":     "  ",
		"example.org.":     "  ",
	}
	for name, want := range tests {
		ctx := metadata.ContextWithMetadata(t.Context())
		ctx = m.Metadata(ctx, request.Request{Req: new(dns.Msg).SetQuestion(name, dns.TypeA), W: &test.ResponseWriter{}})
		var got []string
		for _, label := range []string{"minilb/namespace", "minilb/service", "minilb/source"} {
			value := metadata.ValueFunc(ctx, label)
			if value == nil {
				t.Fatalf("no metadata %s", label)
			}
			got = append(got, value())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

var _ plugin.Handler = (*Minilb)(nil)
