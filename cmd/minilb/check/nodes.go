package check

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// ofNodes has what follows from each problem of a node, and its fix.
var ofNodes = map[routes.ProblemKind]struct {
	severity             Severity
	reason, follows, fix string
}{
	routes.NoInternalIP: {Error, "NoInternalIP", ": its pods are not reached by that family",
		"give the kubelet an address of that family (--node-ip), or leave the family out by the property families"},
	routes.SamePodCIDR: {Error, "SamePodCIDR", ": there is no route to it, so that its pods are not reached",
		"give one of the nodes another podCIDR: delete the Node and let its kubelet register it anew"},
	routes.NotPodNetwork: {Error, "NotPodNetwork", ": there is no route to its pods",
		"correct what sets the node's podCIDRs; who can set them can lead the LAN's packets astray"},
	routes.HostInPodCIDR: {Error, "HostInPodCIDR", ", so that its pods are not reached",
		"give the cluster a pod network that the LAN does not use (kubeadm: podSubnet, k3s: --cluster-cidr), or the LAN another network"},
	routes.MalformedIP: {Warning, "MalformedIP", "", "correct what sets the node's addresses: its kubelet's --node-ip, or the cloud controller"},
	routes.NoPodCIDR:   {Error, "NoPodCIDR", ": there is no route to its pods", ""}, // the network plugin's
}

// checkNodes finds the nodes that have no route to their pods, or routes that do not lead to them (R1, R3–R7, R7b).
func (c *checker) checkNodes() {
	nodes, cni := routes.ReadNodes(c.nodes), c.cni()
	entries := c.LAN.FromNodes(nodes)
	for _, entry := range entries {
		wanted := func(o config.Options) bool { return o.WantsFamily(entry.Destination.Addr()) }
		of, known := ofNodes[entry.Kind]
		if !known || entry.Kind == routes.NoInternalIP && !slices.ContainsFunc(c.options, wanted) {
			continue
		}
		c.add(Problem{of.severity, "Node", "", entry.Node, of.reason, entry.Problem + of.follows, cmp.Or(of.fix, cni.allocate)})
	}
	c.checkProxyARP(nodes, entries)
	pods := c.LAN.Pods(nodes)
	for _, all := range c.slices {
		for _, slice := range all {
			pods.Add(slice)
		}
	}
	for _, node := range pods.Outside() {
		c.add(Problem{Error, "Node", "", node.Node, "PodOutsidePodCIDR",
			fmt.Sprintf("%d of %d pod IPs are outside its %s, for example %s: the routes to the node do not lead to them%s",
				node.Outside, node.Total, node.PodCIDRs, node.Example, cni.blame), cni.use})
	}
}

// excludedNodes finds an exclude_nodes that makes no difference: it matches all nodes or none (L6).
func (c *checker) excludedNodes(o *config.Options) {
	if o.ExcludeNodes == nil || len(c.nodes) == 0 {
		return
	}
	matching := 0
	for _, node := range c.nodes {
		if o.ExcludeNodes.Matches(labels.Set(node.Labels)) {
			matching++
		}
	}
	const fix = "compare it with the labels of the nodes: kubectl get nodes --show-labels"
	zone := hostname.Plain(o.Zones[0])
	switch matching {
	case 0:
		c.add(Problem{Warning, "Corefile", "", zone, "ExcludesNoNode",
			fmt.Sprintf("exclude_nodes %q matches none of the %d nodes: no endpoint is left out", o.ExcludeNodes, len(c.nodes)), fix})
	case len(c.nodes):
		c.add(Problem{Warning, "Corefile", "", zone, "ExcludesAllNodes",
			fmt.Sprintf("exclude_nodes %q matches all %d nodes: their endpoints are answered as there is no other", o.ExcludeNodes, matching), fix})
	}
}

// plugin is how a network plugin assigns podCIDRs.
type plugin struct {
	group       string   // of its API, "" for none
	annotations []string // that it sets on nodes
	blame       string   // who hands out addresses that are not the nodes'
	allocate    string   // how nodes get podCIDRs
	use         string   // how pods get addresses out of them
}

var plugins = []plugin{
	{"cilium.io", []string{"network.cilium.io/ipv4-pod-cidr", "io.cilium.network.ipv4-pod-cidr"},
		", as Cilium's IPAM does not use podCIDRs (its default, cluster-pool, does not)", routes.AllocateHint + "; Cilium must have ipam: kubernetes to use them",
		"set Cilium to ipam: kubernetes, or route what \"kubectl get ciliumnodes -o yaml\" has as spec.ipam.podCIDRs"},
	{"crd.projectcalico.org", []string{"projectcalico.org/IPv4Address"},
		", as Calico's IPAM hands out blocks of its own", routes.AllocateHint + "; Calico must have host-local IPAM with usePodCidr to use them",
		"set Calico to host-local IPAM with usePodCidr, or route what \"kubectl get blockaffinities.crd.projectcalico.org -o yaml\" has"},
	{"", []string{"flannel.alpha.coreos.com/public-ip", "flannel.alpha.coreos.com/backend-type"},
		", though flannel uses podCIDRs", routes.AllocateHint, "restart what still has addresses of before flannel was installed, or of another network"},
	{"", []string{"kube-router.io/pod-cidr"},
		", as kube-router's annotation kube-router.io/pod-cidr overrides podCIDRs", routes.AllocateHint,
		"remove the annotation kube-router.io/pod-cidr from the nodes, or route what it has"},
}

// cni recognizes the network plugin by its annotations on nodes and its API groups (R4–R6).
func (c *checker) cni() plugin {
	keys := map[string]bool{}
	for _, node := range c.nodes {
		for key := range node.Annotations {
			keys[key] = true
		}
	}
	for _, p := range plugins {
		if p.group != "" && c.groups[p.group] || slices.ContainsFunc(p.annotations, func(key string) bool { return keys[key] }) {
			return p
		}
	}
	return plugin{allocate: routes.AllocateHint, use: "have the CNI give pods addresses out of the nodes' podCIDRs, or route the CNI's own blocks instead"}
}
