//go:build linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/daemon"
	"github.com/minilb/minilb/test/netns"
)

// A packet goes from the client through the router to the node and its pod, which sees the client's own
// address (R1). With the routes on the client itself, where DHCP's option 121 puts them, it goes to the node
// directly.
func TestRoutes(t *testing.T) {
	l := theLab(t)
	name, pods, _ := l.startWeb(t)
	hostname := strings.TrimSuffix(name, ".")

	// Without routes there is no way.
	for _, family := range families {
		if out, err := l.curl(t, family, hostname); err == nil {
			t.Fatalf("without routes: got %v", out)
		}
	}
	t.Run("on the router", func(t *testing.T) {
		lines := l.addRoutes(t, l.Router)
		if strings.Count(lines, "\n") != 6 {
			t.Fatalf("got routes\n%swant one of each family for three nodes", lines)
		}
		for _, family := range families {
			for _, p := range pods {
				l.expectDirect(t, family, p, hostname)
				l.expectTrace(t, family, p, routerHost, p.node.addresses)
				before := l.allForwarded(t)
				_, err := l.fetch(t.Context(), p.addresses.Of(family), patience)
				must(t, err)
				after := l.allForwarded(t)
				// To the pod all goes through the router, back nothing does.
				router, node := after["router"].of(family)-before["router"].of(family), after[p.node.role].of(family)-before[p.node.role].of(family)
				if router < 3 || node <= router {
					t.Errorf("IPv%s to %s: the router passed on %d packets and the node %d, want at least three, and more", family, p.role, router, node)
				}
			}
		}
	})
	t.Run("on the client", func(t *testing.T) {
		l.addRoutes(t, l.Client)
		before := l.allForwarded(t)
		for _, family := range families {
			for _, p := range pods {
				l.expectDirect(t, family, p, hostname)
				l.expectTrace(t, family, p, p.node.addresses)
			}
		}
		if after := l.allForwarded(t); after["router"] != before["router"] {
			t.Errorf("the router has passed on packets: %v before, %v after", before["router"], after["router"])
		}
	})
	l.expectNoTranslation(t, pods)
}

// startWeb runs a Service with a pod on each node, and the name server with these properties.
func (l *lab) startWeb(t *testing.T, properties ...string) (name string, pods []*pod, server *daemon.Daemon) {
	t.Helper()
	name = l.createService(t, "web")
	for i, node := range []string{"node1", "node2", "node3"} {
		pods = append(pods, l.startPod(t, fmt.Sprintf("web-%d", i), "web", node))
	}
	return name, pods, l.startCoreDNS(t, properties, name, len(pods))
}

// fetched is what curl did.
type fetched struct {
	greeting
	// What the client takes for its own address and the server's.
	local, remote netip.AddrPort
}

// curl fetches from a name of the LAN on the client, with these flags. The resolver is libc's.
func (l *lab) curl(t *testing.T, family, hostname string, flags ...string) (fetched, error) {
	t.Helper()
	args := append([]string{
		"-" + family, "--silent", "--show-error", "--noproxy", "*", "--max-time", "3",
		"--write-out", `{"local":"%{local_ip} %{local_port}","remote":"%{remote_ip} %{remote_port}"}`,
		fmt.Sprintf("http://%s:%d/", hostname, podPort),
	}, flags...)
	out, err := l.Client.Output(t.Context(), "curl", args...)
	if err != nil {
		return fetched{}, err
	}
	var f fetched
	var ends struct{ Local, Remote string }
	decoder := json.NewDecoder(strings.NewReader(out))
	must(t, decoder.Decode(&f.greeting))
	must(t, decoder.Decode(&ends))
	for text, addr := range map[string]*netip.AddrPort{ends.Local: &f.local, ends.Remote: &f.remote} {
		var ip string
		var port uint16
		_, err := fmt.Sscan(text, &ip, &port)
		must(t, err)
		parsed, err := netip.ParseAddr(ip)
		must(t, err)
		*addr = netip.AddrPortFrom(parsed, port)
	}
	return f, nil
}

// expectDirect fetches from a pod by its Service's name: both ends must see each other's own
// addresses and ports, so that nobody between has translated any.
func (l *lab) expectDirect(t *testing.T, family string, p *pod, hostname string) {
	t.Helper()
	cluster.Eventually(t, 20*time.Second, func() error {
		f, err := l.curl(t, family, hostname)
		if err != nil {
			t.Fatal(err)
		}
		if f.local.Addr() != clientHost.Of(family) || f.local != f.Client || f.remote != f.Server {
			t.Fatalf("IPv%s: the client sees %v and %v, the pod %v and %v", family, f.local, f.remote, f.Client, f.Server)
		}
		if f.Pod != p.role || f.remote != netip.AddrPortFrom(p.addresses.Of(family), podPort) {
			return fmt.Errorf("%s answers at %v", f.Pod, f.remote) // by chance another one
		}
		return nil
	})
}

// expectTrace compares the hops from the client to a pod.
func (l *lab) expectTrace(t *testing.T, family string, p *pod, via ...netns.Host) {
	t.Helper()
	var want []netip.Addr
	for _, hop := range append(via, p.addresses) {
		want = append(want, hop.Of(family))
	}
	if got, err := trace(l.Client, p.addresses.Of(family)); err != nil || !slices.Equal(got, want) {
		t.Errorf("IPv%s to %s: got hops %v (%v), want %v", family, p.role, got, err, want)
	}
}

// expectNoTranslation checks that no host has rules that could translate addresses.
func (l *lab) expectNoTranslation(t *testing.T, pods []*pod) {
	t.Helper()
	hosts := []*netns.Namespace{l.Router, l.Client}
	for _, p := range pods {
		hosts = append(hosts, p.node.Namespace, p.Namespace)
	}
	_, missing := exec.LookPath("nft")
	for _, n := range hosts {
		rules, err := translations(n)
		must(t, err)
		if missing == nil {
			more, err := n.Output(t.Context(), "nft", "list", "ruleset")
			must(t, err)
			rules += more
		}
		if rules != "" {
			t.Errorf("%s has rules of netfilter:\n%s", n.Name, rules)
		}
	}
}

// allForwarded returns what the router and the nodes have passed on.
func (l *lab) allForwarded(t *testing.T) map[string]forwarded {
	t.Helper()
	all := map[string]forwarded{}
	hosts := map[string]*netns.Namespace{"router": l.Router}
	for name, node := range l.nodes {
		hosts[name] = node.Namespace
	}
	for name, n := range hosts {
		var err error
		all[name], err = forwardedBy(n)
		must(t, err)
	}
	return all
}
