package minilb

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// D23: what is answered over UDP is not truncated, however long the names, and is as much as
// there is room for; but for max_answers 0, by which all is asked for, and SRV records (D23b).
func TestSize(t *testing.T) {
	const port = "_https._tcp.web.shop.minilb."
	long := strings.Repeat("a-host-of-a-team.", 11) + "example.org."
	for _, tc := range []struct {
		name             string
		qtype            uint16
		limit            int
		size             uint16
		atLeast, atMost  int // records in the answer
		extra, truncated bool
	}{
		{"many.shop.minilb.", dns.TypeA, 16, 0, 16, 16, false, false},
		{"many.shop.minilb.", dns.TypeAAAA, 16, 0, 16, 16, false, false},
		{"many.shop.minilb.", dns.TypeAAAA, 16, 512, 16, 16, false, false},
		{"many.shop.minilb.", dns.TypeA, 1000, 0, 29, 29, false, false}, // D32
		{"many.shop.minilb.", dns.TypeAAAA, 1000, 0, 17, 17, false, false},
		{"many.shop.minilb.", dns.TypeAAAA, 1000, 4096, 40, 40, false, false},
		{long, dns.TypeAAAA, 16, 0, 10, 10, false, false},
		{long, dns.TypeA, 16, 0, 16, 16, false, false},
		{port, dns.TypeSRV, 16, 0, 9, 11, false, true},
		{port, dns.TypeSRV, 16, 1232, 20, 30, false, true},
		{port, dns.TypeSRV, 16, 4096, 79, 79, false, false},
		{port, dns.TypeSRV, 16, 8192, 79, 79, true, false},
		{port, dns.TypeSRV, 0, 1232, 20, 30, false, true},
		{"many.shop.minilb.", dns.TypeAAAA, 0, 0, 1, 17, false, true},
		{"many.shop.minilb.", dns.TypeAAAA, 0, 1232, 40, 40, false, false},
	} {
		conf := testConfig()
		conf.MaxAnswers = tc.limit
		m := testPlugin(conf)
		if tc.name == port {
			m = withPorts(conf, 40)
		}
		if tc.name == long {
			_, many := m.index.Lookup("minilb.", "many.shop.minilb.")
			m.index.Update(nil, []records.Entry{{Name: long, Node: many}}, false)
		}
		reply := exchangeOver(t, m, false, tc.size, tc.name, tc.qtype)
		if packed, err := reply.Pack(); err != nil || len(packed) > max(512, int(tc.size)) {
			t.Errorf("%+v: a message of %d bytes, %v", tc, len(packed), err)
		}
		if got := len(reply.Answer); reply.Truncated != tc.truncated || got < tc.atLeast || got > tc.atMost {
			t.Errorf("%+v: got %d records, truncated %v", tc, got, reply.Truncated)
		}
		addresses := 0
		for _, rr := range reply.Extra {
			if rr.Header().Rrtype != dns.TypeOPT {
				addresses++
			}
		}
		if !tc.truncated && tc.extra != (addresses >= len(reply.Answer)) && tc.qtype == dns.TypeSRV {
			t.Errorf("%+v: got %d additional addresses for %d targets", tc, addresses, len(reply.Answer))
		}
		if reply = exchangeOver(t, m, true, tc.size, tc.name, tc.qtype); reply.Truncated {
			t.Errorf("%+v: truncated over TCP", tc)
		}
	}
}

// D23b: over UDP no answer is larger than 8192 bytes, whatever the client claims to have room for, and what
// is left out is said to be, to whatever stands between here and the server, too.
func TestMaxDatagram(t *testing.T) {
	const port = "_https._tcp.web.shop.minilb."
	for _, tc := range []struct {
		name  string
		qtype uint16
		limit int
	}{{port, dns.TypeSRV, 16}, {"web.shop.minilb.", dns.TypeAAAA, 0}, {"web.shop.minilb.", dns.TypeA, 0}} {
		conf := testConfig()
		conf.MaxAnswers = tc.limit
		m := withPorts(conf, 1000)
		most := exchangeOver(t, m, false, maxDatagram, tc.name, tc.qtype)
		reply := exchangeOver(t, m, false, 65535, tc.name, tc.qtype)
		packed, err := reply.Pack()
		if err != nil || len(packed) > maxDatagram || !reply.Truncated || len(reply.Answer) < 100 || len(reply.Answer) != len(most.Answer) {
			t.Errorf("%s: got %d bytes with %d records, truncated %v, %v; want %d records", dns.TypeToString[tc.qtype], len(packed), len(reply.Answer), reply.Truncated, err, len(most.Answer))
		}
		question := new(dns.Msg).SetQuestion(tc.name, tc.qtype).SetEdns0(65535, false)
		rec := dnstest.NewRecorder(&test.ResponseWriter{})
		if _, err := m.ServeDNS(t.Context(), rec, question); err != nil || !rec.Msg.Truncated {
			t.Errorf("%s: what is handed to the server is truncated: %v, %v", dns.TypeToString[tc.qtype], rec.Msg.Truncated, err)
		}
		if reply = exchangeOver(t, m, true, 65535, tc.name, tc.qtype); len(reply.Answer) < 1000 && !reply.Truncated {
			t.Errorf("%s: got %d records over TCP", dns.TypeToString[tc.qtype], len(reply.Answer))
		}
	}
	small := exchangeOver(t, withPorts(testConfig(), 40), false, 65535, port, dns.TypeSRV)
	if len(small.Answer) != 79 || small.Truncated {
		t.Errorf("got %d records of 79, truncated %v", len(small.Answer), small.Truncated)
	}
}

// D23, D75: what the server and plugin dnssec add has room, if they add it.
func TestRoom(t *testing.T) {
	for _, tc := range []struct {
		edns, do, signed, stale bool
		want                    int // records of 28 bytes in 1000, or in 512 without EDNS
	}{
		{want: 17},
		{signed: true, stale: true, want: 17},
		{edns: true, want: 34},
		{edns: true, do: true, want: 34},
		{edns: true, signed: true, want: 34},
		{edns: true, stale: true, want: 30},
		{edns: true, do: true, signed: true, want: 22},
		{edns: true, do: true, signed: true, stale: true, want: 19},
	} {
		conf := testConfig()
		conf.MaxAnswers = 1000
		ask := func(m *Minilb, name string, qtype uint16) *dns.Msg {
			m.signed, m.restored = tc.signed, func() bool { return tc.stale }
			question := new(dns.Msg).SetQuestion(name, qtype)
			if tc.edns {
				question.SetEdns0(1000, tc.do)
			}
			rec := dnstest.NewRecorder(&test.ResponseWriter{})
			if _, err := m.ServeDNS(t.Context(), rec, question); err != nil {
				t.Fatal(err)
			}
			return rec.Msg
		}
		if got := len(ask(testPlugin(conf), "many.shop.minilb.", dns.TypeAAAA).Answer); got != tc.want {
			t.Errorf("%+v: got %d records", tc, got)
		}
		// Each additional RRset would be signed as well.
		addresses := 0
		for _, rr := range ask(withPorts(conf, 2), "_https._tcp.web.shop.minilb.", dns.TypeSRV).Extra {
			if rr.Header().Rrtype != dns.TypeOPT {
				addresses++
			}
		}
		if want := !(tc.signed && tc.do); (addresses > 0) != want {
			t.Errorf("%+v: got %d additional addresses, want any: %v", tc, addresses, want)
		}
	}
}

// D26, D32: the addresses of a name server are left out where they do not fit, and only there: whole
// RRsets, the last ones first.
func TestGlueFits(t *testing.T) {
	const v4, v6 = 40, 40
	conf := testConfig()
	conf.MaxAnswers, conf.Nameservers = 40, []string{"many.shop.minilb."}
	m := testPlugin(conf)
	all := exchangeOver(t, m, false, 4096, "minilb.", dns.TypeNS)
	all.Compress = true
	whole := uint16(all.Len())
	part := whole - v6*(recordSize+16)
	for _, tc := range []struct {
		size         uint16
		want4, want6 int
	}{{4096, v4, v6}, {whole, v4, v6}, {whole - 1, v4, 0}, {part, v4, 0}, {part - 1, 0, 0}, {512, 0, 0}} {
		reply := exchangeOver(t, m, false, tc.size, "minilb.", dns.TypeNS)
		got := map[uint16]int{}
		for _, rr := range reply.Extra {
			got[rr.Header().Rrtype]++
		}
		if len(reply.Answer) != 1 || reply.Truncated || got[dns.TypeA] != tc.want4 || got[dns.TypeAAAA] != tc.want6 {
			t.Errorf("%+v: got %d name servers, %d and %d addresses, truncated %v", tc, len(reply.Answer), got[dns.TypeA], got[dns.TypeAAAA], reply.Truncated)
		}
	}
}

// D23: the names of an address fit, too.
func TestPointersFit(t *testing.T) {
	conf := testConfig()
	conf.Options.ReverseZones = []string{"10.in-addr.arpa."}
	m := newMinilb(conf, &records.AddressSet{})
	m.index.Update(nil, nil, false)
	addr := netip.MustParseAddr("10.244.100.100")
	for i := range 20 {
		node := &records.Node{Addrs: records.NewAddressSet(records.NewAddresses(addr)), NamesBelow: true, Namespace: "a-namespace", Service: fmt.Sprintf("a-service-%d", i)}
		m.index.UpdateReverse(node, records.NewAddresses(), node.Addrs.Load())
	}
	reply := exchangeOver(t, m, false, 0, "100.100.244.10.in-addr.arpa.", dns.TypePTR)
	if len(reply.Answer) < 7 || reply.Truncated {
		t.Errorf("got %d of 16, truncated %v", len(reply.Answer), reply.Truncated)
	}
	if reply = exchangeOver(t, m, true, 0, "100.100.244.10.in-addr.arpa.", dns.TypePTR); len(reply.Answer) != 16 {
		t.Errorf("got %d of 16 over TCP", len(reply.Answer))
	}
}
