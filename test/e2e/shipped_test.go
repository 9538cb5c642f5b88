//go:build linux

package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/daemon"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/netns"
)

// The router's other side: its provider, who has the addresses of the shipped upstreams.
var (
	wanRouter    = netns.Host{V4: netip.MustParseAddr("203.0.113.1"), V6: netip.MustParseAddr("2001:db8:203::1")}
	wanProvider  = netns.Host{V4: netip.MustParseAddr("203.0.113.2"), V6: netip.MustParseAddr("2001:db8:203::2")}
	wanUpstreams = []string{"9.9.9.9", "149.112.112.112"}

	// The same behind the provider's NAT (CGNAT).
	cgnRouter, cgnProvider = netip.MustParseAddr("100.64.0.1"), netip.MustParseAddr("100.64.0.2")
)

// The router and a client with global IPv6 addresses in the LAN, of the prefix that the shipped files have
// in a comment.
var (
	globalRouter = netip.MustParseAddr("2001:db8:1200:1::1")
	globalClient = netip.MustParseAddr("2001:db8:1200:1::50")
)

// wan is the router's other side.
type wan struct {
	*netns.Namespace
	dead atomic.Bool // whether its upstreams hold their tongues
}

// startWAN gives the router another side, and takes it away when the test ends.
func (l *lab) startWAN(t *testing.T) *wan {
	t.Helper()
	n, err := l.Add("wan")
	must(t, err)
	t.Cleanup(func() {
		must(t, l.Router.IP("link del wan"))
		must(t, l.Remove(n))
	})
	w := &wan{Namespace: n}
	must(t, l.Router.IP("link add wan type veth peer name router netns "+n.Name, "link set wan up",
		fmt.Sprintf("addr add %s/24 dev wan", wanRouter.V4), fmt.Sprintf("addr add %s/24 dev wan", cgnRouter), fmt.Sprintf("addr add %s/64 dev wan", wanRouter.V6)))
	must(t, n.IP("link set router up",
		fmt.Sprintf("addr add %s/24 dev router", wanProvider.V4), fmt.Sprintf("addr add %s/24 dev router", cgnProvider), fmt.Sprintf("addr add %s/64 dev router", wanProvider.V6),
		fmt.Sprintf("route add %s via %s", lan.V4, wanRouter.V4), fmt.Sprintf("route add %s via %s", lan.V6, wanRouter.V6)))
	for _, upstream := range wanUpstreams {
		must(t, n.IP("addr add "+upstream+"/32 dev router"))
		must(t, l.Router.IP(fmt.Sprintf("route add %s via %s", upstream, wanProvider.V4)))
		var packets net.PacketConn
		must(t, n.Do(func() (err error) {
			packets, err = net.ListenPacket("udp", upstream+":53")
			return err
		}))
		listener, err := n.Listen(t.Context(), upstream+":53")
		must(t, err)
		for _, server := range []*dns.Server{{PacketConn: packets}, {Listener: listener}} {
			server.Handler = dns.HandlerFunc(w.answer)
			ended := make(chan error, 1)
			go func() { ended <- server.ActivateAndServe() }()
			t.Cleanup(func() {
				packets.Close()
				listener.Close()
				<-ended
			})
		}
	}
	return w
}

// answer has as much TXT for everybody as the client takes.
func (w *wan) answer(to dns.ResponseWriter, question *dns.Msg) {
	if w.dead.Load() {
		return
	}
	reply := new(dns.Msg).SetReply(question)
	if question.Question[0].Qtype == dns.TypeTXT {
		for range 16 {
			reply.Answer = append(reply.Answer, &dns.TXT{
				Hdr: dns.RR_Header{Name: question.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60},
				Txt: []string{strings.Repeat("t", 250)},
			})
		}
	}
	size := dns.MinMsgSize
	if to.RemoteAddr().Network() == "tcp" {
		size = dns.MaxMsgSize
	} else if opt := question.IsEdns0(); opt != nil {
		size = int(opt.UDPSize())
	}
	reply.Truncate(size)
	to.WriteMsg(reply)
}

// shippedCorefile is one of those that come with minilb, which a router or a node runs.
type shippedCorefile struct {
	path   string // in the repository
	port   uint16
	router bool // on a router, and so with two sides
}

var shippedCorefiles = []shippedCorefile{
	{"Corefile.example", 53, true},
	{"deploy/systemd/Corefile", 53, true},
	{"deploy/kustomize/base/Corefile", 1053, false},
}

// startShipped runs the server on the router with the Corefile as it is, but for where the snapshot is and
// what else is changed, and waits until it knows the cluster.
func (l *lab) startShipped(t *testing.T, c shippedCorefile, changes ...string) *daemon.Daemon {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", c.path))
	must(t, err)
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(string(text), changes[i]) {
			t.Fatalf("%s has no %q", c.path, changes[i])
		}
	}
	dir := t.TempDir()
	corefile := filepath.Join(dir, "Corefile")
	replaced := strings.NewReplacer(append(changes, "/var/lib/minilb", dir)...).Replace(string(text))
	must(t, os.WriteFile(corefile, []byte(replaced), 0o600))
	d := l.startDaemon(t, l.Router, "env", "KUBECONFIG="+l.accounts.DNS, "NODE_IP="+routerHost.V4.String(), l.coredns, "-conf", corefile)
	loopback := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), c.port)
	cluster.Eventually(t, 30*time.Second, func() error {
		if _, _, err := exchange(t.Context(), l.Router, "udp", loopback, "minilb.", dns.TypeSOA); err != nil {
			return err
		}
		_, err := l.Router.Output(t.Context(), "curl", "-sf", "http://127.0.0.1:8181/ready")
		return err
	})
	return d
}

// exchange asks from a host, over UDP or TCP, with room for any answer, and returns the answer and its length.
func exchange(ctx context.Context, from *netns.Namespace, network string, server netip.AddrPort, name string, qtype uint16) (*dns.Msg, int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := from.Dial(ctx, network, server.String())
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	over := &dns.Conn{Conn: conn, UDPSize: dns.MaxMsgSize}
	conn.SetDeadline(time.Now().Add(patience))
	if err := over.WriteMsg(new(dns.Msg).SetQuestion(name, qtype).SetEdns0(dns.MaxMsgSize, false)); err != nil {
		return nil, 0, err
	}
	wire, err := over.ReadMsgHeader(nil)
	if err != nil {
		return nil, 0, err
	}
	reply := new(dns.Msg)
	return reply, len(wire), reply.Unpack(wire)
}

// Who is in the LAN is answered by the shipped router, or node, as it comes, and nobody else: questions from
// elsewhere are refused, and what is not DNS is on loopback alone on a router.
func TestShippedRouter(t *testing.T) {
	l := theLab(t)
	w := l.startWAN(t)
	for where, address := range map[*netns.Namespace]netip.Addr{l.Router: globalRouter, l.Client: globalClient} {
		must(t, where.IP(fmt.Sprintf("addr add %s/64 dev lan", address)))
		t.Cleanup(func() { must(t, where.IP(fmt.Sprintf("addr del %s/64 dev lan", address))) })
	}
	var port uint16
	expect := func(what string, from *netns.Namespace, server netip.Addr, want int) {
		t.Helper()
		for _, network := range []string{"udp", "tcp"} {
			for _, name := range []string{"minilb.", "somewhere.example."} {
				reply, _, err := exchange(t.Context(), from, network, netip.AddrPortFrom(server, port), name, dns.TypeSOA)
				if err != nil || reply.Rcode != want || want == dns.RcodeRefused && len(reply.Answer)+len(reply.Ns) > 0 {
					t.Errorf("%s, over %s, %s: %v, %v, want %s", what, network, name, err, reply, dns.RcodeToString[want])
				}
			}
		}
	}
	for _, c := range shippedCorefiles {
		port = c.port
		t.Run(c.path, func(t *testing.T) {
			l.startShipped(t, c)
			for _, family := range families {
				expect("a client of the LAN", l.Client, routerHost.Of(family), dns.RcodeSuccess)
				expect("the provider", w.Namespace, wanRouter.Of(family), dns.RcodeRefused)
				expect("the provider, at the LAN's side", w.Namespace, routerHost.Of(family), dns.RcodeRefused)
			}
			expect("the provider, by CGNAT", w.Namespace, cgnRouter, dns.RcodeRefused)
			expect("the router itself", l.Router, netip.MustParseAddr("127.0.0.1"), dns.RcodeSuccess)
			expect("a client with a global address", l.Client, globalRouter, dns.RcodeRefused)
			metrics, err := l.Router.Output(t.Context(), "curl", "-sf", "http://127.0.0.1:9153/metrics")
			if err != nil || harness.Sum(metrics, "coredns_acl_blocked_requests_total") < 20 {
				t.Errorf("metrics on loopback: %v, with\n%s", err, harness.Grep(metrics, "acl"))
			}
			if !c.router {
				return
			}
			for _, port := range []uint16{8080, 8181, 9153} {
				for from, at := range map[*netns.Namespace][]netip.Addr{l.Client: {routerHost.V4, routerHost.V6, globalRouter}, w.Namespace: {wanRouter.V4, wanRouter.V6, cgnRouter, routerHost.V4}} {
					for _, address := range at {
						if conn, err := from.Dial(t.Context(), "tcp", netip.AddrPortFrom(address, port).String()); err == nil {
							conn.Close()
							t.Errorf("%s: port %d takes connections at %s", from.Name, port, address)
						}
					}
				}
			}
		})
		t.Run(c.path+" with the LAN's prefix", func(t *testing.T) {
			l.startShipped(t, c, "# allow net 2001:db8:", "allow net 2001:db8:")
			expect("a client with a global address", l.Client, globalRouter, dns.RcodeSuccess)
			expect("the provider", w.Namespace, wanRouter.V6, dns.RcodeRefused)
		})
	}
}

// No answer over UDP is larger than 1232 bytes, whatever the client has room for, so that a forged question
// has little sent to somebody else. Over TCP it is whole (D23b).
func TestShippedAnswersFit(t *testing.T) {
	l := theLab(t)
	l.startWAN(t)
	var v4, v6 []string
	for i := range 200 {
		v4, v6 = append(v4, fmt.Sprintf("198.51.100.%d", i+1)), append(v6, fmt.Sprintf("2001:db8:51::%x", i+1))
	}
	service := strings.ReplaceAll(`
apiVersion: v1
kind: Service
metadata: {name: large, namespace: default, annotations: {minilb/host: "large.example"}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, allocateLoadBalancerNodePorts: false, ports: [{name: http, port: 80}]}
---
`+harness.StaticSlice("default", "large", "IPv4", v4...)+harness.StaticSlice("default", "large", "IPv6", v6...), "endpoints:", "ports: [{name: http, port: 80}]\nendpoints:")
	must(t, l.cluster.Apply(t.Context(), service))
	t.Cleanup(func() { must(t, l.cluster.Delete(context.WithoutCancel(t.Context()), service)) })
	const srv = "_http._tcp.large.default.minilb."
	for _, c := range shippedCorefiles {
		t.Run(c.path, func(t *testing.T) {
			l.startShipped(t, c)
			server := netip.AddrPortFrom(routerHost.V4, c.port)
			cluster.Eventually(t, 30*time.Second, func() error {
				reply, _, err := exchange(t.Context(), l.Client, "tcp", server, srv, dns.TypeSRV)
				if err == nil && len(reply.Answer) != 400 {
					err = fmt.Errorf("%d SRV records over TCP, want 400", len(reply.Answer))
				}
				return err
			})
			largest := 0
			for _, name := range []string{srv, "large.default.minilb.", "large.example.", "minilb.", "ns1.minilb.", "nothing.minilb.", "elsewhere.example."} {
				for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT, dns.TypeHTTPS, dns.TypeNS, dns.TypeSOA, dns.TypeANY} {
					reply, size, err := exchange(t.Context(), l.Client, "udp", server, name, qtype)
					must(t, err)
					if largest = max(largest, size); size > 1232 {
						t.Errorf("%s %s: %d bytes over UDP", name, dns.TypeToString[qtype], size)
					}
					cut := name == srv && qtype == dns.TypeSRV || strings.HasSuffix(name, ".example.") && qtype == dns.TypeTXT // which no object claims
					if cut != reply.Truncated && qtype != dns.TypeANY {
						t.Errorf("%s %s: truncated %v, want %v", name, dns.TypeToString[qtype], reply.Truncated, cut)
					}
				}
			}
			t.Logf("the largest has %d bytes", largest)
		})
	}
}

// Upstreams that have died cost a flood of questions bounded memory and lines of the log, and names of the
// cluster are answered meanwhile.
func TestShippedFlood(t *testing.T) {
	l := theLab(t)
	w := l.startWAN(t)
	flood, memory := 6000, 100<<20 // bytes; without a bound each question that waits takes 25 KB
	if harness.Full {
		flood = 60_000
	}
	for i, c := range shippedCorefiles {
		if !harness.Full && i%2 == 1 {
			continue // a router's is as the other one of a router
		}
		t.Run(c.path, func(t *testing.T) {
			w.dead.Store(false)
			d := l.startShipped(t, c)
			server := netip.AddrPortFrom(routerHost.V4, c.port)
			if reply, _, err := exchange(t.Context(), l.Client, "udp", server, "somewhere.example.", dns.TypeA); err != nil || reply.Rcode != dns.RcodeSuccess {
				t.Fatalf("with upstreams: %v, %v", err, reply)
			}
			w.dead.Store(true)
			lines := func() int {
				text, err := os.ReadFile(d.Log)
				must(t, err)
				return strings.Count(string(text), "\n")
			}
			before, said, most := anonymous(t, d.PID()), lines(), 0
			conn, err := l.Client.Dial(t.Context(), "udp", server.String())
			must(t, err)
			defer conn.Close()
			for i := 0; i < flood; {
				for end := i + 100; i < end; i++ { // fewer than its socket has room for
					packed, err := new(dns.Msg).SetQuestion(fmt.Sprintf("n%d.example.", i), dns.TypeA).Pack()
					must(t, err)
					_, err = conn.Write(packed)
					must(t, err)
				}
				reply, _, err := exchange(t.Context(), l.Client, "udp", server, "minilb.", dns.TypeSOA)
				if err != nil || reply.Rcode != dns.RcodeSuccess {
					t.Fatalf("after %d questions: %v, %v", i, err, reply)
				}
				most = max(most, anonymous(t, d.PID()))
			}
			metrics, err := l.Router.Output(t.Context(), "curl", "-sf", "http://127.0.0.1:9153/metrics")
			must(t, err)
			refused := int(harness.Sum(metrics, "coredns_forward_max_concurrent_rejects_total"))
			time.Sleep(7 * time.Second) // those that wait for an upstream fail after six
			most = max(most, anonymous(t, d.PID()))
			d.Stop() // which writes how many errors there were
			text, err := os.ReadFile(d.Log)
			must(t, err)
			t.Logf("%d questions: from %.1f to %.1f MB, %d refused, %d lines", flood, float64(before)/(1<<20), float64(most)/(1<<20), refused, lines()-said)
			if most-before > memory {
				t.Errorf("memory grows from %.1f to %.1f MB", float64(before)/(1<<20), float64(most)/(1<<20))
			}
			if n := lines() - said; n > 30 {
				t.Errorf("the flood has %d lines of log:\n%.3000s", n, text)
			}
			if refused < flood/2 {
				t.Errorf("%d of %d questions were refused", refused, flood)
			}
			for _, want := range []string{"i/o timeout", "concurrent queries exceeded maximum"} {
				if !strings.Contains(string(text), want) {
					t.Errorf("the log does not say %q:\n%.3000s", want, text)
				}
			}
		})
	}
}

// anonymous returns the anonymous memory of a process in bytes.
func anonymous(t *testing.T, pid int) (bytes int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "RssAnon:"); found {
			_, err := fmt.Sscan(value, &bytes)
			must(t, err)
		}
	}
	return bytes << 10
}
