package minilb

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	_ "github.com/coredns/coredns/plugin/bind"
	"github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/minimal"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/records"
)

var _ cache.ZoneBypasser = (*Minilb)(nil)

// from is a writer whose client has an address.
type from struct {
	lastReply
	addr net.Addr
}

func (w *from) RemoteAddr() net.Addr { return w.addr }

func udp(addr string) net.Addr { return &net.UDPAddr{IP: net.ParseIP(addr), Port: 5353} }

// ask returns the rcode and the reply to a question for A or AAAA records, with a client subnet or without.
func (m *Minilb) ask(t *testing.T, addr, name string, qtype uint16, subnet *dns.EDNS0_SUBNET) (int, *dns.Msg) {
	t.Helper()
	query := new(dns.Msg).SetQuestion(name, qtype)
	if subnet != nil {
		query.SetEdns0(1232, false)
		query.IsEdns0().Option = []dns.EDNS0{subnet}
	}
	w := &from{addr: udp(addr)}
	rcode, err := m.ServeDNS(t.Context(), w, query)
	if err != nil {
		t.Fatal(err)
	}
	return rcode, w.msg
}

func clientSubnet(network string) *dns.EDNS0_SUBNET {
	prefix := netip.MustParsePrefix(network)
	subnet := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(prefix.Bits()), Address: net.IP(prefix.Addr().AsSlice())}
	if prefix.Addr().Is6() {
		subnet.Family = 2
	}
	return subnet
}

// data returns the data of the answers, in their order, and the client subnet of the reply, "" for none.
func data(reply *dns.Msg) (answers []string, subnet string) {
	for _, rr := range reply.Answer {
		answers = append(answers, dns.Field(rr, 1))
	}
	if opt := reply.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if s, is := o.(*dns.EDNS0_SUBNET); is {
				subnet += fmt.Sprintf("%d %s", s.Family, s)
			}
		}
	}
	return answers, subnet
}

// testByClient is a plugin with the properties and byClientNames.
func testByClient(options config.Options) *Minilb {
	conf := testConfig()
	options.Zones = conf.Options.Zones
	conf.Options = options
	m := newMinilb(conf, records.NewAddressSet(records.NewAddresses(netip.MustParseAddr("192.0.2.53"))))
	m.Next = passedOn
	m.index.Update(nil, byClientNames(), false)
	return m
}

// byClientNames are a Service that has affinity, one with endpoints near the clients of two lines, and one with neither.
func byClientNames() (names []records.Entry) {
	for name, byClient := range map[string]func(*records.Addresses) *records.ByClient{
		"sticky": func(a *records.Addresses) *records.ByClient { return records.NewByClient(a, true, nil) },
		"near": func(a *records.Addresses) *records.ByClient {
			return records.NewByClient(a, false, [][]netip.Addr{a.V4[:2], a.V4[2:3]})
		},
		"plain": func(*records.Addresses) *records.ByClient { return nil },
	} {
		var addrs []netip.Addr
		for i := range 20 {
			addrs = append(addrs, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
		}
		all := records.NewAddresses(append(addrs, netip.MustParseAddr("fd00::1"))...)
		all.ByClient = byClient(all)
		node := &records.Node{Addrs: records.NewAddressSet(all), Source: "service", Namespace: "shop", Service: name}
		names = append(names, records.Entry{Name: name + ".shop.minilb.", Node: node}, records.Entry{Name: name + ".ex.org.", Node: node})
	}
	return names
}

func byClientOptions() config.Options {
	return config.Options{Affinity: true, Near: []config.NearRule{
		{Clients: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fd01::/64")}, Zones: []string{"a"}},
		{Clients: []netip.Prefix{netip.MustParsePrefix("192.168.7.0/25")}, Zones: []string{"b"}},
	}}
}

// L4: a client keeps its order over 10,000 answers, whoever asks for it, and over a reload; others have others.
func TestAffinity(t *testing.T) {
	m, again := testByClient(byClientOptions()), testByClient(byClientOptions())
	firsts := map[string]int{}
	for i := range 100 {
		addr := fmt.Sprintf("192.0.2.%d", i)
		_, reply := m.ask(t, addr, "sticky.shop.minilb.", dns.TypeA, nil)
		want, _ := data(reply)
		if len(want) != 16 {
			t.Fatalf("got %v", want)
		}
		firsts[want[0]]++
		for j := range 100 {
			for _, ask := range []func() (int, *dns.Msg){
				func() (int, *dns.Msg) { return m.ask(t, addr, "sticky.shop.minilb.", dns.TypeA, nil) },
				func() (int, *dns.Msg) { return again.ask(t, addr, "sticky.ex.org.", dns.TypeA, nil) },
				func() (int, *dns.Msg) {
					return again.ask(t, "198.51.100.1", "sticky.shop.minilb.", dns.TypeA, clientSubnet(addr+"/32"))
				},
			}[:1+2*(j/99)] {
				_, reply := ask()
				if got, _ := data(reply); !slices.Equal(got, want) {
					t.Fatalf("%s: got %v, want %v", addr, got, want)
				}
			}
		}
	}
	if len(firsts) < 15 {
		t.Errorf("all clients get %v first", firsts)
	}
	// What has no affinity has no order.
	for _, name := range []string{"plain.shop.minilb.", "near.shop.minilb."} {
		firsts := map[string]bool{}
		for range 50 {
			_, reply := m.ask(t, "192.0.2.1", name, dns.TypeA, nil)
			answers, _ := data(reply)
			firsts[answers[0]] = true
		}
		if len(firsts) < 10 {
			t.Errorf("%s: got only %v first", name, firsts)
		}
	}
}

// L5: the longest network that has the client counts, and a client subnet that is only partly in one is not in it.
func TestNear(t *testing.T) {
	m := testByClient(byClientOptions())
	const first, second, all = "10.0.0.0 10.0.0.1", "10.0.0.2", "all"
	for _, tc := range []struct{ from, subnet, want string }{
		{"192.168.1.1", "", first},
		{"192.168.7.1", "", second},
		{"192.168.7.129", "", first},
		{"192.0.2.1", "", all},
		{"fd01::7", "", first},
		{"fd02::7", "", all},
		{"192.0.2.1", "192.168.7.0/24", first},
		{"192.0.2.1", "192.168.7.0/26", second},
		{"192.0.2.1", "192.168.7.1/32", second},
		{"192.0.2.1", "192.0.0.0/8", all},
		{"192.0.2.1", "fd01::/64", first},
		{"192.0.2.1", "fd01::/56", all},
		{"192.168.7.1", "192.0.2.0/24", all},
		{"192.168.7.1", "0.0.0.0/0", second},
	} {
		var subnet *dns.EDNS0_SUBNET
		if tc.subnet != "" {
			subnet = clientSubnet(tc.subnet)
		}
		_, reply := m.ask(t, tc.from, "near.shop.minilb.", dns.TypeA, subnet)
		answers, _ := data(reply)
		slices.Sort(answers)
		got := strings.Join(answers, " ")
		if len(answers) == 16 {
			got = all
		}
		if got != tc.want {
			t.Errorf("%s by %s: got %s, want %s", tc.subnet, tc.from, got, tc.want)
		}
		// L5: none of that family is near.
		if _, reply = m.ask(t, tc.from, "near.shop.minilb.", dns.TypeAAAA, subnet); len(reply.Answer) != 1 {
			t.Errorf("%s by %s: got\n%s", tc.subnet, tc.from, reply)
		}
	}
}

// L4, RFC 7871 §7.2.1, §12.1: each reply repeats the client subnet, with a scope if others might get another answer.
func TestClientSubnet(t *testing.T) {
	m, off := testByClient(byClientOptions()), testByClient(config.Options{})
	for _, tc := range []struct {
		name   string
		qtype  uint16
		subnet string
		want   string // family and text of the client subnet
	}{
		{"sticky.shop.minilb.", dns.TypeA, "192.168.1.7/32", "1 192.168.1.7/32/32"},
		{"sticky.shop.minilb.", dns.TypeA, "192.168.1.0/24", "1 192.168.1.0/24/24"},
		{"sticky.ex.org.", dns.TypeA, "2001:db8:0:100::/56", "2 [2001:db8:0:100::]/56/56"},
		{"sticky.shop.minilb.", dns.TypeA, "0.0.0.0/0", "1 0.0.0.0/0/0"},
		{"sticky.shop.minilb.", dns.TypeAAAA, "192.168.1.7/32", "1 192.168.1.7/32/0"}, // it has one
		{"near.shop.minilb.", dns.TypeA, "192.168.1.0/24", "1 192.168.1.0/24/24"},
		{"near.shop.minilb.", dns.TypeA, "198.51.100.0/24", "1 198.51.100.0/24/24"}, // others get less
		{"near.shop.minilb.", dns.TypeAAAA, "192.168.1.0/24", "1 192.168.1.0/24/0"},
		{"plain.shop.minilb.", dns.TypeA, "192.168.1.0/24", "1 192.168.1.0/24/0"},
		{"sticky.shop.minilb.", dns.TypeTXT, "192.168.1.0/24", "1 192.168.1.0/24/0"},
		{"nope.shop.minilb.", dns.TypeA, "192.168.1.0/24", "1 192.168.1.0/24/0"},
		{"minilb.", dns.TypeSOA, "192.168.1.0/24", "1 192.168.1.0/24/0"},
		{"ns1.minilb.", dns.TypeA, "192.168.1.0/24", "1 192.168.1.0/24/0"},
	} {
		_, reply := m.ask(t, "192.0.2.1", tc.name, tc.qtype, clientSubnet(tc.subnet))
		if _, got := data(reply); got != tc.want {
			t.Errorf("%s %s for %s: got %q, want %q", tc.name, dns.TypeToString[tc.qtype], tc.subnet, got, tc.want)
		}
		if wire, err := reply.Pack(); err != nil || new(dns.Msg).Unpack(wire) != nil {
			t.Errorf("%s for %s cannot be sent: %v", tc.name, tc.subnet, err)
		}
		if _, reply = off.ask(t, "192.0.2.1", tc.name, tc.qtype, clientSubnet(tc.subnet)); reply.IsEdns0() != nil {
			t.Errorf("%s: without the properties, got\n%s", tc.name, reply)
		}
		if _, reply = m.ask(t, "192.0.2.1", tc.name, tc.qtype, nil); reply.IsEdns0() != nil {
			t.Errorf("%s: nobody has asked for\n%s", tc.name, reply)
		}
	}
}

// RFC 7871 §6, §7.2.1: a malformed client subnet is an error of the query, where it matters.
func TestMalformedClientSubnet(t *testing.T) {
	m, off := testByClient(byClientOptions()), testByClient(config.Options{})
	beyond, scope := clientSubnet("192.168.1.7/24"), clientSubnet("192.168.1.0/24")
	scope.SourceScope = 24
	for _, subnet := range []*dns.EDNS0_SUBNET{beyond, scope} {
		for _, name := range []string{"sticky.shop.minilb.", "nope.shop.minilb.", "plain.ex.org."} {
			if rcode, reply := m.ask(t, "192.0.2.1", name, dns.TypeA, subnet); rcode != dns.RcodeFormatError || reply != nil {
				t.Errorf("%s, %s: got %d\n%s", name, subnet, rcode, reply)
			}
			if rcode, reply := off.ask(t, "192.0.2.1", name, dns.TypeA, subnet); rcode != dns.RcodeSuccess || reply == nil {
				t.Errorf("%s, %s: without the properties, got %d", name, subnet, rcode)
			}
		}
		if rcode, _ := m.ask(t, "192.0.2.1", "other.org.", dns.TypeA, subnet); rcode != dns.RcodeBadName {
			t.Errorf("what is not ours is not passed on: %d", rcode)
		}
	}
}

// RFC 7871 §6, §7.2.1: the server says so, in reply to what package dns refuses as well.
func TestMalformedOnTheWire(t *testing.T) {
	addr, _ := serverWith(t, "minilb", "", "affinity")
	for option, want := range map[string]int{
		"\x00\x01\x18\x00\xc0\x00\x02":         dns.RcodeSuccess,
		"\x00\x01\x18\x00\xc0\x00\x02\x07":     dns.RcodeFormatError, // bits beyond the prefix
		"\x00\x01\x17\x00\xc0\x00\x03":         dns.RcodeFormatError,
		"\x00\x01\x18\x18\xc0\x00\x02":         dns.RcodeFormatError, // a scope
		"\x00\x03\x18\x00\xc0\x00\x02":         dns.RcodeFormatError, // an unknown family
		"\x00\x01\x21\x00\xc0\x00\x02\x07\x00": dns.RcodeFormatError, // a prefix that is too long
		"\x00\x01\x18":                         dns.RcodeFormatError,
	} {
		query := new(dns.Msg).SetQuestion("sticky.shop.minilb.", dns.TypeA)
		query.SetEdns0(1232, false)
		query.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: dns.EDNS0SUBNET, Data: []byte(option)}}
		reply, err := dns.Exchange(query, addr)
		if err != nil || reply.Rcode != want || (len(reply.Answer) > 0) != (want == dns.RcodeSuccess) {
			t.Errorf("%q: got %v\n%s", option, err, reply)
		}
	}
}

// Senders without an IP address get what clients get elsewhere.
func TestUnknownClient(t *testing.T) {
	m := testByClient(byClientOptions())
	for _, name := range []string{"sticky.shop.minilb.", "near.shop.minilb."} {
		w := &from{addr: &net.UnixAddr{Name: "/run/dns", Net: "unix"}}
		if _, err := m.ServeDNS(t.Context(), w, new(dns.Msg).SetQuestion(name, dns.TypeA)); err != nil || len(w.msg.Answer) != 16 {
			t.Errorf("%s: got %v,\n%s", name, err, w.msg)
		}
	}
}

// serverWith starts a server with plugins in this order, those of the block with minilb, and fills it with Services. It returns its
// address and its plugin.
func serverWith(t *testing.T, order, block, properties string) (addr string, m *Minilb) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	addr = conn.LocalAddr().String()
	_, port, _ := net.SplitHostPort(addr)
	stop := startServer(t, ".:"+port+" {\n bind 127.0.0.1\n minilb minilb lan {\n kubeconfig "+testKubeconfig(t)+"\n startup_timeout 0s\n ttl 60\n"+properties+"\n}\n started\n"+block+"\n}\n",
		append([]string{"bind"}, append(strings.Fields(order), "started")...)...)
	t.Cleanup(stop)
	m = started[0]
	m.index.Update(nil, byClientNames(), false)
	return addr, m
}

// L4: plugins in front that would take from answers what depends on the client are told of in one line, each.
func TestSpoilers(t *testing.T) {
	const affinity, near = "affinity", "near 192.168.0.0/16 zone a"
	for _, tc := range []struct {
		order, block, property string
		want                   []string
	}{
		{"loadbalance cache minimal minilb", "loadbalance\n cache\n minimal", affinity, []string{"cache", "minimal", "loadbalance"}},
		{"loadbalance cache minimal minilb", "loadbalance\n cache\n minimal", near, []string{"cache", "minimal"}},
		{"loadbalance cache minimal minilb", "loadbalance\n cache\n minimal", "", nil},
		{"loadbalance cache minimal minilb", "", affinity, nil},
		{"loadbalance minilb cache", "cache", affinity, nil},
		{"loadbalance minilb cache", "cache\n loadbalance", affinity, []string{"loadbalance"}},
	} {
		t.Run(fmt.Sprintf("%s, %s, with %q", tc.order, tc.property, strings.Fields(tc.block)), func(t *testing.T) {
			out := captureLog(t)
			serverWith(t, tc.order, tc.block, tc.property)
			var got []string
			for line := range strings.Lines(out.String()) {
				if _, rest, found := strings.Cut(line, "affinity and near: plugin "); found {
					name, _, _ := strings.Cut(rest, ",")
					got = append(got, name)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", out, tc.want)
			}
		})
	}
}

// L4: plugin cache, in either place, does not give one client's answers to others in the zones, and keeps all others.
func TestClientsBehindCache(t *testing.T) {
	for _, order := range []string{"cache minilb", "minilb cache"} {
		t.Run(order, func(t *testing.T) {
			addr, _ := serverWith(t, order, "cache", "affinity\n near 127.0.0.2/32 zone a")
			ask := func(client string, name string) string {
				t.Helper()
				c := dns.Client{Dialer: &net.Dialer{LocalAddr: udp(client).(*net.UDPAddr)}}
				c.Dialer.LocalAddr.(*net.UDPAddr).Port = 0
				reply, _, err := c.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), addr)
				if err != nil {
					t.Fatal(err)
				}
				answers, _ := data(reply)
				if name == "near.shop.minilb." {
					slices.Sort(answers)
				}
				return strings.Join(answers, " ")
			}
			firsts := map[string]bool{}
			for i := range 50 {
				client := fmt.Sprintf("127.0.0.%d", i+2)
				first := ask(client, "sticky.shop.minilb.")
				if again := ask(client, "sticky.shop.minilb."); again != first {
					t.Errorf("%s: got %s, and then %s", client, first, again)
				}
				firsts[first] = true
			}
			if len(firsts) != 50 {
				t.Errorf("50 clients get %d orders", len(firsts))
			}
			for client, want := range map[string]int{"127.0.0.3": 16, "127.0.0.2": 2} {
				for range 2 {
					if got := ask(client, "near.shop.minilb."); len(strings.Fields(got)) != want {
						t.Errorf("%s: got %s", client, got)
					}
				}
			}
		})
	}
	for order, want := range map[string][]string{"cache minilb": {"minilb.", "lan."}, "minilb cache": nil} {
		_, m := serverWith(t, order, "cache", "affinity")
		if got := m.CacheBypassZones(); !slices.Equal(got, want) {
			t.Errorf("%s: cache is to leave out %q", order, got)
		}
		if _, m = serverWith(t, order, "cache", ""); m.CacheBypassZones() != nil {
			t.Errorf("%s: cache is to leave zones out whose answers are all clients'", order)
		}
	}
}
