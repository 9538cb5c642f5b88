package minilb

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// withPorts is a Service whose endpoints are named, with the ports https and dns.
func withPorts(conf *config.Block, count int) *Minilb {
	m := newMinilb(conf, &records.AddressSet{})
	m.Next = passedOn
	var addrs []netip.Addr
	for i := range count {
		addrs = append(addrs, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), netip.MustParseAddr(fmt.Sprintf("fd00::%x", i+1)))
	}
	all := records.NewAddresses(addrs...)
	all.Endpoints = records.NewEndpoints(all, []records.Host{{Label: "db-0", Addr: addrs[0]}, {Label: "db-0", Addr: addrs[1]}},
		[]records.Port{{Proto: "_tcp", Service: "_https", Number: 8443}, {Proto: "_udp", Service: "_dns", Number: 53, Labels: []string{"db-0"}}})
	m.index.Update(nil, []records.Entry{{Name: "web.shop.minilb.", Node: &records.Node{Addrs: records.NewAddressSet(all), NamesBelow: true, Source: "service", Namespace: "shop", Service: "web"}}}, false)
	return m
}

func exchange(t *testing.T, m *Minilb, name string, qtype uint16) *dns.Msg {
	t.Helper()
	return exchangeOver(t, m, false, 0, name, qtype)
}

// exchangeOver asks over TCP or UDP, with EDNS if size is not 0, and returns what the server
// would send.
func exchangeOver(t *testing.T, m *Minilb, tcp bool, size uint16, name string, qtype uint16) *dns.Msg {
	t.Helper()
	question := new(dns.Msg).SetQuestion(name, qtype)
	if size > 0 {
		question.SetEdns0(size, false)
	}
	rec := dnstest.NewRecorder(&test.ResponseWriter{TCP: tcp})
	if _, err := m.ServeDNS(context.Background(), request.NewScrubWriter(question, rec), question); err != nil {
		t.Fatal(err)
	}
	return rec.Msg
}

// D40–D42: the records of named ports and of endpoints, whole.
func TestServices(t *testing.T) {
	m := withPorts(testConfig(), 2)
	soa := []dns.RR{test.SOA("minilb. 5 IN SOA ns1.minilb. hostmaster.minilb. 0 7200 1800 86400 5")}
	for _, tc := range []test.Case{
		{
			Qname: "_HTTPS._tcp.Web.shop.minilb.", Qtype: dns.TypeSRV, // D22
			Answer: []dns.RR{
				test.SRV("_HTTPS._tcp.Web.shop.minilb. 5 IN SRV 0 100 8443 10-0-0-1.Web.shop.minilb."),
				test.SRV("_HTTPS._tcp.Web.shop.minilb. 5 IN SRV 0 100 8443 db-0.Web.shop.minilb."),
				test.SRV("_HTTPS._tcp.Web.shop.minilb. 5 IN SRV 0 100 8443 fd00--2.Web.shop.minilb."),
			},
			Extra: []dns.RR{
				test.A("10-0-0-1.Web.shop.minilb. 5 IN A 10.0.0.1"), test.A("db-0.Web.shop.minilb. 5 IN A 10.0.0.0"),
				test.AAAA("db-0.Web.shop.minilb. 5 IN AAAA fd00::1"), test.AAAA("fd00--2.Web.shop.minilb. 5 IN AAAA fd00::2"),
			},
		},
		{
			Qname: "_dns._udp.web.shop.minilb.", Qtype: dns.TypeSRV,
			Answer: []dns.RR{test.SRV("_dns._udp.web.shop.minilb. 5 IN SRV 0 100 53 db-0.web.shop.minilb.")},
			Extra:  []dns.RR{test.A("db-0.web.shop.minilb. 5 IN A 10.0.0.0"), test.AAAA("db-0.web.shop.minilb. 5 IN AAAA fd00::1")},
		},
		{Qname: "db-0.web.shop.minilb.", Qtype: dns.TypeA, Answer: []dns.RR{test.A("db-0.web.shop.minilb. 5 IN A 10.0.0.0")}},
		{Qname: "fd00--2.web.shop.minilb.", Qtype: dns.TypeAAAA, Answer: []dns.RR{test.AAAA("fd00--2.web.shop.minilb. 5 IN AAAA fd00::2")}},
		{Qname: "fd00--2.web.shop.minilb.", Qtype: dns.TypeA, Ns: soa},
		{Qname: "_https._tcp.web.shop.minilb.", Qtype: dns.TypeA, Ns: soa},
		{Qname: "_https._tcp.web.shop.minilb.", Qtype: dns.TypeTXT, Ns: soa},
		{Qname: "_tcp.web.shop.minilb.", Qtype: dns.TypeSRV, Ns: soa},
		{Qname: "web.shop.minilb.", Qtype: dns.TypeSRV, Ns: soa},
		{Qname: "_https._udp.web.shop.minilb.", Qtype: dns.TypeSRV, Rcode: dns.RcodeNameError, Ns: soa},
		{Qname: "_sctp.web.shop.minilb.", Qtype: dns.TypeSRV, Rcode: dns.RcodeNameError, Ns: soa},
		{Qname: "10-0-0-0.web.shop.minilb.", Qtype: dns.TypeA, Rcode: dns.RcodeNameError, Ns: soa}, // it is db-0
	} {
		if err := test.SortAndCheck(exchange(t, m, tc.Qname, tc.Qtype), tc); err != nil {
			t.Errorf("%s %s: %v", tc.Qname, dns.TypeToString[tc.Qtype], err)
		}
	}
}

// longZone is as long as a zone may be (D33), so that some names below a Service cannot be.
var longZone = strings.Repeat("z", 61) + "." + strings.Repeat("y", 61) + ".l."

// D33: what would be too long for DNS is left out, and costs nothing else.
func TestServicesTooLong(t *testing.T) {
	service, namespace := strings.Repeat("s", 60), strings.Repeat("n", 52)
	conf := testConfig()
	conf.Options.Zones, conf.Options.ReverseZones = []string{longZone}, []string{"10.in-addr.arpa."}
	m := newMinilb(conf, &records.AddressSet{})
	long, short := netip.MustParseAddr("10.244.100.100"), netip.MustParseAddr("10.0.0.1")
	all := records.NewAddresses(long, short)
	all.Endpoints = records.NewEndpoints(all, nil, []records.Port{{Proto: "_t", Service: "_a", Number: 1}, {Proto: "_tcp", Service: "_much-too-long", Number: 2}})
	node := &records.Node{Addrs: records.NewAddressSet(all), NamesBelow: true, Source: "service", Namespace: namespace, Service: service}
	name := service + "." + namespace + "." + longZone
	m.index.Update(nil, []records.Entry{{Name: name, Node: node}}, false)
	m.index.UpdateReverse(node, records.NewAddresses(), all)

	for _, limit := range []int{16, 1, 0} { // 0 is for all (D23)
		m.maxAnswers = limit
		srv := exchangeOver(t, m, true, 0, "_a._t."+name, dns.TypeSRV) // not even one fits 512 bytes
		if len(srv.Answer) != 1 || srv.Answer[0].(*dns.SRV).Target != "10-0-0-1."+name || len(srv.Extra) != 1 {
			t.Errorf("max_answers %d: got %v", limit, srv)
		}
	}
	for reverse, want := range map[string]int{"1.0.0.10.in-addr.arpa.": dns.RcodeSuccess, "100.100.244.10.in-addr.arpa.": dns.RcodeNameError} {
		if reply := exchange(t, m, reverse, dns.TypePTR); reply.Rcode != want {
			t.Errorf("got %v", reply)
		}
	}
	for _, zone := range m.index.Zones {
		rrs, err := m.Transfer(zone, 0)
		if err != nil {
			t.Fatal(err)
		}
		for rr := range rrs {
			if _, err := (&dns.Msg{Answer: rr}).Pack(); err != nil {
				t.Errorf("%s: %v", rr, err)
			}
		}
	}
}

// D23b: all targets, whatever max_answers is, where there is room for them and their addresses.
func TestServicesWhole(t *testing.T) {
	for _, limit := range []int{16, 0, 3} {
		conf := testConfig()
		conf.MaxAnswers = limit
		reply := exchangeOver(t, withPorts(conf, 40), true, 0, "_https._tcp.web.shop.minilb.", dns.TypeSRV)
		if got, want := len(reply.Answer), 2*40-1; got != want || reply.Truncated { // one has both families
			t.Errorf("max_answers %d: got %d records, truncated %v, want %d", limit, got, reply.Truncated, want)
		}
		for _, rr := range reply.Answer {
			if target := rr.(*dns.SRV).Target; !slices.ContainsFunc(reply.Extra, func(rr dns.RR) bool { return rr.Header().Name == target }) {
				t.Errorf("max_answers %d: no address of %s", limit, target)
			}
		}
	}
}

// D23b: what is left of more than fits is the same each time, and what fits is in another order.
func TestServicesStable(t *testing.T) {
	orders, first := map[string]int{}, map[string]int{}
	m := withPorts(testConfig(), 40)
	for range 50 {
		var order, cut []string
		for _, rr := range exchangeOver(t, m, true, 0, "_https._tcp.web.shop.minilb.", dns.TypeSRV).Answer {
			order = append(order, rr.String())
		}
		reply := exchangeOver(t, m, false, 1232, "_https._tcp.web.shop.minilb.", dns.TypeSRV)
		for _, rr := range reply.Answer {
			cut = append(cut, rr.String())
		}
		if !reply.Truncated || len(cut) < 20 {
			t.Fatalf("got %d records, truncated %v", len(cut), reply.Truncated)
		}
		orders[strings.Join(order, " ")]++
		first[strings.Join(cut, " ")]++
	}
	if len(orders) < 40 || len(first) != 1 {
		t.Errorf("got %d orders of all and %d choices of some in 50 answers", len(orders), len(first))
	}
}
