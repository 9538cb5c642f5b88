package dns_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestClients has several clients ask the real server, in which plugin cache stands behind minilb: nobody gets another's answer (L4, L5),
// each keeps its own over a reload and in another process, and client subnets are answered as RFC 7871 has it.
func TestClients(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	namespace := harness.NewNamespace(t, c)
	var endpoints []string
	for i := range 20 {
		endpoints = append(endpoints, fmt.Sprintf("{addresses: [10.244.7.%d], zone: %s}", i+1, []string{"attic", "cellar"}[i/17]))
	}
	harness.Must(t, harness.Apply(c, strings.NewReplacer("NS", namespace, "ENDPOINTS", strings.Join(endpoints, ", ")).Replace(`
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NS, annotations: {minilb/host: web.NS.example}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, sessionAffinity: ClientIP, ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: NS, labels: {kubernetes.io/service-name: web, endpointslice.kubernetes.io/managed-by: test}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints: [ENDPOINTS]
`)))
	corefile := harness.ResolverFor(harness.ShippedAccounts(t, c).DNS, harness.StartUpstream(t), "affinity", "near 127.0.0.2/32 192.0.2.0/24 zone cellar", "ttl 60")
	s, other := harness.StartCoreDNS(t, corefile), harness.StartCoreDNS(t, corefile)
	s.WaitReady(t)
	other.WaitReady(t)
	names := []string{"web." + namespace + ".minilb.", "web." + namespace + ".example."}
	orders := map[string]string{} // by client
	t.Run("orders", func(t *testing.T) {
		for i := range 20 {
			client := fmt.Sprintf("127.0.0.%d", i+2)
			for _, name := range names {
				for _, server := range []*harness.CoreDNS{s, s, other} {
					for _, subnet := range []string{"", client + "/32"} {
						from := client
						if subnet != "" {
							from = "127.0.0.1"
						}
						got := strings.Join(answersTo(t, askFrom(t, from, "udp", server.Addr, name, dns.TypeA, subnet)), " ")
						if want := orders[client]; want != "" && got != want {
							t.Errorf("%s, %s: got %s, want %s", client, name, got, want)
						}
						orders[client] = got
					}
				}
			}
			if want := 3 + 13*min(i, 1); len(strings.Fields(orders[client])) != want {
				t.Errorf("%s: got %s, want %d addresses", client, orders[client], want)
			}
		}
		distinct := map[string]bool{}
		for _, order := range orders {
			distinct[order] = true
		}
		if len(distinct) != 20 {
			t.Errorf("20 clients have %d orders", len(distinct))
		}
		if all := askFrom(t, "127.0.0.2", "tcp", s.Addr, "_http._tcp."+names[0], dns.TypeSRV, "").Answer; len(all) != 20 {
			t.Errorf("got %d SRV records, want those of all", len(all))
		}
	})
	t.Run("reload", func(t *testing.T) {
		harness.Must(t, s.Cmd.Process.Signal(syscall.SIGUSR1))
		cluster.Eventually(t, 20*time.Second, func() error {
			if len(s.Log.Lines("Reloading complete")) == 0 {
				return fmt.Errorf("it has not reloaded:\n%s", s.Log)
			}
			return nil
		})
		s.WaitReady(t)
		for client, want := range orders {
			if got := strings.Join(answersTo(t, askFrom(t, client, "udp", s.Addr, names[0], dns.TypeA, "")), " "); got != want {
				t.Errorf("%s: got %s, want %s", client, got, want)
			}
		}
	})
	t.Run("client subnets", func(t *testing.T) {
		for _, network := range []string{"udp", "tcp"} {
			for subnet, want := range map[string]string{
				"192.0.2.0/24": "192.0.2.0/24/24", "198.51.100.7/32": "198.51.100.7/32/32", "2001:db8:0:100::/56": "[2001:db8:0:100::]/56/56", "0.0.0.0/0": "0.0.0.0/0/0",
			} {
				reply := askFrom(t, "127.0.0.1", network, s.Addr, names[0], dns.TypeA, subnet)
				if got := subnetOf(reply); got != want {
					t.Errorf("%s over %s: got %q, want %q", subnet, network, got, want)
				}
				if got := subnetOf(askFrom(t, "127.0.0.1", network, s.Addr, names[0], dns.TypeTXT, subnet)); !strings.HasSuffix(got, "/0") {
					t.Errorf("%s over %s: got %q, want the scope 0", subnet, network, got)
				}
			}
		}
	})
	t.Run("malformed", func(t *testing.T) { // RFC 7871 §6, §7.2.1
		for what, option := range map[string]string{
			"bits beyond the prefix": "\x00\x01\x18\x00\xc0\x00\x02\x07",
			"part of an octet":       "\x00\x01\x17\x00\xc0\x00\x03",
			"a scope":                "\x00\x01\x18\x18\xc0\x00\x02",
			"an unknown family":      "\x00\x03\x18\x00\xc0\x00\x02",
			"a prefix too long":      "\x00\x01\x21\x00\xc0\x00\x02\x07\x00",
			"too short":              "\x00\x01\x18",
		} {
			query := new(dns.Msg).SetQuestion(names[0], dns.TypeA)
			query.SetEdns0(1232, false)
			query.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: dns.EDNS0SUBNET, Data: []byte(option)}}
			client := dns.Client{Timeout: 5 * time.Second}
			reply, _, err := client.Exchange(query, s.Addr)
			if err != nil || reply.Rcode != dns.RcodeFormatError || len(reply.Answer) > 0 {
				t.Errorf("%s: got %v\n%s", what, err, reply)
			}
		}
	})
}

// askFrom returns the reply to a client's question, with a client subnet unless that is "".
func askFrom(t *testing.T, client, network, server, name string, qtype uint16, subnet string) *dns.Msg {
	t.Helper()
	query := new(dns.Msg).SetQuestion(name, qtype)
	if subnet != "" {
		prefix := netip.MustParsePrefix(subnet)
		option := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(prefix.Bits()), Address: prefix.Addr().AsSlice()}
		if prefix.Addr().Is6() {
			option.Family = 2
		}
		query.SetEdns0(1232, false)
		query.IsEdns0().Option = []dns.EDNS0{option}
	}
	var from net.Addr = &net.UDPAddr{IP: net.ParseIP(client)}
	if network == "tcp" {
		from = &net.TCPAddr{IP: net.ParseIP(client)}
	}
	c := dns.Client{Net: network, Dialer: &net.Dialer{LocalAddr: from, Timeout: 5 * time.Second}}
	reply, _, err := c.Exchange(query, server)
	harness.Must(t, err)
	return reply
}

// answersTo returns the data of a reply's answers, in their order.
func answersTo(t *testing.T, reply *dns.Msg) (answers []string) {
	t.Helper()
	if reply.Rcode != dns.RcodeSuccess {
		t.Fatalf("got\n%s", reply)
	}
	for _, rr := range reply.Answer {
		answers = append(answers, dns.Field(rr, 1))
	}
	return answers
}

// subnetOf returns the client subnet of a reply, "" for none.
func subnetOf(reply *dns.Msg) string {
	opt := reply.IsEdns0()
	if opt == nil {
		return ""
	}
	i := slices.IndexFunc(opt.Option, func(o dns.EDNS0) bool { return o.Option() == dns.EDNS0SUBNET })
	if i < 0 {
		return ""
	}
	return opt.Option[i].String()
}
