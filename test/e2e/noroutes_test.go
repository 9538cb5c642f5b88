//go:build linux

package e2e_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/netns"
)

// A client reaches pods on all nodes though nobody has a route to a node (N1): where the pods are inside the LAN's prefix, and by
// one on-link route on the router, or on the client. Each node answers ARP for its own pods, as the recipe sets it.
func TestNoRoutes(t *testing.T) {
	l := theLab(t)
	_, pods, _ := l.startWeb(t)
	for _, way := range l.waysWithoutRoutes() {
		t.Run(way.name, func(t *testing.T) {
			way.prepare(t)
			l.forget(t, l.Client, l.Router)
			for _, p := range pods {
				if g, err := l.fetch(t.Context(), p.addresses.V4, time.Second); err == nil {
					t.Fatalf("before any node answers: got %v", g)
				}
			}
			l.answerARP(t, "On each node")
			for _, p := range pods {
				want, err := mac(p.node.Namespace)
				must(t, err)
				if got, err := answerers(l.Client, way.client, p.addresses.V4); err != nil || !slices.Equal(got, []string{want}) {
					t.Errorf("ARP for %s is answered by %v (%v), want its node %s alone", p.role, got, err, want)
				}
				hops, err := trace(l.Client, p.addresses.V4)
				if want := append(way.hops(p.node), p.addresses.V4); err != nil || !slices.Equal(hops, want) {
					t.Errorf("to %s: got hops %v (%v), want %v", p.role, hops, err, want)
				}
			}
			l.expectFirst(t, way.client, pods)
		})
	}
	l.expectNoTranslation(t, pods)
}

// expectFirst makes connections of hosts that do not know any other's hardware address. With Linux' default of proxy_delay each would wait
// 0.4 s on average; a host that has asked in vain before asks again in a second.
func (l *lab) expectFirst(t *testing.T, client netip.Addr, pods []*pod) {
	t.Helper()
	const rounds, limit = 5, 2 * time.Second
	var took []time.Duration
	var all time.Duration
	for range rounds {
		for _, p := range pods {
			l.forget(t, l.Client, l.Router, p.node.Namespace, p.Namespace)
			start := time.Now()
			g, err := l.fetch(t.Context(), p.addresses.V4, patience)
			must(t, err)
			took = append(took, time.Since(start))
			all += took[len(took)-1]
			if g.Pod != p.role || g.Client.Addr() != client || g.Server.Addr() != p.addresses.V4 {
				t.Errorf("%s: got %v, want the client's own address %s", p.role, g, client)
			}
		}
	}
	slices.Sort(took)
	t.Logf("%d first connections take %v at the median, %v at most", len(took), took[len(took)/2], took[len(took)-1])
	if all > limit {
		t.Errorf("%d first connections take %v together, want less than %v: %v", len(took), all, limit, took)
	}
}

// A pod that moves to another node has another address there, which clients get with the next answer: none fails.
func TestMoveWithoutRoutes(t *testing.T) {
	l := theLab(t)
	for _, way := range l.waysWithoutRoutes()[:2] {
		t.Run(way.name, func(t *testing.T) {
			name, pods, _ := l.startWeb(t, "ttl 1")
			l.withoutRoutes(t, way)
			client := request(t, pace, name, l.followTTL(giveUp))
			expectServed(t, client, pods)
			moved := l.startPod(t, "web-moved", "web", pods[1].node.role)
			l.waitAddresses(t, name, len(pods)+1)
			left, err := pods[0].drain(t.Context(), name, 2*time.Second)
			must(t, err)
			expectServed(t, client, append(slices.Clone(pods[1:]), moved))
			attempts := client.stop()
			if failed := failures(attempts); len(failed) > 0 {
				t.Errorf("%d of %d requests failed, the first: %v", len(failed), len(attempts), failed[0].err)
			}
			if last := client.lastTo(pods[0]); last.Sub(left) > time.Second+pace {
				t.Errorf("the pod that moved was asked %v after it had left the answers, with a TTL of a second", last.Sub(left))
			}
		})
	}
}

// An address that another node gets, as some IPAMs do it: clients have the hardware address of the node before, which forwards. If
// that is dead, they find the new one when Linux looks again, after 15 to 45 s, and 8 s more.
func TestReusedAddress(t *testing.T) {
	l := theLab(t)
	way := l.waysWithoutRoutes()[0]
	_, pods, _ := l.startWeb(t)
	l.withoutRoutes(t, way)
	for i, dead := range []bool{false, true} {
		if dead && !harness.Full {
			t.Log("the node before is not cut off but with MINILB_FULL=1")
			continue
		}
		old := pods[i]
		_, err := l.fetch(t.Context(), old.addresses.V4, patience)
		must(t, err)
		must(t, old.remove(t.Context()))
		l.borrow(t, old, pods[2].node)
		if dead {
			t.Cleanup(func() { must(t, old.node.heal()) })
			must(t, old.node.cut())
		}
		limit := time.Minute
		if !dead {
			limit = patience
		}
		start := time.Now()
		for {
			g, err := l.fetch(t.Context(), old.addresses.V4, patience)
			if err == nil && g.Pod != "borrower" {
				t.Fatalf("got %v", g)
			}
			if err == nil {
				break
			}
			if !dead || time.Since(start) > limit {
				t.Fatalf("after %v: %v", time.Since(start), err)
			}
		}
		t.Logf("reached after %v, the node before being dead: %v", time.Since(start), dead)
	}
}

// borrow gives the address of a pod that is gone to a new one on another node, with the routes of a network plugin.
func (l *lab) borrow(t *testing.T, old *pod, to *node) {
	t.Helper()
	l.pods++
	p := &pod{node: to, role: "borrower", addresses: old.addresses}
	var err error
	p.Namespace, err = l.Add(fmt.Sprintf("borrower%d", l.pods))
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(p.server.Close(), l.Set.Remove(p.Namespace))) })
	cable := fmt.Sprintf("pod%d", l.pods)
	must(t, to.IP(
		fmt.Sprintf("link add %s type veth peer name eth0 netns %s", cable, p.Name),
		fmt.Sprintf("link set %s master cni0 up", cable),
	))
	must(t, p.IP(
		"link set eth0 up",
		fmt.Sprintf("addr add %s/32 dev eth0", p.addresses.V4),
		fmt.Sprintf("route add %s dev eth0", to.gateway.V4),
		fmt.Sprintf("route add default via %s", to.gateway.V4),
	))
	for _, n := range l.nodes {
		route := fmt.Sprintf("%s via %s", p.addresses.V4, to.addresses.V4)
		if n == to {
			route = fmt.Sprintf("%s dev cni0", p.addresses.V4)
		}
		must(t, n.IP("route add "+route))
		t.Cleanup(func() { must(t, n.IP("route del "+route)) })
	}
	must(t, p.listen())
}

// A node that dies costs what it costs with routes (TestPowerCutWithProbe).
func TestPowerCutWithoutRoutes(t *testing.T) {
	l := theLab(t)
	for i, way := range l.waysWithoutRoutes()[:2] {
		t.Run(way.name, func(t *testing.T) {
			name, pods, _ := l.startWeb(t, "probe", "ttl 1")
			l.withoutRoutes(t, way)
			const limit = 3 * time.Second
			cut := l.startCut(t, name, pods, pods[i])
			cut.end(t, limit+500*time.Millisecond)
			last := cut.expect(t, limit, time.Second)
			t.Logf("the last request that fails begins %.2f s after the cut", last.Seconds())
			l.waitAddresses(t, name, len(pods))
		})
	}
}

// With tunnels, as of flannel's VXLAN, all nodes answer for a pod, and with the recipe's medium_id its own alone.
func TestTunnels(t *testing.T) {
	l := theLab(t)
	_, pods, _ := l.startWeb(t)
	way := l.waysWithoutRoutes()[0]
	way.prepare(t)
	for _, n := range l.nodes {
		must(t, n.IP(fmt.Sprintf("link add flannel.1 type vxlan id 1 local %s dev lan dstport 8472 nolearning", n.addresses.V4), "link set flannel.1 up"))
		t.Cleanup(func() { must(t, n.IP("link del flannel.1")) })
		for _, to := range l.nodes {
			if to != n {
				must(t, n.IP(fmt.Sprintf("route add %s dev flannel.1", to.podCIDRs[0])))
			}
		}
	}
	for _, section := range []struct {
		heading   string
		answerers int
	}{{"On each node", 3}, {"With an overlay", 1}} {
		l.answerARP(t, section.heading)
		for _, p := range pods {
			got, err := answerers(l.Client, way.client, p.addresses.V4)
			must(t, err)
			own, err := mac(p.node.Namespace)
			must(t, err)
			if len(got) != section.answerers || !slices.Contains(got, own) {
				t.Errorf("%s: ARP for %s is answered by %v, want %d with its node's %s", section.heading, p.role, got, section.answerers, own)
			}
			if section.answerers > 1 {
				continue
			}
			if g, err := l.fetch(t.Context(), p.addresses.V4, patience); err != nil || g.Pod != p.role {
				t.Errorf("%s: got %v, %v", p.role, g, err)
			}
		}
	}
}

// wayWithoutRoutes is a way in which the LAN reaches pods without routes to nodes.
type wayWithoutRoutes struct {
	name    string
	client  netip.Addr                  // as pods see it
	hops    func(on *node) []netip.Addr // before the pod
	prepare func(t *testing.T)          // until the test ends
}

func (l *lab) waysWithoutRoutes() []wayWithoutRoutes {
	onNode := func(on *node) []netip.Addr { return []netip.Addr{on.addresses.V4} }
	return []wayWithoutRoutes{
		{"pods inside the LAN's prefix", inside(clientHost), func(on *node) []netip.Addr { return []netip.Addr{inside(on.addresses)} }, l.widen},
		{"an on-link route on the router", clientHost.V4, func(on *node) []netip.Addr { return append([]netip.Addr{routerHost.V4}, onNode(on)...) },
			func(t *testing.T) { l.addOnLink(t, l.Router) }},
		{"an on-link route on the client", clientHost.V4, onNode, func(t *testing.T) { l.addOnLink(t, l.Client) }},
	}
}

// withoutRoutes lets the client reach pods in a way, and by routes where that is IPv6.
func (l *lab) withoutRoutes(t *testing.T, way wayWithoutRoutes) {
	t.Helper()
	way.prepare(t)
	l.answerARP(t, "On each node")
	lines, err := l.Router.Output(t.Context(), l.minilb, "routes", "-kubeconfig", l.accounts.Controller)
	must(t, err)
	var six strings.Builder
	for line := range strings.Lines(lines) {
		if strings.HasPrefix(line, "ip -6 ") {
			six.WriteString(line)
		}
	}
	l.execute(t, l.Router, six.String())
}

// wide is a prefix of the LAN that pods are inside.
var wide = netip.MustParsePrefix("10.244.0.0/16")

// inside returns the address in that prefix of a host of the LAN.
func inside(h netns.Host) netip.Addr {
	last := h.V4.As4()[3]
	return netip.AddrFrom4([4]byte{10, 244, 250, last})
}

// widen gives the hosts of the LAN addresses in a prefix that the pods' addresses are in.
func (l *lab) widen(t *testing.T) {
	t.Helper()
	hosts := map[*netns.Namespace]netns.Host{l.Router: routerHost, l.Client: clientHost}
	for _, n := range l.nodes {
		hosts[n.Namespace] = n.addresses
	}
	for n, addresses := range hosts {
		addr := fmt.Sprintf("%s/%d dev lan", inside(addresses), wide.Bits())
		must(t, n.IP("addr add "+addr))
		t.Cleanup(func() { must(t, n.IP("addr del "+addr)) })
	}
}

// addOnLink executes what "minilb routes -o onlink" prints on a host.
func (l *lab) addOnLink(t *testing.T, n *netns.Namespace) {
	t.Helper()
	lines, err := l.Router.Output(t.Context(), l.minilb, "routes", "-kubeconfig", l.accounts.Controller, "-o", "onlink",
		"-within", wide.String(), "-interface", "lan")
	must(t, err)
	_, err = n.Output(t.Context(), "sh", "-e", "-c", lines)
	must(t, err)
	t.Cleanup(func() { must(t, n.IP("route del "+wide.String()+" dev lan")) })
}

// answerARP sets what a section of the recipe says on all nodes, whose interface is called "lan" here, until the test ends.
func (l *lab) answerARP(t *testing.T, heading string) {
	t.Helper()
	for _, n := range l.nodes {
		for line := range strings.Lines(harness.Recipe(t, "no-routes.md", heading)[0]) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
			key = strings.ReplaceAll(key, ".eth0.", ".lan.")
			path := "/proc/sys/" + strings.Map(func(r rune) rune { // sysctl.conf(5)
				switch r {
				case '.':
					return '/'
				case '/':
					return '.'
				}
				return r
			}, key)
			before, err := swap(n.Namespace, path, value)
			must(t, err)
			t.Cleanup(func() {
				_, err := swap(n.Namespace, path, before)
				must(t, err)
			})
		}
	}
	l.forget(t, l.Client, l.Router) // which may have asked in vain until now, and would wait a second
}

// forget empties the ARP tables of hosts.
func (l *lab) forget(t *testing.T, hosts ...*netns.Namespace) {
	t.Helper()
	for _, n := range hosts {
		_, err := n.Output(t.Context(), "ip", "-4", "neigh", "flush", "all")
		must(t, err)
	}
}

// swap writes a file in a namespace and returns what was there.
func swap(n *netns.Namespace, path, value string) (before string, err error) {
	err = n.Do(func() error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		before = strings.TrimSpace(string(text))
		return os.WriteFile(path, []byte(value), 0)
	})
	return before, err
}
