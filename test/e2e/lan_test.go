//go:build linux

package e2e_test

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/daemon"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/netns"
	"github.com/minilb/minilb/test/shipped"
)

// The LAN's addresses.
var (
	lan    = netns.Subnets{V4: netip.MustParsePrefix("192.168.1.0/24"), V6: netip.MustParsePrefix("fd00:192:168:1::/64")}
	hostOf = lan.Host

	routerHost       = hostOf(netns.RouterNumber)
	controlPlaneHost = hostOf(netns.ControlPlaneNumber)
	clientHost       = hostOf(netns.ClientNumber)
	nodeHosts        = map[string]netns.Host{"node1": hostOf(31), "node2": hostOf(32), "node3": hostOf(33)}
)

// lab is the LAN: hosts on one switch, the nodes among them, and a control plane that all reach
// through the address of one more host.
type lab struct {
	*netns.Set
	*netns.LAN
	cluster  *cluster.Cluster
	accounts shipped.Accounts // as hosts of the LAN use them
	coredns  string           // paths of the binaries
	minilb   string
	timing   timing

	nodes map[string]*node
	pods  int // that have been made

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
	if l.LAN, err = l.Set.NewLAN(lan); err != nil {
		return nil, err
	}
	if err := l.Client.SetResolver(routerHost.V4.String()); err != nil {
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
	if l.forwarder, err = netns.Forward(ctx, l.ControlPlane, netip.AddrPortFrom(controlPlaneHost.V4, 6443), l.cluster.URL); err != nil {
		return err
	}
	if l.accounts, err = shipped.Apply(ctx, l.cluster); err != nil {
		return err
	}
	return errors.Join(l.lanKubeconfig(l.accounts.DNS), l.lanKubeconfig(l.accounts.Controller))
}

// lanKubeconfig changes a kubeconfig so that it leads to the control plane's address in the LAN.
func (l *lab) lanKubeconfig(path string) error { return l.forwarder.WriteKubeconfig(path, path) }

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
