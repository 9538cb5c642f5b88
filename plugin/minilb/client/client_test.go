package client

import (
	"net"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

func subnet(family uint16, addr string, source, scope uint8) *dns.EDNS0_SUBNET {
	return &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: family, Address: net.ParseIP(addr), SourceNetmask: source, SourceScope: scope}
}

// L4, RFC 7871 §6, §7.1.2
func TestOf(t *testing.T) {
	const malformed = "malformed"
	v4, v6 := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5353}, &net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 53}
	for _, tc := range []struct {
		name   string
		from   net.Addr
		subnet *dns.EDNS0_SUBNET // nil for none
		want   string
	}{
		{"sender, IPv4", v4, nil, "192.0.2.1/32"},
		{"sender, IPv6", v6, nil, "fe80::1/128"},
		{"sender, of another type", &net.IPAddr{IP: net.IPv4(192, 0, 2, 1)}, nil, "invalid Prefix"},
		{"sender, without an IP address", &net.UnixAddr{Name: "/run/dns", Net: "unix"}, nil, "invalid Prefix"},
		{"address", v4, subnet(1, "10.0.0.7", 32, 0), "10.0.0.7/32"},
		{"/24", v4, subnet(1, "10.0.0.0", 24, 0), "10.0.0.0/24"},
		{"/56", v4, subnet(2, "2001:db8:0:100::", 56, 0), "2001:db8:0:100::/56"},
		{"/128", v4, subnet(2, "2001:db8::1", 128, 0), "2001:db8::1/128"},
		{"within an octet", v4, subnet(1, "10.0.0.128", 25, 0), "10.0.0.128/25"},
		{"no bits", v4, subnet(1, "0.0.0.0", 0, 0), "192.0.2.1/32"},
		{"no bits, IPv6", v4, subnet(2, "::", 0, 0), "192.0.2.1/32"},
		{"no bits and no family", v4, subnet(0, "0.0.0.0", 0, 0), "192.0.2.1/32"},
		{"bits beyond the prefix", v4, subnet(1, "10.0.0.7", 24, 0), malformed},
		{"bits beyond none", v4, subnet(1, "10.0.0.7", 0, 0), malformed},
		{"bits beyond the prefix, IPv6", v4, subnet(2, "2001:db8::1", 56, 0), malformed},
		{"scope", v4, subnet(1, "10.0.0.0", 24, 24), malformed},
		{"scope without bits", v4, subnet(1, "0.0.0.0", 0, 24), malformed},
		{"no family, bits", v4, subnet(0, "10.0.0.0", 24, 0), malformed},
		{"family of another address", v4, subnet(1, "2001:db8::", 32, 0), malformed},
		{"prefix too long", v4, subnet(1, "10.0.0.7", 33, 0), malformed},
	} {
		query := new(dns.Msg).SetQuestion("web.shop.minilb.", dns.TypeA)
		if tc.subnet != nil {
			query.SetEdns0(1232, false)
			query.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "24a5ac1224a5ac12"}, tc.subnet}
		}
		network, of, ok := Of(tc.from, query)
		got := network.String()
		if !ok {
			got = malformed
		}
		if got != tc.want || of != tc.subnet {
			t.Errorf("%s: got %s, %v, want %s", tc.name, got, of, tc.want)
		}
	}
}

// RFC 7871 §7.2.1: the reply repeats the query's, with its own scope.
func TestTailored(t *testing.T) {
	for _, query := range []*dns.EDNS0_SUBNET{subnet(1, "10.0.0.0", 24, 0), subnet(2, "2001:db8::", 56, 0), subnet(0, "0.0.0.0", 0, 0)} {
		for _, depends := range []bool{false, true} {
			want := *query
			if depends {
				want.SourceScope = want.SourceNetmask
			}
			if got := Tailored(query, depends); got.String() != want.String() || got.Family != query.Family || got == query {
				t.Errorf("got %v, want %v", got, &want)
			}
		}
	}
}

// What package dns refuses is answered FORMERR by the server, and what it completes cannot be told (RFC 7871 §6).
func TestUnpack(t *testing.T) {
	for option, want := range map[string]string{
		"\x00\x01\x18\x00\x0a\x00\x00":     "10.0.0.0/24",
		"\x00\x01\x18\x00\x0a\x00":         "10.0.0.0/24", // too few octets
		"\x00\x01\x18\x00\x0a\x00\x00\x00": "10.0.0.0/24", // too many
		"\x00\x03\x18\x00\x0a\x00\x00":     "refused",     // family
		"\x00\x00\x18\x00\x0a\x00\x00":     "refused",
		"\x00\x01\x21\x00\x0a\x00\x00\x00": "refused", // prefix
		"\x00\x02\x81\x00\x0a\x00\x00\x00": "refused",
		"\x00\x01":                         "refused", // length
	} {
		query := new(dns.Msg).SetQuestion("web.shop.minilb.", dns.TypeA)
		query.SetEdns0(1232, false)
		query.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: dns.EDNS0SUBNET, Data: []byte(option)}}
		wire, err := query.Pack()
		if err != nil {
			t.Fatal(err)
		}
		got, received := "refused", new(dns.Msg)
		if err := received.Unpack(wire); err == nil {
			var network netip.Prefix
			network, _, _ = Of(&net.UDPAddr{}, received)
			got = network.String()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", option, got, want)
		}
	}
}
