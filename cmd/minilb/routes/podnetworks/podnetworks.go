// Package podnetworks finds the networks that the pods of each node have their addresses in, by what assigns them: the
// cluster itself, or the CNI's own address management (R20). It knows no routes.
package podnetworks

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Network is a pod network of a node.
type Network struct {
	Node     string
	Prefix   netip.Prefix // without host bits
	Borrowed bool         // a single address out of another node's network, which the node keeps otherwise
}

// Provider is what assigns pod networks to nodes, by its name after -pods.
type Provider string

// The Providers. Auto stands for the one that the cluster uses.
const (
	Auto       Provider = "auto"
	PodCIDRs   Provider = "podcidrs"
	Cilium     Provider = "cilium"
	Calico     Provider = "calico"
	OVN        Provider = "ovn"
	KubeRouter Provider = "kube-router"
)

// Providers are all of them, Auto first. Of several that the pods do not tell apart, the first that has networks is chosen.
var Providers = []Provider{Auto, Cilium, Calico, OVN, KubeRouter, PodCIDRs}

// ProviderByName returns the provider of a name.
func ProviderByName(name string) (Provider, error) {
	if provider := Provider(name); slices.Contains(Providers, provider) {
		return provider, nil
	}
	return "", fmt.Errorf("want one of %s", strings.Trim(strings.ReplaceAll(fmt.Sprint(Providers), " ", ", "), "[]"))
}

// Noun returns what the provider calls a pod network.
func (p Provider) Noun() string {
	return cmp.Or(map[Provider]string{Calico: "block", OVN: "subnet"}[p], "podCIDR")
}

// None returns why a node has no pod network, and the object or the program that would give it one.
func (p Provider) None() string {
	switch p {
	case Cilium:
		return "no podCIDRs: no CiliumNode has any for it"
	case Calico:
		return "no block: Calico gives it one with its first pod"
	case OVN:
		return "no subnet: it has no annotation " + ovnAnnotation
	}
	return "no podCIDRs: nothing has set any"
}

// Assignment is what one object says of pod networks, reduced. It is immutable.
type Assignment struct {
	Networks  []Network // IPv4 first; nodeLimit at most, but of an IPAMBlock maxBlock
	Malformed []string  // what is wrong with it, each on one line without characters that have a meaning to a shell (R15)
	Excess    string    // how many networks are left out, "" for none
	Moves     bool      // networks come and go while the node is there (R21)
}

// nodeLimit is how many networks a node has at most by what Nodes and Cilium say of them (R7b).
const nodeLimit = 64

// strange are the characters that no address has.
var strange = regexp.MustCompile(`[^A-Za-z0-9.:/%-]`)

// Legible returns the beginning of a malformed address, with a question mark for each strange character (R15).
func Legible(text string) string { return strange.ReplaceAllString(text[:min(len(text), 64)], "?") }

// list returns the networks of a node that the texts are, IPv4 first.
func list(provider Provider, node string, texts []string) Assignment {
	var assignment Assignment
	for _, text := range texts {
		if prefix, err := netip.ParsePrefix(text); err == nil && !prefix.Addr().Is4In6() {
			assignment.Networks = append(assignment.Networks, Network{Node: node, Prefix: prefix.Masked()})
		} else {
			assignment.Malformed = append(assignment.Malformed, fmt.Sprintf("%s %q is malformed", provider.Noun(), Legible(text)))
		}
	}
	slices.SortStableFunc(assignment.Networks, func(a, b Network) int { return cmp.Compare(a.Prefix.Addr().BitLen(), b.Prefix.Addr().BitLen()) })
	if all := len(assignment.Networks); all > nodeLimit {
		assignment.Networks = slices.Clone(assignment.Networks[:nodeLimit])
		assignment.Excess = fmt.Sprintf("%d of %d %ss left out, as a node has %d routes at most", all-nodeLimit, all, provider.Noun(), nodeLimit)
	}
	return assignment
}
