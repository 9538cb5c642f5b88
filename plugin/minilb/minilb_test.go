package minilb

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metadata"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/records"
)

func addressNode(source, service string, addrs ...string) *records.Node {
	var list []netip.Addr
	for _, a := range addrs {
		list = append(list, netip.MustParseAddr(a))
	}
	return &records.Node{Addrs: records.NewAddressSet(records.NewAddresses(list...)), Source: source, Namespace: "shop", Service: service}
}

// passedOn is the next plugin: it answers so that a test sees what reached it.
var passedOn = test.NextHandler(dns.RcodeBadName, nil)

func testConfig() *config.Block {
	return &config.Block{
		Options: config.Options{Zones: []string{"minilb.", "lan."}}, TTL: 5, MaxAnswers: 16,
	}
}

func testPlugin(conf *config.Block) *Minilb {
	m := newMinilb(conf, records.NewAddressSet(records.NewAddresses(netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8::53"))))
	m.Next = passedOn
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprintf("10.1.0.%d", i), fmt.Sprintf("fd00::%x", i))
	}
	names := []records.Entry{
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
		with func(*config.Block)
		test.Case
	}{
		{"D20", nil, test.Case{Qname: "web.shop.minilb.", Qtype: dns.TypeA, Answer: v4}},
		{"D20", nil, test.Case{Qname: "web.shop.minilb.", Qtype: dns.TypeAAAA, Answer: []dns.RR{test.AAAA("web.shop.minilb. 5 IN AAAA fd00::1")}}},
		{"D2", nil, negative("nope.lan.", dns.TypeA, dns.RcodeNameError, "lan.")},
		{"D2", func(c *config.Block) { c.Fallthrough = []string{"."} }, test.Case{Qname: "nope.shop.minilb.", Qtype: dns.TypeA, Rcode: dns.RcodeBadName}},
		{"B5: a known name never falls through", func(c *config.Block) { c.Fallthrough = []string{"."} }, negative("web.shop.minilb.", dns.TypeTXT, dns.RcodeSuccess, "minilb.")},
		{"B5: nor does an empty non-terminal", func(c *config.Block) { c.Fallthrough = []string{"."} }, negative("shop.minilb.", dns.TypeA, dns.RcodeSuccess, "minilb.")},
		{"D20", func(c *config.Block) { c.TTL = 77 }, test.Case{Qname: "web.shop.minilb.", Qtype: dns.TypeAAAA, Answer: []dns.RR{test.AAAA("web.shop.minilb. 77 IN AAAA fd00::1")}}},
		{"D24", func(c *config.Block) { c.TTL = 77 }, test.Case{Qname: "nope.minilb.", Qtype: dns.TypeA, Rcode: dns.RcodeNameError, Ns: []dns.RR{test.SOA("minilb. 77 IN SOA ns1.minilb. hostmaster.minilb. 0 7200 1800 86400 77")}}},
		{"D26", nil, test.Case{Qname: "minilb.", Qtype: dns.TypeNS, Answer: []dns.RR{test.NS("minilb. 5 IN NS ns1.minilb.")}, Extra: []dns.RR{test.A("ns1.minilb. 5 IN A 192.0.2.53"), test.AAAA("ns1.minilb. 5 IN AAAA 2001:db8::53")}}},
		{"D26", nil, test.Case{Qname: "ns1.lan.", Qtype: dns.TypeA, Answer: []dns.RR{test.A("ns1.lan. 5 IN A 192.0.2.53")}}},
		{"D26", func(c *config.Block) { c.Nameservers = []string{"dns.example.org.", "web.shop.minilb."} }, test.Case{
			Qname: "minilb.", Qtype: dns.TypeNS,
			Answer: []dns.RR{test.NS("minilb. 5 IN NS dns.example.org."), test.NS("minilb. 5 IN NS web.shop.minilb.")},
			Extra:  append(slices.Clone(v4), test.AAAA("web.shop.minilb. 5 IN AAAA fd00::1")),
		}},
		{"D26: an alias has no address", func(c *config.Block) { c.Nameservers = []string{"home.minilb.", "alias.ex.org."} }, test.Case{
			Qname: "minilb.", Qtype: dns.TypeNS,
			Answer: []dns.RR{test.NS("minilb. 5 IN NS alias.ex.org."), test.NS("minilb. 5 IN NS home.minilb.")},
		}},
		{"D26", func(c *config.Block) { c.Nameservers = []string{"dns.example.org."} }, test.Case{
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
				soa.Serial = m.index.Serial(m.index.Zone(strings.ToLower(tc.Qname)))
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
		conf.MaxAnswers = limit
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
	conf.Fallthrough = []string{"."}
	m := newMinilb(conf, &records.AddressSet{})
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

// D29b: a NOTIFY is no question, whatever its name.
func TestOpcodes(t *testing.T) {
	m := testPlugin(testConfig())
	for name, want := range map[string]int{"minilb.": dns.RcodeNotImplemented, "web.shop.minilb.": dns.RcodeNotImplemented, "a.ex.org.": dns.RcodeBadName, "nobodys.": dns.RcodeBadName} {
		w := dnstest.NewRecorder(&test.ResponseWriter{})
		rcode, err := m.ServeDNS(t.Context(), w, new(dns.Msg).SetNotify(name))
		if rcode != want || err != nil || w.Msg != nil {
			t.Errorf("%s: got %d, %v and %v, want %d for the server to write", name, rcode, err, w.Msg, want)
		}
	}
}

// D50, D51: what a Service says of HTTPS stands at its names, and at a secondary, too. A name that asks
// for another port has no such record (RFC 9460 §9.1).
func TestHTTPS(t *testing.T) {
	alpn := []string{"h2", "http/1.1"}
	for _, tc := range []struct {
		name    string
		binding *records.SvcParams
		want    string
	}{
		{"web.shop.minilb.", nil, ""},
		{"web.shop.minilb.", &records.SvcParams{Port: 443}, "1 ."},
		{"Web.shop.minilb.", &records.SvcParams{Port: 443, ALPN: alpn}, `1 . alpn="h2,http/1.1"`},
		{"web.shop.minilb.", &records.SvcParams{Port: 8443}, `1 . port="8443"`},
		{"q.ex.org.", &records.SvcParams{Port: 8443, ALPN: alpn}, `1 . alpn="h2,http/1.1" port="8443"`},
		{"_https.ex.org.", &records.SvcParams{Port: 443}, ""},
	} {
		m := newMinilb(testConfig(), &records.AddressSet{})
		addrs := records.NewAddresses(netip.MustParseAddr("10.0.0.1"))
		addrs.HTTPS = tc.binding
		node := &records.Node{Addrs: records.NewAddressSet(addrs), Source: "service", Namespace: "shop", Service: "web"}
		m.index.Update(nil, []records.Entry{{Name: "web.shop.minilb.", Node: node}, {Name: "*.ex.org.", Node: node}}, false)
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
		if m.index.Zone(strings.ToLower(tc.name)) == "" {
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
