package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
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
	routes.PodElsewhere: {Error, "PodElsewhere", ": there is no route to it",
		"name what assigns pod networks by -pods, or restart pods that have addresses of before"},
	routes.MalformedIP: {Warning, "MalformedIP", "", "correct what sets the node's addresses: its kubelet's --node-ip, or the cloud controller"},
	routes.NoPodCIDR:   {Error, "NoPodCIDR", ": there is no route to its pods", ""}, // the network plugin's
}

// checkNodes finds the nodes that have no route to their pods, or routes that do not lead to them (R1, R3–R7, R7b, R20).
func (c *checker) checkNodes() {
	nodes := routes.ReadNodes(c.nodes)
	seen := routes.NewPodCollector(nodes)
	for _, all := range c.slices {
		for _, slice := range all {
			seen.Add(slice)
		}
	}
	lan, nodes, choice := c.LAN.Assign(nodes, c.found, seen.Pods())
	c.provider = choice
	c.unknownProvider(choice, len(nodes))
	entries := lan.FromNodes(nodes)
	for _, entry := range entries {
		wanted := func(o config.Options) bool { return o.WantsFamily(entry.Destination.Addr()) }
		of, known := ofNodes[entry.Kind]
		if !known || entry.Kind == routes.NoInternalIP && !slices.ContainsFunc(c.options, wanted) ||
			entry.Kind == routes.NoPodCIDR && choice.Provider == podnetworks.Calico { // which gives a node one with its first pod
			continue
		}
		c.add(Problem{of.severity, "Node", "", entry.Node, of.reason, entry.Problem + of.follows, cmp.Or(of.fix, routes.AllocateHint(choice))})
	}
	c.checkProxyARP(nodes, entries)
	for _, node := range lan.Pods(nodes).Outside(seen.Pods()) {
		c.add(Problem{Error, "Node", "", node.Node, "PodOutsidePodCIDR",
			fmt.Sprintf("%d of %d pod IPs are outside its %s, for example %s: the routes to the node do not lead to them",
				node.Outside, node.Total, node.PodCIDRs, node.Example), routes.OutsideHint(choice)})
	}
}

// unknownProvider finds what keeps the provider of pod networks from being known (R20).
func (c *checker) unknownProvider(of podnetworks.Choice, nodes int) {
	for _, resource := range c.found.Unread {
		c.add(Problem{Warning, "APIResource", "", resource, "Unread",
			"this account may not list " + resource + ", which may say what networks pods have",
			"run this with an account that may list " + resource + ", or name what assigns pod networks by -pods"})
	}
	if nodes > 0 && !of.Proven && !of.Alone && c.LAN.Provider != of.Provider {
		c.add(Problem{Warning, "PodNetworks", "", string(of.Provider), "NotProven", "taken for what assigns pod networks: " + of.Why,
			"name what assigns them by -pods, or run this again once there are pods behind Services"})
	}
	for _, object := range of.Malformed {
		c.add(Problem{Warning, object.Kind, "", object.Name, "InvalidObject",
			strings.Join(object.Texts, "; ") + ": there is no route for it", "correct what writes it"})
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
