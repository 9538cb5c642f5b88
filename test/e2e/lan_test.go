//go:build linux

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/daemon"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/netns"
	"github.com/minilb/minilb/test/shipped"
)

// The LAN's addresses.
var (
	lan4 = netip.MustParsePrefix("192.168.1.0/24")
	lan6 = netip.MustParsePrefix("fd00:192:168:1::/64")

	routerHost       = hostOf(1)
	controlPlaneHost = hostOf(2)
	nodeHosts        = map[string]host{"node1": hostOf(31), "node2": hostOf(32), "node3": hostOf(33)}
	clientHost       = hostOf(50)
)

// host is the addresses of one host, or pod.
type host struct{ v4, v6 netip.Addr }

// hostOf returns the addresses of the LAN that end in a number below 100.
func hostOf(number int) host {
	return host{
		netip.MustParseAddr(fmt.Sprintf("192.168.1.%d", number)),
		netip.MustParseAddr(fmt.Sprintf("fd00:192:168:1::%d", number)),
	}
}

// of returns the address of a family, "4" or "6".
func (h host) of(family string) netip.Addr {
	if family == "6" {
		return h.v6
	}
	return h.v4
}

// lab is the LAN: hosts on one switch, the nodes among them, and a control plane that all reach
// through the address of one more host.
type lab struct {
	*netns.Set
	cluster  *cluster.Cluster
	accounts shipped.Accounts // as hosts of the LAN use them
	coredns  string           // paths of the binaries
	minilb   string
	timing   timing

	// bridge is the switch. A host's end of its cable there has the host's name.
	bridge               *netns.Namespace
	router, client, core *netns.Namespace
	nodes                map[string]*node
	pods                 int // that have been made

	forwarder *netns.Forwarder
	spawner   *daemon.Spawner
}

// timing is how soon a cluster notices that a node is dead.
type timing struct {
	heartbeat time.Duration // a kubelet's nodeLeaseDurationSeconds / 4
	grace     time.Duration // --node-monitor-grace-period
	monitor   time.Duration // --node-monitor-period
}

var (
	defaults = timing{10 * time.Second, 50 * time.Second, 5 * time.Second} // Kubernetes' own
	short    = timing{time.Second, 12 * time.Second, time.Second}
)

// newLab builds the LAN. Its nodes are up and have no pods, and no host has a route to their
// podCIDRs.
func newLab(ctx context.Context) (_ *lab, err error) {
	l := &lab{nodes: map[string]*node{}, timing: short}
	if harness.Full { // with Kubernetes' own timeouts and all repetitions, which take a quarter of an hour
		l.timing = defaults
	}
	if l.Set, err = netns.New(); err != nil {
		return nil, err
	}
	l.spawner = daemon.NewSpawner()
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if err := l.wire(); err != nil {
		return nil, err
	}
	if err := l.startControlPlane(ctx); err != nil {
		return nil, err
	}
	if l.coredns, err = harness.FastBinary(); err != nil {
		return nil, err
	}
	if l.minilb, err = harness.FastMinilb(); err != nil {
		return nil, err
	}
	for name, addresses := range nodeHosts {
		if err := l.startNode(ctx, name, addresses); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// wire makes the switch and the hosts but for the nodes.
func (l *lab) wire() (err error) {
	if l.bridge, err = l.Add("switch"); err != nil {
		return err
	}
	if err := l.bridge.IP("link add bridge type bridge mcast_snooping 0", "link set bridge up"); err != nil {
		return err
	}
	if l.router, err = l.attach("router", routerHost, "net/ipv4/ip_forward=1", "net/ipv6/conf/all/forwarding=1"); err != nil {
		return err
	}
	if l.core, err = l.attach("core", controlPlaneHost); err != nil {
		return err
	}
	// A router tells who sends it what another host of the same LAN could have been sent, by an
	// ICMP redirect. Most hosts do as it says, and where the packets go would depend on the past.
	if l.client, err = l.attach("client", clientHost,
		"net/ipv4/conf/all/accept_redirects=0", "net/ipv4/conf/default/accept_redirects=0",
		"net/ipv6/conf/all/accept_redirects=0", "net/ipv6/conf/default/accept_redirects=0"); err != nil {
		return err
	}
	if err := defaultRoutes(l.client, routerHost); err != nil {
		return err
	}
	return l.client.SetResolver(routerHost.v4.String())
}

// attach makes a host and plugs it into the switch; its interface is called "lan".
func (l *lab) attach(name string, addresses host, sysctls ...string) (*netns.Namespace, error) {
	n, err := l.Add(name, sysctls...)
	if err != nil {
		return nil, err
	}
	if err := l.bridge.IP(
		fmt.Sprintf("link add %s type veth peer name lan netns %s", name, n.Name),
		fmt.Sprintf("link set %s master bridge up", name),
	); err != nil {
		return nil, err
	}
	return n, n.IP(
		"link set lan up",
		fmt.Sprintf("addr add %s/%d dev lan", addresses.v4, lan4.Bits()),
		fmt.Sprintf("addr add %s/%d dev lan", addresses.v6, lan6.Bits()),
	)
}

// defaultRoutes gives a namespace its default routes.
func defaultRoutes(n *netns.Namespace, via host) error {
	return n.IP(fmt.Sprintf("route add default via %s", via.v4), fmt.Sprintf("route add default via %s", via.v6))
}

// startControlPlane starts it in the namespace of the test, on loopback, and lets the LAN reach it.
func (l *lab) startControlPlane(ctx context.Context) (err error) {
	l.cluster, err = cluster.Start(ctx, cluster.Options{
		NodeLifecycle: true,
		ControllerManagerFlags: []string{
			"--node-monitor-grace-period=" + l.timing.grace.String(),
			"--node-monitor-period=" + l.timing.monitor.String(),
		},
	})
	if err != nil {
		return err
	}
	if l.forwarder, err = netns.Forward(ctx, l.core, netip.AddrPortFrom(controlPlaneHost.v4, 6443), l.cluster.URL); err != nil {
		return err
	}
	if l.accounts, err = shipped.Apply(ctx, l.cluster); err != nil {
		return err
	}
	return errors.Join(l.lanKubeconfig(l.accounts.DNS), l.lanKubeconfig(l.accounts.Controller))
}

// lanKubeconfig changes a kubeconfig so that it leads to the control plane's address in the LAN.
func (l *lab) lanKubeconfig(path string) error {
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		return err
	}
	for _, cluster := range config.Clusters {
		cluster.Server = "https://" + l.forwarder.Addr.String()
		cluster.TLSServerName = "127.0.0.1" // for which the certificate is
	}
	return clientcmd.WriteToFile(*config, path)
}

// close ends all that runs in the LAN and takes it away.
func (l *lab) close() error {
	var errs []error
	for _, node := range l.nodes {
		node.stop()
	}
	if l.forwarder != nil {
		l.forwarder.Stop()
	}
	if l.cluster != nil {
		errs = append(errs, l.cluster.Stop())
	}
	l.spawner.Stop()
	return errors.Join(append(errs, l.Set.Close())...)
}
