// Command flanneld is flannel's server for the nodes of test/realcluster, of flannel's own packages: leases from the API
// server, the backend host-gw, and masquerading by nftables, as its command does with -kube-subnet-mgr and -ip-masq. That
// command takes a C compiler, iptables, and the SDKs of clouds, whose compilation takes longer than that of all the rest.
package main

import (
	"context"
	"flag"
	"sync"

	"k8s.io/klog/v2"

	"github.com/flannel-io/flannel/pkg/backend"
	_ "github.com/flannel-io/flannel/pkg/backend/hostgw"
	"github.com/flannel-io/flannel/pkg/ip"
	"github.com/flannel-io/flannel/pkg/ipmatch"
	"github.com/flannel-io/flannel/pkg/subnet/kube"
	"github.com/flannel-io/flannel/pkg/trafficmngr/nftables"
)

var (
	kubeconfig = flag.String("kubeconfig-file", "", "kubeconfig file location")
	netConfig  = flag.String("net-config-path", "", "path to the network configuration file")
	iface      = flag.String("iface", "", "interface to use for inter-host communication")
)

// subnetFile is where the CNI plugin looks.
const subnetFile = "/run/flannel/subnet.env"

func main() {
	flag.Parse()
	if err := run(context.Background()); err != nil {
		klog.Fatal(err)
	}
}

// run joins the node that $NODE_NAME names to the network and keeps its routes. It returns only errors, such as that the
// node has no podCIDRs yet.
func run(ctx context.Context) error {
	leases, err := kube.NewSubnetManager(ctx, "", *kubeconfig, "flannel.alpha.coreos.com", *netConfig, true)
	if err != nil {
		return err
	}
	config, err := leases.GetNetworkConfig(ctx)
	if err != nil {
		return err
	}
	families, err := ipmatch.GetIPFamily(config.EnableIPv4, config.EnableIPv6)
	if err != nil {
		return err
	}
	external, err := ipmatch.LookupExtIface(*iface, "", "", families, ipmatch.PublicIPOpts{})
	if err != nil {
		return err
	}
	hostGW, err := backend.NewManager(ctx, leases, external).GetBackend(config.BackendType)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	network, err := hostGW.RegisterNetwork(ctx, &running, config)
	if err != nil {
		return err
	}
	lease := network.Lease()
	rules := &nftables.NFTablesManager{}
	if err := rules.Init(ctx); err != nil {
		return err
	}
	if err := rules.SetupAndEnsureMasqRules(ctx, config.Network, ip.IP4Net{}, ip.IP4Net{}, config.IPv6Network, ip.IP6Net{}, ip.IP6Net{}, lease, 5, false); err != nil {
		return err
	}
	rules.SetupAndEnsureForwardRules(ctx, config.Network, config.IPv6Network, 5)
	if err := leases.HandleSubnetFile(subnetFile, config, true, lease.Subnet, lease.IPv6Subnet, network.MTU()); err != nil {
		return err
	}
	if err := leases.CompleteLease(ctx, lease, &running); err != nil {
		return err
	}
	network.Run(ctx)
	return nil
}
