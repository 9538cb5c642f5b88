//go:build linux

// Package realcluster runs a real Kubernetes cluster for tests: the control plane of test/cluster with
// kube-scheduler, and three nodes, each with containerd, runc, kubelet, kube-proxy and a bridge CNI or
// flannel, which run pods from the images that deploy/image builds. A node is a machine as far as the kernel
// lets it be one: namespaces of its own for network, processes and mounts, which end with it and take all
// that ran there with them. Router, client and nodes are on one switch, with IPv4 and IPv6.
//
// It needs root, network namespaces and cgroups. What is missing of its binaries it builds, once, which
// takes some ten minutes on two cores.
package realcluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/daemon"
	"github.com/minilb/minilb/test/netns"
)

// The LAN's addresses.
var (
	lan    = netns.Subnets{V4: netip.MustParsePrefix("192.168.77.0/24"), V6: netip.MustParsePrefix("fd00:192:168:77::/64")}
	hostOf = lan.Host

	routerHost       = hostOf(netns.RouterNumber)
	controlPlaneHost = hostOf(netns.ControlPlaneNumber)
	clientHost       = hostOf(netns.ClientNumber)
)

const (
	// firstNode is the number of the first node; the others follow.
	firstNode = 31

	// registryPort is where a registry may listen on the router, over plain HTTP.
	registryPort = 5000
)

// Host is the addresses of one host of the LAN.
type Host = netns.Host

// Options says how a Lab is.
type Options struct {
	Nodes    int
	Images   []string // paths of the archives that the nodes import
	IPv6Only bool     // LAN, nodes, pods and Services have no IPv4

	// Flannel has flanneld set the routes between nodes, by its backend host-gw, and its CNI plugin call bridge.
	// Without it the lab configures bridge and sets these routes.
	Flannel bool
}

// Lab is the cluster and its LAN.
type Lab struct {
	Cluster        *cluster.Cluster
	Router, Client *netns.Namespace
	Nodes          []*Node

	options   Options
	set       *netns.Set
	dir       string // of all that the nodes write
	binaries  cluster.Binaries
	kubelets  string // path of the kubeconfig of nodes, which leads to the control plane's address in the LAN
	lan       *netns.LAN
	forwarder *netns.Forwarder
	scheduler *daemon.Daemon
	janitor   *daemon.Janitor
	spawner   *daemon.Spawner

	died context.CancelCauseFunc // with what ended by itself
	dead context.Context
}

// Start starts the control plane and nodes, and returns when all nodes are Ready. Nodes and router have routes to the
// pods, the nodes of flannel as soon as it has set them; the client has the router.
func Start(ctx context.Context, options Options) (_ *Lab, err error) {
	l := &Lab{options: options}
	l.dead, l.died = context.WithCancelCause(context.Background())
	if l.binaries, err = cluster.NodeBinaries(ctx); err != nil {
		return nil, err
	}
	if options.Flannel {
		flannel, err := cluster.FlannelBinaries(ctx)
		if err != nil {
			return nil, err
		}
		maps.Copy(l.binaries, flannel)
	}
	if l.dir, err = os.MkdirTemp("", "minilb-realcluster-"); err != nil {
		return nil, fmt.Errorf("create the nodes' directory: %w", err)
	}
	if l.janitor, err = daemon.StartJanitor(sweep, l.dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(l.dir))
	}
	if err := makePodCgroup(filepath.Base(l.dir)); err != nil {
		return nil, errors.Join(err, l.janitor.Stop())
	}
	if l.set, err = netns.New(); err != nil {
		return nil, errors.Join(err, l.janitor.Stop())
	}
	l.spawner = daemon.NewSpawner()
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Stop())
		}
	}()
	subnets := lan
	if options.IPv6Only {
		subnets.V4 = netip.Prefix{}
	}
	if l.lan, err = l.set.NewLAN(subnets); err != nil {
		return nil, err
	}
	l.Router, l.Client = l.lan.Router, l.lan.Client
	if err := l.startControlPlane(ctx); err != nil {
		return nil, err
	}
	for i := range options.Nodes {
		node, err := l.newNode(fmt.Sprintf("node%d", i+1), hostOf(firstNode+i))
		if err != nil {
			return nil, err
		}
		l.Nodes = append(l.Nodes, node)
		if err := node.PowerOn(); err != nil {
			return nil, err
		}
	}
	var starts sync.WaitGroup
	errs := make([]error, len(l.Nodes))
	for i, node := range l.Nodes {
		starts.Go(func() { errs[i] = node.join(ctx) })
	}
	starts.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return l, l.routeToPods()
}

// addresses returns those that a host has, IPv4 before IPv6.
func (l *Lab) addresses(of Host) []netip.Addr {
	if l.options.IPv6Only {
		return []netip.Addr{of.V6}
	}
	return []netip.Addr{of.V4, of.V6}
}

// ranges returns those of a list of an IPv4 and an IPv6 range that the cluster has.
func (l *Lab) ranges(list string) string {
	if l.options.IPv6Only {
		_, list, _ = strings.Cut(list, ",")
	}
	return list
}

// startControlPlane starts it in the namespace of the test, on loopback, and lets the LAN and, by the Service
// kubernetes.default, the pods reach it.
func (l *Lab) startControlPlane(ctx context.Context) (err error) {
	addr := l.addresses(controlPlaneHost)[0]
	services := "--service-cluster-ip-range=" + l.ranges(cluster.ServiceCIDRs)
	options := cluster.Options{
		RealNodes:      true,
		APIServerFlags: []string{services, "--advertise-address=" + addr.String(), "--kubelet-preferred-address-types=InternalIP"},
		// Kubernetes' own timing, as that of dead nodes is measured.
		ControllerManagerFlags: []string{services, "--cluster-cidr=" + l.ranges(cluster.PodCIDRs), "--node-monitor-period=5s"},
	}
	if l.options.IPv6Only {
		options.ControllerManagerFlags = append(options.ControllerManagerFlags, "--node-cidr-mask-size-ipv4=0")
	}
	l.Cluster, err = cluster.Start(ctx, options)
	if err != nil {
		return err
	}
	target, err := url.Parse(l.Cluster.URL)
	if err != nil {
		return err
	}
	local, err := netip.ParseAddrPort(target.Host)
	if err != nil {
		return err
	}
	// At the same port, as the API server publishes its own for the Service.
	if l.forwarder, err = netns.Forward(ctx, l.lan.ControlPlane, netip.AddrPortFrom(addr, local.Port()), l.Cluster.URL); err != nil {
		return err
	}
	l.kubelets = filepath.Join(l.dir, "kubeconfig")
	if err := l.WriteLANKubeconfig(l.Cluster.Kubeconfig, l.kubelets); err != nil {
		return err
	}
	l.scheduler = &daemon.Daemon{
		Name: "kube-scheduler", Path: l.binaries["kube-scheduler"], Log: filepath.Join(l.dir, "kube-scheduler.log"),
		Args: []string{"--kubeconfig=" + l.Cluster.Kubeconfig, "--leader-elect=false", "--secure-port=0"},
	}
	return l.spawner.Start(l.scheduler, l.died)
}

// WriteLANKubeconfig copies a kubeconfig of the cluster's for programs of hosts of the LAN, which have another address
// for the API server.
func (l *Lab) WriteLANKubeconfig(from, to string) error {
	return l.forwarder.WriteKubeconfig(from, to)
}

// routeToPods gives each node the routes to the pods of the others, unless flanneld does, and the control plane's
// host likewise, which would be a node elsewhere. The router has what "minilb routes" would print.
func (l *Lab) routeToPods() error {
	hosts := []*netns.Namespace{l.lan.ControlPlane, l.Router}
	if !l.options.Flannel {
		for _, node := range l.Nodes {
			hosts = append(hosts, node.Namespace)
		}
	}
	for _, from := range hosts {
		var lines []string
		for _, to := range l.Nodes {
			if from == to.Namespace {
				continue
			}
			for _, cidr := range to.PodCIDRs {
				lines = append(lines, fmt.Sprintf("route replace %s via %s", cidr, to.address(cidr.Addr())))
			}
		}
		if err := from.IP(lines...); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends all that runs in the lab and removes it. It reports what had ended by itself.
func (l *Lab) Stop() error {
	errs := []error{context.Cause(l.dead)}
	for _, node := range l.Nodes {
		node.PowerOff()
	}
	l.scheduler.Stop()
	if l.forwarder != nil {
		l.forwarder.Stop()
	}
	if l.Cluster != nil {
		errs = append(errs, l.Cluster.Stop())
	}
	l.spawner.Stop()
	return errors.Join(append(errs, l.set.Close(), l.janitor.Stop())...)
}

// RouterHost and ClientHost return the addresses of the router and the client in the LAN.
func (l *Lab) RouterHost() Host { return routerHost }
func (l *Lab) ClientHost() Host { return clientHost }

// Registry returns the host and port of the registry from which nodes pull without TLS, on the router.
func (l *Lab) Registry() string {
	return netip.AddrPortFrom(l.addresses(routerHost)[0], registryPort).String()
}

// StartDaemon runs a program on a host until the test ends, which must not end before.
func (l *Lab) StartDaemon(t *testing.T, on *netns.Namespace, program string, args ...string) *daemon.Daemon {
	t.Helper()
	ip, err := exec.LookPath("ip")
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon.Daemon{
		Name: program, Path: ip, Args: append([]string{"netns", "exec", on.Name, program}, args...),
		Log: filepath.Join(t.TempDir(), program+".log"),
	}
	l.spawner.Run(t, d)
	return d
}

// search is the PATH of the nodes.
func (l *Lab) search() string {
	dirs := map[string]bool{}
	var all []string
	for _, path := range l.binaries {
		if dir := filepath.Dir(path); !dirs[dir] {
			dirs[dir] = true
			all = append(all, dir)
		}
	}
	return strings.Join(append(all, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ":")
}
