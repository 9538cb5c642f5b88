//go:build linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/daemon"
)

// A packet goes from the client through the router to the node and its pod, which sees the
// client's own address (R1, S1).
func TestRoutesOnRouter(t *testing.T) {
	l := theLab(t)
	name, pods, _ := l.startWeb(t)
	controller := l.startController(t)
	hostname := l.statusHostname(t, "web")
	if hostname+"." != name {
		t.Fatalf("the Service's status has %q, want %q", hostname, name)
	}

	// Without routes there is no way.
	for _, family := range families {
		if out, err := l.curl(t, family, hostname); err == nil {
			t.Fatalf("without routes: got %v", out)
		}
	}
	lines := l.addRoutes(t, l.router)
	if strings.Count(lines, "\n") != 6 {
		t.Fatalf("got routes\n%swant one of each family for three nodes", lines)
	}
	for _, family := range families {
		for _, p := range pods {
			l.expectDirect(t, family, p, hostname)
			l.expectTrace(t, family, p, routerHost, p.node.addresses)
			before := l.allForwarded(t)
			_, err := l.fetch(t.Context(), p.addresses.of(family), time.Second)
			must(t, err)
			after := l.allForwarded(t)
			// To the pod all goes through the router, back nothing does.
			router, node := after["router"].of(family)-before["router"].of(family), after[p.node.role].of(family)-before[p.node.role].of(family)
			if router < 3 || node <= router {
				t.Errorf("IPv%s to %s: the router passed on %d packets and the node %d, want at least three, and more", family, p.role, router, node)
			}
		}
	}
	l.expectNoTranslation(t, pods)
	banner(t, controller, strings.ReplaceAll(lines, "route replace", "route add"))
}

// The same without a hop through the router: its routes are on the client itself, where DHCP's
// option 121 puts them.
func TestRoutesOnClient(t *testing.T) {
	l := theLab(t)
	name, pods, _ := l.startWeb(t)
	l.addRoutes(t, l.client)
	before := l.allForwarded(t)
	for _, family := range families {
		for _, p := range pods {
			l.expectDirect(t, family, p, strings.TrimSuffix(name, "."))
			l.expectTrace(t, family, p, p.node.addresses)
		}
	}
	if after := l.allForwarded(t); after["router"] != before["router"] {
		t.Errorf("the router has passed on packets: %v before, %v after", before["router"], after["router"])
	}
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

// startController runs "minilb controller" on the router.
func (l *lab) startController(t *testing.T) *daemon.Daemon {
	t.Helper()
	return l.startDaemon(t, l.router, l.minilb, "controller", "-kubeconfig", l.accounts.Controller, "-health", "127.0.0.1:8080")
}

// statusHostname waits for the hostname in a Service's status.
func (l *lab) statusHostname(t *testing.T, service string) (hostname string) {
	t.Helper()
	cluster.Eventually(t, 20*time.Second, func() error {
		object, err := l.cluster.Client.CoreV1().Services(metav1.NamespaceDefault).Get(t.Context(), service, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(object.Status.LoadBalancer.Ingress) != 1 {
			return fmt.Errorf("its status is %v", object.Status.LoadBalancer)
		}
		hostname = object.Status.LoadBalancer.Ingress[0].Hostname
		return nil
	})
	return hostname
}

// banner waits until the controller has printed the routes.
func banner(t *testing.T, controller *daemon.Daemon, lines string) {
	t.Helper()
	cluster.Eventually(t, 10*time.Second, func() error {
		log, err := os.ReadFile(controller.Log)
		if err != nil {
			return err
		}
		if want := "Add the following routes to your default gateway (router):\n" + lines; !strings.Contains(string(log), want) {
			return fmt.Errorf("the controller prints\n%swant\n%s", log, want)
		}
		return nil
	})
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
	out, err := l.client.output(t.Context(), "curl", args...)
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
		if f.local.Addr() != clientHost.of(family) || f.local != f.Client || f.remote != f.Server {
			t.Fatalf("IPv%s: the client sees %v and %v, the pod %v and %v", family, f.local, f.remote, f.Client, f.Server)
		}
		if f.Pod != p.role || f.remote != netip.AddrPortFrom(p.addresses.of(family), podPort) {
			return fmt.Errorf("%s answers at %v", f.Pod, f.remote) // by chance another one
		}
		return nil
	})
}

// expectTrace compares the hops from the client to a pod.
func (l *lab) expectTrace(t *testing.T, family string, p *pod, via ...host) {
	t.Helper()
	var want []netip.Addr
	for _, hop := range append(via, p.addresses) {
		want = append(want, hop.of(family))
	}
	if got, err := l.client.trace(p.addresses.of(family)); err != nil || !slices.Equal(got, want) {
		t.Errorf("IPv%s to %s: got hops %v (%v), want %v", family, p.role, got, err, want)
	}
}

// expectNoTranslation checks that no host has rules that could translate addresses.
func (l *lab) expectNoTranslation(t *testing.T, pods []*pod) {
	t.Helper()
	hosts := []*namespace{l.router, l.client}
	for _, p := range pods {
		hosts = append(hosts, p.node.namespace, p.namespace)
	}
	_, missing := exec.LookPath("nft")
	for _, n := range hosts {
		rules, err := n.translations()
		must(t, err)
		if missing == nil {
			more, err := n.output(t.Context(), "nft", "list", "ruleset")
			must(t, err)
			rules += more
		}
		if rules != "" {
			t.Errorf("%s has rules of netfilter:\n%s", n.name, rules)
		}
	}
}

// allForwarded returns what the router and the nodes have passed on.
func (l *lab) allForwarded(t *testing.T) map[string]forwarded {
	t.Helper()
	all := map[string]forwarded{}
	hosts := map[string]*namespace{"router": l.router}
	for name, node := range l.nodes {
		hosts[name] = node.namespace
	}
	for name, n := range hosts {
		var err error
		all[name], err = n.forwarded()
		must(t, err)
	}
	return all
}
