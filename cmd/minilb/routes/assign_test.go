package routes

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
)

// pods are where pods are: "a 10.244.1.7, b 10.244.2.7".
func pods(text string) (all []podnetworks.Pod) {
	for pod := range strings.SplitSeq(text, ", ") {
		if node, addr, is := strings.Cut(pod, " "); is {
			all = append(all, podnetworks.Pod{Addr: netip.MustParseAddr(addr), Node: node})
		}
	}
	return all
}

// R3, R20: a network in which pods of another node are has no route, unless -pods says whose it is.
func TestAssign(t *testing.T) {
	a, b := node("a", "10.244.1.0/24", "192.168.1.31"), node("b", "10.244.2.0/24", "192.168.1.32")
	same := aged(1, "same", "10.244.1.0/24", "192.168.1.33") // younger than a, which has no age
	const route1, route2 = "ip route replace 10.244.1.0/24 via 192.168.1.31\n", "ip route replace 10.244.2.0/24 via 192.168.1.32\n"
	for _, tc := range []struct {
		name     string
		nodes    []*corev1.Node
		pods     string
		provider podnetworks.Provider
		want     string
	}{
		{"at home", []*corev1.Node{a, b}, "a 10.244.1.7, b 10.244.2.7", "", route1 + route2},
		{"elsewhere", []*corev1.Node{a, b}, "a 10.244.1.7, b 10.244.1.8", podnetworks.Auto,
			"# node a: podCIDR 10.244.1.0/24 is not this node's: the pod 10.244.1.8 in it is on node b\n" + route2},
		{"elsewhere, as -pods says", []*corev1.Node{a, b}, "b 10.244.1.8", podnetworks.PodCIDRs, route1 + route2},
		{"on the host's network", []*corev1.Node{a, node("b", "10.244.2.0/24", "10.244.1.32")}, "b 10.244.1.32", "",
			"# node a: podCIDR 10.244.1.0/24 contains 10.244.1.32, the InternalIP of node b: a route would cut it off\nip route replace 10.244.2.0/24 via 10.244.1.32\n"},
		{"the younger node's", []*corev1.Node{a, same}, "same 10.244.1.7", "",
			"# node a: podCIDR 10.244.1.0/24 is not this node's: the pod 10.244.1.7 in it is on node same\nip route replace 10.244.1.0/24 via 192.168.1.33\n"},
		{"both nodes'", []*corev1.Node{a, same}, "same 10.244.1.7, a 10.244.1.8", "",
			"# node a: podCIDR 10.244.1.0/24 is not this node's: the pod 10.244.1.7 in it is on node same\n" +
				"# node same: podCIDR 10.244.1.0/24 is not this node's: the pod 10.244.1.8 in it is on node a\n"},
	} {
		lan, nodes, _ := LAN{Provider: tc.provider}.Assign(ReadNodes(tc.nodes), podnetworks.Found{}, pods(tc.pods))
		if got := replaced(lan.FromNodes(nodes)); got != tc.want {
			t.Errorf("%s: got\n%swant\n%s", tc.name, got, tc.want)
		}
	}
}

// R4, R20: an address that is borrowed has a route of its own inside of another node's block.
func TestBorrowed(t *testing.T) {
	network := func(node, prefix string, borrowed bool) podnetworks.Network {
		return podnetworks.Network{Node: node, Prefix: netip.MustParsePrefix(prefix), Borrowed: borrowed}
	}
	nodes := ReadNodes([]*corev1.Node{node("a", "", "192.168.1.31"), node("b", "", "192.168.1.32"), node("c", "", "192.168.1.33")})
	choice := podnetworks.Choice{Provider: podnetworks.Calico, Networks: []podnetworks.Network{
		network("b", "10.9.0.64/26", false), network("b", "10.9.0.7/32", true), network("a", "10.9.0.0/26", false), network("gone", "10.9.1.0/26", false), network("a", "10.9.0.70/32", true),
	}}
	const want = "ip route replace 10.9.0.0/26 via 192.168.1.31\nip route replace 10.9.0.70/32 via 192.168.1.31\n" +
		"ip route replace 10.9.0.64/26 via 192.168.1.32\nip route replace 10.9.0.7/32 via 192.168.1.32\n" +
		"# node c: no block: Calico gives it one with its first pod\n"
	if got := replaced(LAN{}.FromNodes(assigned(nodes, choice))); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	choice.Networks = append(choice.Networks, network("c", "10.9.0.7/32", true), network("c", "10.9.0.64/27", false))
	got := replaced(LAN{}.FromNodes(assigned(nodes, choice)))
	for _, line := range []string{"# node c: block 10.9.0.7/32 is also that of node b\n", "# node c: block 10.9.0.64/27 overlaps 10.9.0.64/26 of node b\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("got\n%swant %s", got, line)
		}
	}
}

// R20: whatever Nodes, CRDs of one CNI or of several and the addresses of pods are, by what is left of -pods auto no packet to a
// pod is led to another node.
func TestAutoLeadsNobodyAstray(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "c", "d"}
		name := rapid.SampledFrom(names)
		prefix := rapid.Custom(func(t *rapid.T) string { // few addresses, so that much overlaps
			bits := rapid.SampledFrom([]int{24, 26, 28, 32}).Draw(t, "bits")
			addr := netip.AddrFrom4([4]byte{10, 244, byte(rapid.IntRange(0, 1).Draw(t, "net")), byte(rapid.IntRange(0, 255).Draw(t, "host"))})
			return netip.PrefixFrom(addr, bits).Masked().String()
		})
		var nodes []*corev1.Node
		for i, name := range names {
			n := aged(rapid.IntRange(0, 3).Draw(t, "age"), name, strings.Join(rapid.SliceOfN(prefix, 0, 3).Draw(t, "podCIDRs"), " "), fmt.Sprintf("192.168.1.3%d", i))
			n.Annotations = map[string]string{}
			if rapid.Bool().Draw(t, "of kube-router") {
				n.Annotations["kube-router.io/pod-cidr"] = prefix.Draw(t, "its")
			}
			if rapid.Bool().Draw(t, "of OVN") {
				n.Annotations["k8s.ovn.org/node-subnets"] = fmt.Sprintf("{%q:[%q]}", "default", prefix.Draw(t, "its"))
			}
			nodes = append(nodes, n)
		}
		var objects []*unstructured.Unstructured
		for i := range rapid.IntRange(0, 6).Draw(t, "objects") {
			node, cidr := name.Draw(t, "of"), prefix.Draw(t, "network")
			spec := map[string]any{"ipam": map[string]any{"podCIDRs": []any{cidr}}}
			version, kind := "cilium.io/v2", "CiliumNode"
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 1:
				spec, kind = map[string]any{"cidr": cidr, "node": node, "state": "confirmed", "deleted": "false"}, "BlockAffinity"
			case 2:
				secondary := map[string]any{"node": name.Draw(t, "borrower"), "pod": "p"}
				spec, kind = map[string]any{
					"cidr": cidr, "affinity": "host:" + node, "allocations": []any{nil, int64(0), int64(0)}, "attributes": []any{map[string]any{"secondary": secondary}},
				}, "IPAMBlock"
			}
			if kind != "CiliumNode" {
				version = rapid.SampledFrom([]string{"crd.projectcalico.org/v1", "projectcalico.org/v3"}).Draw(t, "version")
				node = fmt.Sprint("o", i)
			}
			objects = append(objects, &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": node}, "spec": spec,
			}})
		}
		var seen []podnetworks.Pod
		for range rapid.IntRange(0, 8).Draw(t, "pods") {
			addr := netip.MustParsePrefix(prefix.Draw(t, "in")).Addr()
			seen = append(seen, podnetworks.Pod{Addr: addr, Node: name.Draw(t, "on")})
		}
		lan, assigned, choice := LAN{}.Assign(ReadNodes(nodes), podnetworks.FromObjects(objects...), seen)
		to := map[netip.Prefix]string{}
		for _, entry := range lan.FromNodes(assigned) {
			if entry.Problem == "" {
				to[entry.Destination] = entry.Node
			}
		}
		for _, pod := range seen {
			for bits := 32; bits > 0; bits-- {
				prefix, _ := pod.Addr.Prefix(bits)
				if node, is := to[prefix]; is {
					if node != pod.Node {
						t.Fatalf("%s: the route to %s leads to %s, and pod %s is on %s: %v of %v", choice, prefix, node, pod.Addr, pod.Node, to, objects)
					}
					break
				}
			}
		}
	})
}
