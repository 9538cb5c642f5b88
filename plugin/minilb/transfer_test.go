package minilb

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns/coredns/plugin/transfer"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// received reads a transfer to its end.
func received(rrs <-chan []dns.RR) []dns.RR {
	var all []dns.RR
	for some := range rrs {
		all = append(all, some...)
	}
	return all
}

func TestTransfer(t *testing.T) {
	m := testPlugin(testConfig())
	rrs, err := m.Transfer("minilb.", 0)
	if err != nil {
		t.Fatal(err)
	}
	got := received(rrs)
	soa := m.soa("minilb.", "minilb.", m.index.Serial("minilb."))
	want := []string{
		soa.String(), "minilb.\t5\tIN\tNS\tns1.minilb.", "ns1.minilb.\t5\tIN\tA\t192.0.2.53", "ns1.minilb.\t5\tIN\tAAAA\t2001:db8::53",
		"web.shop.minilb.\t5\tIN\tA\t10.0.0.1", "web.shop.minilb.\t5\tIN\tA\t10.0.0.2", "web.shop.minilb.\t5\tIN\tAAAA\tfd00::1",
		"home.minilb.\t5\tIN\tCNAME\tlb.example.com.", soa.String(),
	}
	for i := range 40 { // D23 is for answers
		want = append(want, fmt.Sprintf("many.shop.minilb.\t5\tIN\tA\t10.1.0.%d", i), "many.shop.minilb.\t5\tIN\tAAAA\t"+netip.MustParseAddr(fmt.Sprintf("fd00::%x", i)).String())
	}
	if first, last := got[0].String(), got[len(got)-1].String(); first != soa.String() || last != soa.String() {
		t.Errorf("it begins with %q and ends with %q, want %q", first, last, soa)
	}
	var lines []string
	for _, rr := range got {
		lines = append(lines, rr.String())
	}
	slices.Sort(lines)
	slices.Sort(want)
	if !slices.Equal(lines, want) {
		t.Errorf("got %q\nwant %q", lines, want)
	}
}

func TestTransferSerial(t *testing.T) {
	m := testPlugin(testConfig())
	now := m.index.Serial("minilb.")
	tests := []struct {
		serial uint32
		whole  bool
	}{
		{0, true}, // an AXFR
		{now, false},
		{now + 1, false},         // RFC 1995 §4
		{now + 1<<31 - 1, false}, // RFC 1982 §3.2
		{now - 1, true},
		{now - 1<<31 + 1, true},
		{1, true},
	}
	for _, tt := range tests {
		rrs, err := m.Transfer("minilb.", tt.serial)
		if err != nil {
			t.Fatal(err)
		}
		got := received(rrs)
		if soa, ok := got[0].(*dns.SOA); !ok || soa.Serial != now || (len(got) > 1) != tt.whole {
			t.Errorf("serial %d of %d: got %d records, whole %v, the first %v", tt.serial, now, len(got), tt.whole, got[0])
		}
	}
}

// An AXFR has no serial, which is 0 here and would be newer than those from 2038 on (RFC 1982).
func TestTransferLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock begins in 2000
		time.Sleep(40 * 365 * 24 * time.Hour)
		m := testPlugin(testConfig())
		rrs, err := m.Transfer("minilb.", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got, now := received(rrs), m.index.Serial("minilb."); len(got) < 4 || int32(now) > 0 {
			t.Errorf("with serial %d: got %d records, want all", now, len(got))
		}
	})
}

func TestTransferRefuses(t *testing.T) {
	m := testPlugin(testConfig())
	for _, zone := range []string{"shop.minilb.", "web.shop.minilb.", "ex.org.", "a.ex.org.", "org.", ".", ""} {
		if rrs, err := m.Transfer(zone, 0); rrs != nil || err != transfer.ErrNotAuthoritative {
			t.Errorf("%q: got %v, %v, want that it is not ours", zone, rrs, err)
		}
	}
	for _, partial := range []bool{false, true} {
		m := newMinilb(testConfig(), &records.AddressSet{})
		if partial {
			m.index.Update(nil, nil, true)
		}
		for _, serial := range []uint32{0, 1} {
			if rrs, err := m.Transfer("minilb.", serial); rrs != nil || !errors.Is(err, errNotSynced) {
				t.Errorf("partial %v: got %v, %v, want %v", partial, rrs, err, errNotSynced) // D72
			}
		}
	}
}

// What has been begun is one version of the names, and ends with its reader. Synctest fails for a
// goroutine that is left.
func TestTransferWhileReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := testPlugin(testConfig())
		soa := m.soa("lan.", "lan.", m.index.Serial("lan."))
		rrs, err := m.Transfer("lan.", 0)
		if err != nil {
			t.Fatal(err)
		}
		m.index.Update(nil, []records.Entry{{Name: "new.shop.lan.", Node: addressNode("service", "new", "10.0.0.3")}}, false)
		got := received(rrs)
		if serial := m.index.Serial("lan."); serial == soa.Serial {
			t.Errorf("the serial is %d still", serial)
		}
		for _, rr := range got {
			if strings.HasPrefix(rr.Header().Name, "new.") {
				t.Errorf("%v is of the next version", rr)
			}
		}
		if last, ok := got[len(got)-1].(*dns.SOA); !ok || last.Serial != soa.Serial {
			t.Errorf("it ends with %v, want serial %d", got[len(got)-1], soa.Serial)
		}
	})
}

// D18, RFC 1034 §4.2.1: what exists without data exists at a secondary, too, and a zone leads to
// those that lie in it.
func TestTransferExisting(t *testing.T) {
	conf := testConfig()
	conf.Options.Zones = []string{"minilb.", "lab.shop.minilb.", "lan."}
	conf.Options.ReverseZones = []string{"10.in-addr.arpa.", "244.10.in-addr.arpa."}
	m := newMinilb(conf, records.NewAddressSet(records.NewAddresses(netip.MustParseAddr("192.0.2.53"))))
	idle := records.NewAddresses()
	idle.Endpoints = records.NewEndpoints(idle, nil, []records.Port{{Proto: "_tcp", Service: "_http", Number: 80, Addrs: []netip.Addr{}}})
	m.index.Update(nil, []records.Entry{
		{Name: "empty.shop.minilb.", Node: &records.Node{Addrs: &records.AddressSet{}, NamesBelow: true}},
		{Name: "idle.shop.minilb.", Node: &records.Node{Addrs: records.NewAddressSet(idle), NamesBelow: true}},
	}, false)
	for zone, want := range map[string][]string{
		"minilb.": {
			"minilb. NS ns1.minilb.", "ns1.minilb. A 192.0.2.53", "lab.shop.minilb. NS ns1.lab.shop.minilb.", "ns1.lab.shop.minilb. A 192.0.2.53",
			`empty.shop.minilb. HINFO "RFC8482" ""`, `idle.shop.minilb. HINFO "RFC8482" ""`, `_http._tcp.idle.shop.minilb. HINFO "RFC8482" ""`,
		},
		"lab.shop.minilb.":     {"lab.shop.minilb. NS ns1.lab.shop.minilb.", "ns1.lab.shop.minilb. A 192.0.2.53"},
		"10.in-addr.arpa.":     {"10.in-addr.arpa. NS ns1.minilb.", "244.10.in-addr.arpa. NS ns1.minilb."},
		"244.10.in-addr.arpa.": {"244.10.in-addr.arpa. NS ns1.minilb."},
	} {
		ch, err := m.Transfer(zone, 0)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for rrs := range ch {
			for _, rr := range rrs {
				if rr.Header().Rrtype != dns.TypeSOA {
					got = append(got, rr.Header().Name+" "+dns.TypeToString[rr.Header().Rrtype]+" "+strings.TrimPrefix(rr.String(), rr.Header().String()))
				}
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", zone, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	for name, owner := range map[string]string{"lab.shop.minilb.": "minilb.", "minilb.": "minilb.", "244.10.in-addr.arpa.": "10.in-addr.arpa."} {
		reply := exchange(t, m, name, dns.TypeDS) // RFC 4035 §3.1.4.1
		if reply.Rcode != dns.RcodeSuccess || len(reply.Answer) != 0 || len(reply.Ns) != 1 || reply.Ns[0].Header().Name != owner {
			t.Errorf("%s DS: want the SOA of %s, got\n%s", name, owner, reply)
		}
	}
}
