package minilb

import (
	"context"
	"slices"
	"testing"

	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// L2: the records of a name have its own TTL, and so have those below a Service's name; what denies keeps the server's, and so do
// records that speak of the name and are not its data.
func TestTTL(t *testing.T) {
	conf := testConfig()
	conf.Options.ReverseZones = []string{"10.in-addr.arpa."}
	m := withPorts(conf, 2)
	m.upstream = fakeUpstream(func(context.Context, string, uint16) (*dns.Msg, error) {
		return &dns.Msg{Answer: []dns.RR{test.A("lb.example.com. 60 IN A 198.51.100.1")}}, nil
	})
	_, plain := m.index.Lookup("minilb.", "web.shop.minilb.")
	all := *plain.Addrs.Load()
	all.HTTPS = &records.SvcParams{Port: 443}
	node := *plain
	node.Addrs, node.TTL = records.NewAddressSet(&all), new(uint16(30))
	m.index.Update(nil, []records.Entry{
		{Name: "web.shop.minilb.", Node: &node},
		{Name: "zero.ex.org.", Node: &records.Node{Addrs: node.Addrs, TTL: new(uint16(0))}},
		{Name: "home.minilb.", Node: &records.Node{Target: "lb.example.com.", TTL: new(uint16(30))}},
	}, false)
	m.index.UpdateReverse(&node, records.NewAddresses(), &all)
	ttls := func(rrs []dns.RR) (all []uint32) {
		for _, rr := range rrs {
			all = append(all, rr.Header().Ttl)
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	for _, tc := range []struct {
		name      string
		qtype     uint16
		want, soa []uint32
	}{
		{"web.shop.minilb.", dns.TypeA, []uint32{30}, nil},
		{"web.shop.minilb.", dns.TypeAAAA, []uint32{30}, nil},
		{"web.shop.minilb.", dns.TypeHTTPS, []uint32{30}, nil},
		{"_https._tcp.web.shop.minilb.", dns.TypeSRV, []uint32{30}, nil}, // with the additional section
		{"_dns._udp.web.shop.minilb.", dns.TypeSRV, []uint32{30}, nil},
		{"db-0.web.shop.minilb.", dns.TypeA, []uint32{30}, nil},
		{"zero.ex.org.", dns.TypeA, []uint32{0}, nil},
		{"home.minilb.", dns.TypeCNAME, []uint32{30}, nil},
		{"home.minilb.", dns.TypeA, []uint32{30, 60}, nil},
		{"web.shop.minilb.", dns.TypeTXT, nil, []uint32{5}},
		{"x.web.shop.minilb.", dns.TypeA, nil, []uint32{5}},
		{"web.shop.minilb.", dns.TypeANY, []uint32{5}, nil},
		{"1.0.0.10.in-addr.arpa.", dns.TypePTR, []uint32{5}, nil},
		{"minilb.", dns.TypeSOA, []uint32{5}, nil},
	} {
		reply := exchange(t, m, tc.name, tc.qtype)
		if got := ttls(append(reply.Answer, reply.Extra...)); !slices.Equal(got, tc.want) || !slices.Equal(ttls(reply.Ns), tc.soa) {
			t.Errorf("%s %s: got TTLs %v and %v of SOA, want %v and %v", tc.name, dns.TypeToString[tc.qtype], got, ttls(reply.Ns), tc.want, tc.soa)
		}
		if len(reply.Ns) > 0 && reply.Ns[0].(*dns.SOA).Minttl != 5 {
			t.Errorf("%s %s: got %v", tc.name, dns.TypeToString[tc.qtype], reply.Ns)
		}
	}
	rrs, err := m.Transfer("minilb.", 0)
	if err != nil {
		t.Fatal(err)
	}
	sent := slices.DeleteFunc(received(rrs), func(rr dns.RR) bool {
		return !dns.IsSubDomain("web.shop.minilb.", rr.Header().Name) && rr.Header().Name != "home.minilb."
	})
	if got := ttls(sent); len(sent) < 10 || !slices.Equal(got, []uint32{30}) {
		t.Errorf("%d records are transferred with TTLs of %v", len(sent), got)
	}
}
