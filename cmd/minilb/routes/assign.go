package routes

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
)

// Assign returns the nodes with the pod networks of the LAN's provider, or of the one that explains best where the pods are. For
// podnetworks.Auto the LAN that it returns has no route that leads to another node than a pod in it is on (R20).
func (lan LAN) Assign(nodes []*Node, found podnetworks.Found, pods []podnetworks.Pod) (LAN, []*Node, podnetworks.Choice) {
	pods = onPodNetwork(nodes, pods)
	choice := podnetworks.Choose(lan.provider(), ownAssignments(nodes), found, pods)
	nodes = assigned(nodes, choice)
	if lan.disproved = nil; lan.provider() == podnetworks.Auto {
		lan = lan.disprove(nodes, pods)
	}
	return lan, nodes, choice
}

func (lan LAN) provider() podnetworks.Provider { return cmp.Or(lan.Provider, podnetworks.Auto) }

// ownAssignments returns what the nodes say of their own networks, by name.
func ownAssignments(nodes []*Node) map[string]podnetworks.Node {
	all := make(map[string]podnetworks.Node, len(nodes))
	for _, n := range nodes {
		all[n.name] = n.own
	}
	return all
}

// assigned returns the nodes with the networks of a choice. Those of nodes that are not there are left out.
func assigned(nodes []*Node, choice podnetworks.Choice) []*Node {
	networks := map[string][]podnetworks.Network{}
	for _, network := range choice.Networks {
		networks[network.Node] = append(networks[network.Node], network)
	}
	all := make([]*Node, len(nodes))
	for i, n := range nodes {
		with := *n
		with.provider, with.networks = choice.Provider, networks[n.name]
		all[i] = &with
	}
	return all
}

// unassigned returns what is wrong with the pod networks of a node, by what it says of them itself, or that it has none.
func (n *Node) unassigned() (problems []Entry) {
	own := n.own.Of(n.provider)
	if own.Excess != "" {
		problems = append(problems, Entry{Node: n.name, Problem: own.Excess, Kind: NotPodNetwork})
	}
	for _, text := range own.Malformed {
		problems = append(problems, Entry{Node: n.name, Problem: text, Kind: NoPodCIDR})
	}
	if len(n.networks)+len(problems)+len(n.problems) == 0 {
		problems = []Entry{{Node: n.name, Problem: n.provider.None(), Kind: NoPodCIDR}}
	}
	return problems
}

// onPodNetwork returns the pods but those with an address of their node.
func onPodNetwork(nodes []*Node, pods []podnetworks.Pod) []podnetworks.Pod {
	own := map[podnetworks.Pod]bool{}
	for _, n := range nodes {
		for _, addr := range n.addresses {
			own[podnetworks.Pod{Addr: addr, Node: n.name}] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(pods), func(pod podnetworks.Pod) bool { return own[pod] })
}

// disprove returns the LAN without the routes that lead to another node than a pod is on. Without one, another may lead there.
func (lan LAN) disprove(nodes []*Node, pods []podnetworks.Pod) LAN {
	lan.disproved = map[podnetworks.Network]podnetworks.Pod{}
	for {
		before, to, lengths := len(lan.disproved), map[netip.Prefix]Entry{}, map[int]bool{}
		for _, entry := range lan.entries(nodes) {
			if entry.Problem == "" {
				to[entry.Destination], lengths[entry.Destination.Bits()] = entry, true
			}
		}
		longest := slices.Backward(slices.Sorted(maps.Keys(lengths)))
		for _, pod := range pods {
			for _, bits := range longest {
				prefix, err := pod.Addr.Prefix(bits)
				if entry, is := to[prefix]; err == nil && is {
					if entry.Node != pod.Node {
						lan.disproved[podnetworks.Network{Node: entry.Node, Prefix: prefix, Borrowed: entry.borrowed}] = pod
					}
					break
				}
			}
		}
		if len(lan.disproved) == before {
			return lan
		}
	}
}
