package podnetworks

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Pod is where a pod is, which tells providers apart: an address on the pod network, and the node.
type Pod struct {
	Addr netip.Addr
	Node string
}

// Found is what the API server's own resources say of pod networks, beside its Nodes.
type Found struct {
	Objects map[schema.GroupVersionResource][]*Object
	// Unread are the resources that are served and that this account may not read.
	Unread []string
}

// Choice is a provider and what it says.
type Choice struct {
	Provider  Provider
	Group     string      // of its API, "" for Nodes
	Why       string      // in a few words, on one line
	Proven    bool        // pods have addresses in their nodes' networks, and none in another's
	Alone     bool        // no other provider says anything
	Moves     bool        // the networks come and go (R21)
	Unread    []string    // what Found has
	Networks  []Network   // of all nodes
	Malformed []Malformed // in what the provider's own resources say
}

// Malformed is an object that says something that cannot be read. The rest of what it says counts.
type Malformed struct {
	Kind, Name string
	Texts      []string
}

// String returns it on one line.
func (m Malformed) String() string {
	return fmt.Sprintf("%s %s: %s", m.Kind, m.Name, strings.Join(m.Texts, "; "))
}

// Choose returns what the provider says, or for Auto the one that explains the pods' addresses best: the most of them are in
// their own node's networks, and the fewest in another's (R3, R20). Without pods that tell it is the first that has networks.
func Choose(provider Provider, nodes map[string]Node, found Found, pods []Pod) Choice {
	all := candidates(nodes, found)
	if provider != Auto {
		all = slices.DeleteFunc(all, func(c candidate) bool { return c.Provider != provider })
	}
	for i := range all {
		all[i].compare(pods)
	}
	best := candidate{Choice: Choice{Provider: provider}}
	if len(all) > 0 {
		best = slices.MaxFunc(all, func(a, b candidate) int { return cmp.Compare(a.own-a.other, b.own-b.other) }) // the first of several
	}
	best.Proven, best.Alone = best.own > 0 && best.other == 0, len(all) < 2 && len(found.Unread) == 0
	best.Unread = found.Unread
	best.Why = best.why(all, len(pods))
	if provider != Auto {
		best.Why = "as -pods says"
	}
	return best.Choice
}

// Refreshed returns what the same provider says now, of the same API group if it has said anything before.
func (c Choice) Refreshed(nodes map[string]Node, found Found) Choice {
	c.Networks, c.Malformed = nil, nil
	all := candidates(nodes, found)
	i := slices.IndexFunc(all, func(now candidate) bool {
		return now.Provider == c.Provider && (now.Group == c.Group || c.Group == "")
	})
	if i >= 0 {
		c.Group, c.Networks, c.Malformed = all[i].Group, all[i].Networks, all[i].Malformed
	}
	return c
}

// Resources returns those of the provider's API that it takes to read its networks, as permissions are written.
func (c Choice) Resources() (names []string) {
	for _, k := range kinds {
		if k.provider == c.Provider && k.resource.Group == c.Group {
			names = append(names, k.resource.GroupResource().String())
		}
	}
	return names
}

// String returns the choice on one line.
func (c Choice) String() string {
	return fmt.Sprintf("pod networks: %s: %s", c.name(), c.Why)
}

// name tells the choice from others, those of another group included.
func (c Choice) name() string {
	if c.Group == calicoAPIGroup {
		return fmt.Sprintf("%s (%s)", c.Provider, c.Group)
	}
	return string(c.Provider)
}

type candidate struct {
	Choice
	own, other int // pods in their node's networks, and in another node's only
}

// candidates returns what each provider says that says anything, and podCIDRs, in the order of Providers.
func candidates(nodes map[string]Node, found Found) []candidate {
	names := slices.Sorted(maps.Keys(nodes))
	fromNodes := func(provider Provider) candidate {
		c := candidate{Choice: Choice{Provider: provider}}
		for _, name := range names {
			c.Networks = append(c.Networks, nodes[name].Of(provider).Networks...)
		}
		return c
	}
	said := func(provider Provider) bool {
		return slices.ContainsFunc(names, func(name string) bool { return len(nodes[name][provider].Networks) > 0 })
	}
	var all []candidate
	for _, provider := range Providers[1:] {
		switch {
		case provider == PodCIDRs, (provider == OVN || provider == KubeRouter) && said(provider):
			all = append(all, fromNodes(provider))
		case provider == Cilium, provider == Calico:
			all = append(all, fromResources(provider, found)...)
		}
	}
	return all
}

// fromResources returns what a provider's resources say, by the groups that have them.
func fromResources(provider Provider, found Found) []candidate {
	var all []candidate
	for _, k := range kinds {
		if k.provider != provider || len(found.Objects[k.resource]) == 0 {
			continue
		}
		i := slices.IndexFunc(all, func(c candidate) bool { return c.Group == k.resource.Group })
		if i < 0 {
			i, all = len(all), append(all, candidate{Choice: Choice{Provider: provider, Group: k.resource.Group}})
		}
		for _, object := range found.Objects[k.resource] {
			all[i].Networks = append(all[i].Networks, object.assignment.Networks...)
			all[i].Moves = all[i].Moves || object.assignment.Moves
			texts := object.assignment.Malformed
			if object.assignment.Excess != "" {
				texts = append(slices.Clone(texts), object.assignment.Excess)
			}
			if len(texts) > 0 {
				all[i].Malformed = append(all[i].Malformed, Malformed{k.kind, object.name.Name, texts})
			}
		}
	}
	for i := range all {
		slices.SortFunc(all[i].Networks, Network.compare)
		all[i].Networks = slices.Compact(all[i].Networks)
		slices.SortFunc(all[i].Malformed, func(a, b Malformed) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	}
	return slices.DeleteFunc(all, func(c candidate) bool { return len(c.Networks)+len(c.Malformed) == 0 })
}

// compare orders networks by node, IPv4 first.
func (n Network) compare(m Network) int {
	return cmp.Or(cmp.Compare(n.Node, m.Node), cmp.Compare(n.Prefix.Addr().BitLen(), m.Prefix.Addr().BitLen()), n.Prefix.Compare(m.Prefix))
}

// compare counts the pods in the candidate's networks.
func (c *candidate) compare(pods []Pod) {
	owners, lengths := map[netip.Prefix][]string{}, map[int]bool{}
	for _, n := range c.Networks {
		owners[n.Prefix] = append(owners[n.Prefix], n.Node)
		lengths[n.Prefix.Bits()] = true
	}
	longest := slices.Backward(slices.Sorted(maps.Keys(lengths)))
	for _, pod := range pods {
		for _, bits := range longest {
			prefix, err := pod.Addr.Prefix(bits)
			if nodes := owners[prefix]; err != nil || nodes == nil {
				continue
			} else if slices.Contains(nodes, pod.Node) {
				c.own++
			} else {
				c.other++
			}
			break
		}
	}
}

// why returns the reason for the choice among all candidates.
func (c candidate) why(all []candidate, pods int) string {
	var why string
	switch {
	case len(all) == 1 && pods == 0:
		why = "nothing else says which networks pods have, and there is no pod to compare"
	case len(all) == 1:
		why = fmt.Sprintf("nothing else says which networks pods have; %s", c.counted(pods))
	case c.own+c.other == 0:
		why = "it has networks, and no pod proves them or others"
	default:
		var rest []string
		for _, other := range all {
			if other.Provider != c.Provider || other.Group != c.Group {
				rest = append(rest, fmt.Sprintf("%s %d", other.name(), other.own))
			}
		}
		why = fmt.Sprintf("%s (%s)", c.counted(pods), strings.Join(rest, ", "))
	}
	if len(c.Unread) > 0 {
		why += ", and this account may not list " + strings.Join(c.Unread, " and ")
	}
	return why
}

func (c candidate) counted(pods int) string {
	text := fmt.Sprintf("%d of %d pod IPs are in its networks of their nodes", c.own, pods)
	if c.other > 0 {
		text += fmt.Sprintf(", %d in those of others", c.other)
	}
	return text
}
