package check

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/plugin/minilb/config"
)

// nodeProblems returns the nodes that have no route to their pods, or routes that do not lead to them (R1,
// R3–R7, R7b).
func (c *checker) nodeProblems() []Problem {
	var problems []Problem
	cni := c.cni()
	for _, entry := range c.LAN.FromNodes(c.nodes) {
		p := Problem{Error, "Node", "", entry.Node, "", entry.Problem, ""}
		switch entry.Kind {
		case routes.NoInternalIP:
			if !c.wants(entry.Destination.Addr()) {
				continue
			}
			p.Reason, p.Fix = "NoInternalIP", "give the kubelet an address of that family (--node-ip), or leave the family out by the property families"
			p.Text += ": its pods are not reached by that family"
		case routes.SamePodCIDR:
			p.Reason, p.Fix = "SamePodCIDR", "give one of the nodes another podCIDR: delete the Node and let its kubelet register it anew"
			p.Text += ": there is no route to it, so that its pods are not reached"
		case routes.NotPodNetwork:
			p.Reason, p.Fix = "NotPodNetwork", "correct what sets the node's podCIDRs; who can set them can lead the LAN's packets astray"
			p.Text += ": there is no route to its pods"
		case routes.HostInPodCIDR:
			p.Reason, p.Fix = "HostInPodCIDR", "give the cluster a pod network that the LAN does not use (kubeadm: podSubnet, k3s: --cluster-cidr), or the LAN another network"
			p.Text += ", so that its pods are not reached"
		case routes.MalformedIP:
			p.Severity, p.Reason, p.Fix = Warning, "MalformedIP", "correct what sets the node's addresses: its kubelet's --node-ip, or the cloud controller"
		case routes.NoPodCIDR:
			p.Reason, p.Fix = "NoPodCIDR", cni.allocate
			p.Text += ": there is no route to its pods"
		default:
			continue
		}
		problems = append(problems, p)
	}
	pods := c.LAN.Pods(c.nodes)
	for _, all := range c.slices {
		for _, slice := range all {
			pods.Add(slice)
		}
	}
	for _, node := range pods.Outside() {
		problems = append(problems, Problem{Error, "Node", "", node.Node, "PodOutsidePodCIDR",
			fmt.Sprintf("%d of %d pod IPs are outside its %s, for example %s: the routes to the node do not lead to them%s",
				node.Outside, node.Total, node.PodCIDRs, node.Example, cni.blame), cni.use})
	}
	return problems
}

func (c *checker) wants(addr netip.Addr) bool {
	return slices.ContainsFunc(c.options, func(o config.Options) bool { return o.WantsFamily(addr) })
}

// plugin is how a network plugin assigns podCIDRs.
type plugin struct {
	blame    string // who hands out addresses that are not the nodes'
	allocate string // how nodes get podCIDRs
	use      string // how pods get addresses out of them
}

// cni recognizes the network plugin by its annotations on nodes and its API groups (R4–R6).
func (c *checker) cni() plugin {
	is := func(group string, annotations ...string) bool {
		return group != "" && c.groups[group] || slices.ContainsFunc(c.nodes, func(node *corev1.Node) bool {
			return slices.ContainsFunc(annotations, func(key string) bool { _, has := node.Annotations[key]; return has })
		})
	}
	switch {
	case is("cilium.io", "network.cilium.io/ipv4-pod-cidr", "io.cilium.network.ipv4-pod-cidr"):
		return plugin{", as Cilium's IPAM does not use podCIDRs (its default, cluster-pool, does not)", routes.AllocateHint + "; Cilium must have ipam: kubernetes to use them",
			"set Cilium to ipam: kubernetes, or route what \"kubectl get ciliumnodes -o yaml\" has as spec.ipam.podCIDRs"}
	case is("crd.projectcalico.org", "projectcalico.org/IPv4Address"):
		return plugin{", as Calico's IPAM hands out blocks of its own", routes.AllocateHint + "; Calico must have host-local IPAM with usePodCidr to use them",
			"set Calico to host-local IPAM with usePodCidr, or route what \"kubectl get blockaffinities.crd.projectcalico.org -o yaml\" has"}
	case is("", "flannel.alpha.coreos.com/public-ip", "flannel.alpha.coreos.com/backend-type"):
		return plugin{", though flannel uses podCIDRs", routes.AllocateHint, "restart what still has addresses of before flannel was installed, or of another network"}
	case is("", "kube-router.io/pod-cidr"):
		return plugin{", as kube-router's annotation kube-router.io/pod-cidr overrides podCIDRs", routes.AllocateHint, "remove the annotation kube-router.io/pod-cidr from the nodes, or route what it has"}
	}
	return plugin{"", routes.AllocateHint, "have the CNI give pods addresses out of the nodes' podCIDRs, or route the CNI's own blocks instead"}
}
