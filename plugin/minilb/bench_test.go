package minilb

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// sized returns a plugin that knows so many Services with so many endpoints each and a named
// port, each of which has a host and a wildcard outside the zone, and that answers with all of
// the endpoints.
func sized(services, endpoints int) *Minilb {
	conf := testConfig()
	conf.MaxAnswers = 0
	m := newMinilb(conf, &records.AddressSet{})
	m.Next = passedOn
	var names []records.Entry
	for i := range services {
		var addrs []netip.Addr
		for j := range endpoints {
			n := i*endpoints + j
			addrs = append(addrs, netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}))
		}
		all := records.NewAddresses(addrs...)
		all.Endpoints = records.NewEndpoints(all, nil, []records.Port{{Proto: "_tcp", Service: "_http", Number: 8080}})
		set, name := records.NewAddressSet(all), fmt.Sprintf("s%05d", i)
		names = append(names,
			records.Entry{Name: name + ".shop.minilb.", Node: &records.Node{Addrs: set, NamesBelow: true, Source: "service", Namespace: "shop", Service: name}},
			records.Entry{Name: name + ".ex.org.", Node: &records.Node{Addrs: set, Source: "ingress", Namespace: "shop", Service: name}},
			records.Entry{Name: "*." + name + ".w.ex.org.", Node: &records.Node{Addrs: set, Source: "httproute", Namespace: "shop", Service: name}},
		)
	}
	m.index.Update(nil, names, false)
	return m
}

// answersOf are questions by what they are answered with; %05d is the number of a Service.
var answersOf = []struct {
	kind, name string
	qtype      uint16
	rcode      int
	all        bool // whether all endpoints are in the answer
}{
	{"zone", "s%05d.shop.minilb.", dns.TypeA, dns.RcodeSuccess, true},
	{"overlay", "s%05d.ex.org.", dns.TypeA, dns.RcodeSuccess, true},
	{"wildcard", "any.s%05d.w.ex.org.", dns.TypeA, dns.RcodeSuccess, true},
	{"srv", "_http._tcp.s%05d.shop.minilb.", dns.TypeSRV, dns.RcodeSuccess, true},
	{"nodata", "s%05d.shop.minilb.", dns.TypeAAAA, dns.RcodeSuccess, false},
	{"nxdomain", "n%05d.shop.minilb.", dns.TypeA, dns.RcodeNameError, false},
}

// lastReply keeps the reply for the test to look at.
type lastReply struct {
	test.ResponseWriter
	msg *dns.Msg
}

func (w *lastReply) WriteMsg(m *dns.Msg) error {
	w.msg = m
	return nil
}

func BenchmarkServeDNS(b *testing.B) {
	for _, size := range []struct{ services, endpoints int }{{100, 3}, {10_000, 3}, {100, 10}, {10_000, 10}, {100, 25}} {
		m := sized(size.services, size.endpoints)
		for _, a := range answersOf {
			b.Run(fmt.Sprintf("%s/services=%d/endpoints=%d", a.kind, size.services, size.endpoints), func(b *testing.B) {
				var questions []*dns.Msg
				for i := range 1024 {
					questions = append(questions, new(dns.Msg).SetQuestion(fmt.Sprintf(a.name, i*7919%size.services), a.qtype))
				}
				w, ctx, want := &lastReply{}, b.Context(), 0
				if a.all {
					want = size.endpoints
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, err := m.ServeDNS(ctx, w, questions[i%len(questions)]); err != nil {
						b.Fatal(err)
					}
					if w.msg.Rcode != a.rcode || a.qtype != dns.TypeSRV && len(w.msg.Answer) != want {
						b.Fatalf("got\n%s\nwant %s with %d records", w.msg, dns.RcodeToString[a.rcode], want)
					}
				}
			})
		}
	}
}
