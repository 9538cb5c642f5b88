package minilb

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// sharedHost is a plugin with a host in a zone and outside that leads to Services with a weight of 9 and 1, of 3 and 15 pods.
func sharedHost(maxAnswers int) *Minilb {
	conf := testConfig()
	conf.MaxAnswers = maxAnswers
	m := testPlugin(conf)
	var sets []*records.Addresses
	shares := &records.Shares{}
	for i, pods := range []int{3, 15} {
		var list []netip.Addr
		for n := range pods {
			v4, v6 := netip.AddrFrom4([4]byte{10, 2, byte(i), byte(n)}), netip.MustParseAddr("fd02::").As16()
			v6[13], v6[15] = byte(i+1), byte(n)
			list = append(list, v4, netip.AddrFrom16(v6))
		}
		sets = append(sets, records.NewAddresses(list...))
		for family := range shares {
			shares.Add(family, sets[i], []uint16{9, 1}[i])
		}
	}
	all := records.Union(sets...)
	all.Shares = shares
	node := &records.Node{Addrs: records.NewAddressSet(all), Source: "ingress", Namespace: "shop"}
	m.index.Update(nil, []records.Entry{{Name: "shared.ex.org.", Node: node}, {Name: "shared.minilb.", Node: node}}, false)
	return m
}

// L3: each answer has the addresses of one Service alone, and each Service its share of the answers, whatever max_answers is and
// however many pods there are.
func TestShares(t *testing.T) {
	const rounds = 100_000 // six and more standard deviations are 1 % of these
	for _, limit := range []int{0, 1, 16} {
		m := sharedHost(limit)
		for qtype, prefix := range map[uint16]string{dns.TypeA: "10.2.1.", dns.TypeAAAA: "fd02::2:"} {
			small := 0
			for range rounds {
				rec := dnstest.NewRecorder(&test.ResponseWriter{})
				if _, err := m.ServeDNS(t.Context(), rec, new(dns.Msg).SetQuestion("shared.ex.org.", qtype)); err != nil {
					t.Fatal(err)
				}
				of := 0
				for _, rr := range rec.Msg.Answer {
					if strings.HasPrefix(rr.String()[strings.LastIndexByte(rr.String(), '\t')+1:], prefix) {
						of++
					}
				}
				want := 3
				if of > 0 {
					want, small = 15, small+1
				}
				if limit > 0 {
					want = min(limit, want)
				}
				if got := len(rec.Msg.Answer); got != want || of != 0 && of != got {
					t.Fatalf("max_answers %d: %d of %d addresses are those of one Service: %v", limit, of, got, rec.Msg)
				}
			}
			if got := float64(small) / rounds; math.Abs(got-0.1) > 0.01 {
				t.Errorf("max_answers %d, %s: %d of %d answers have the Service of weight 1 of 10", limit, dns.TypeToString[qtype], small, rounds)
			}
		}
	}
}

// A secondary, which knows no shares, gets all addresses that may be answered.
func TestSharesTransfer(t *testing.T) {
	rrs, err := sharedHost(16).Transfer("minilb.", 0)
	if err != nil {
		t.Fatal(err)
	}
	all := slices.DeleteFunc(received(rrs), func(rr dns.RR) bool { return rr.Header().Name != "shared.minilb." })
	if len(all) != 2*18 {
		t.Errorf("got %d records, want %d", len(all), 2*18)
	}
}
