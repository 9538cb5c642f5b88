package podnetworks

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// object reads YAML, numbers as the API's are.
func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	json, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = u.UnmarshalJSON(json)
	}
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return u
}

// text returns what was said, such as "a 10.0.0.0/24, b 10.0.1.7/32 borrowed; block "x" is malformed".
func (s Assignment) text() string {
	var networks []string
	for _, n := range s.Networks {
		text := n.Node + " " + n.Prefix.String()
		if n.Borrowed {
			text += " borrowed"
		}
		networks = append(networks, text)
	}
	said := slices.DeleteFunc(append([]string{strings.Join(networks, ", ")}, append(s.Malformed, s.Excess)...), func(text string) bool { return text == "" })
	return strings.Join(said, "; ")
}

// R1, R6, R20: what Nodes say themselves.
func TestFromNode(t *testing.T) {
	node := func(cidrs string, annotations ...string) *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", Annotations: map[string]string{}}}
		n.Spec.PodCIDRs = strings.Fields(cidrs)
		for i := 0; i < len(annotations); i += 2 {
			n.Annotations[annotations[i]] = annotations[i+1]
		}
		return n
	}
	const subnets, cidr, cidrs = "k8s.ovn.org/node-subnets", "kube-router.io/pod-cidr", "kube-router.io/pod-cidrs"
	for _, tc := range []struct {
		name     string
		node     *corev1.Node
		provider Provider
		want     string
	}{
		{"nothing", node(""), PodCIDRs, ""},
		{"IPv4 first", node("fd00:1::/64 10.244.1.7/24"), PodCIDRs, "a 10.244.1.0/24, a fd00:1::/64"},
		{"malformed", node("10.244.1.0/24 $(reboot)"), PodCIDRs, `a 10.244.1.0/24; podCIDR "??reboot?" is malformed`},
		{"OVN-Kubernetes", node("10.244.1.0/24", subnets, `{"default":["10.128.2.0/23","fd01:0:0:1::/64"],"blue":["10.9.0.0/24"]}`), OVN, "a 10.128.2.0/23, a fd01:0:0:1::/64"},
		{"its old form", node("", subnets, `{"default":"10.128.2.0/23"}`), OVN, "a 10.128.2.0/23"},
		{"of other networks only", node("", subnets, `{"blue":["10.9.0.0/24"]}`), OVN, "the annotation k8s.ovn.org/node-subnets is malformed"},
		{"no JSON", node("", subnets, `10.128.2.0/23`), OVN, "the annotation k8s.ovn.org/node-subnets is malformed"},
		{"an address", node("", subnets, `{"default":["10.128.2.7"]}`), OVN, `subnet "10.128.2.7" is malformed`},
		{"not OVN's", node("10.244.1.0/24"), OVN, ""},
		{"kube-router", node("10.244.1.0/24", cidr, "10.9.1.0/24"), KubeRouter, "a 10.9.1.0/24"},
		{"kube-router, both families", node("10.244.1.0/24", cidr, "10.9.1.0/24", cidrs, "10.9.2.0/24, fd00:9::/64"), KubeRouter, "a 10.9.2.0/24, a fd00:9::/64"},
		{"kube-router without an annotation", node("10.244.1.0/24", cidr, ""), KubeRouter, "a 10.244.1.0/24"},
		{"not kube-router's", node("10.244.1.0/24", cidr, "10.9.1.0/24"), PodCIDRs, "a 10.244.1.0/24"},
	} {
		if got := FromNode(tc.node).Of(tc.provider).text(); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
	var many []string
	for i := range 70 {
		many = append(many, fmt.Sprintf("10.%d.0.0/24", i))
	}
	said := FromNode(node(strings.Join(many, " ")))[PodCIDRs]
	if len(said.Networks) != 64 || said.Excess != "6 of 70 podCIDRs left out, as a node has 64 routes at most" {
		t.Errorf("got %d networks and %q", len(said.Networks), said.Excess)
	}
}

// R5, R20: a CiliumNode as Cilium 1.20 writes it.
func TestReadCiliumNode(t *testing.T) {
	const node = `
apiVersion: cilium.io/v2
kind: CiliumNode
metadata: {name: node1, labels: {kubernetes.io/hostname: node1}, ownerReferences: [{apiVersion: v1, kind: Node, name: node1, uid: 0b}]}
spec:
  addresses: [{ip: 192.168.1.31, type: InternalIP}, {ip: 10.0.1.52, type: CiliumInternalIP}]
  bootid: 5f0c7e0e-6f6d-4f6b-8d57-0a0d5a3a0a51
  encryption: {}
  health: {ipv4: 10.0.1.204}
  ingress: {}
  ipam: IPAM
status: {ipam: {operator-status: {}}}
`
	for _, tc := range []struct{ name, ipam, want string }{
		{"cluster-pool", "{podCIDRs: [10.0.1.0/24, fd00:1::/64], pools: {}}", "node1 10.0.1.0/24, node1 fd00:1::/64"},
		{"multi-pool", "{pools: {allocated: [{pool: default, cidrs: [10.10.0.32/27, fd00:10::/112]}, {pool: mars, cidrs: [10.20.0.0/27, 10.20.0.32/27]}], requested: [{pool: default, needed: {ipv4-addrs: 16}}]}}",
			"node1 10.10.0.32/27, node1 10.20.0.0/27, node1 10.20.0.32/27, node1 fd00:10::/112"},
		{"multi-pool over cluster-pool", "{podCIDRs: [10.0.1.0/24], pools: {allocated: [{pool: default, cidrs: [10.10.0.32/27]}]}}", "node1 10.10.0.32/27"},
		{"none yet", "{pools: {requested: [{pool: default, needed: {ipv4-addrs: 16}}]}}", ""},
		{"addresses of a cloud", "{pool: {10.0.1.7: {resource: eni-0}}}", ""},
		{"a malformed one", `{podCIDRs: [10.0.1.0/24, "10.0.2.0"]}`, `node1 10.0.1.0/24; podCIDR "10.0.2.0" is malformed`},
		{"another type", "{podCIDRs: 10.0.1.0/24}", "spec.ipam is malformed"},
		{"a malformed pool", "{pools: {allocated: [7, {pool: mars, cidrs: [10.20.0.0/27]}]}}", "node1 10.20.0.0/27; spec.ipam is malformed"},
		{"nothing", "{}", ""},
	} {
		said := readCiliumNode(object(t, strings.Replace(node, "IPAM", tc.ipam, 1)))
		if got := said.text(); got != tc.want || said.Moves != (strings.Contains(tc.ipam, "allocated")) {
			t.Errorf("%s: got %q, moves %v, want %q", tc.name, got, said.Moves, tc.want)
		}
	}
}

// R4, R20: a BlockAffinity as Calico writes it, in both groups.
func TestReadBlockAffinity(t *testing.T) {
	for _, tc := range []struct{ name, spec, want string }{
		{"confirmed", `{cidr: 10.244.166.128/26, deleted: "false", node: node1, state: confirmed, type: host}`, "node1 10.244.166.128/26"},
		{"of before types", `{cidr: "fd00:244::100/122", deleted: "false", node: node1, state: confirmed}`, "node1 fd00:244::100/122"},
		{"projectcalico.org/v3", `{cidr: 10.244.166.128/26, deleted: false, node: node1, state: confirmed, type: host}`, "node1 10.244.166.128/26"},
		{"pending", `{cidr: 10.244.166.128/26, deleted: "false", node: node1, state: pending, type: host}`, ""},
		{"pending deletion", `{cidr: 10.244.166.128/26, deleted: "false", node: node1, state: pendingDeletion, type: host}`, ""},
		{"deleted", `{cidr: 10.244.166.128/26, deleted: "true", node: node1, state: confirmed, type: host}`, ""},
		{"deleted, v3", `{cidr: 10.244.166.128/26, deleted: true, node: node1, state: confirmed, type: host}`, ""},
		{"of Services", `{cidr: 10.9.0.0/26, deleted: "false", node: load-balancer, state: confirmed, type: virtual}`, ""},
		{"no prefix", `{cidr: 10.244.166.128, deleted: "false", node: node1, state: confirmed}`, `block "10.244.166.128" is malformed`},
		{"no node", `{cidr: 10.244.166.128/26, deleted: "false", node: "", state: confirmed}`, "it has no spec.node"},
		{"nothing", `{}`, ""},
	} {
		text := "apiVersion: crd.projectcalico.org/v1\nkind: BlockAffinity\nmetadata: {name: node1-10-244-166-128-26}\nspec: " + tc.spec
		if got := readBlockAffinity(object(t, text)).text(); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// R4, R20: addresses that pods of other nodes have out of a block, as Calico writes it.
func TestReadIPAMBlock(t *testing.T) {
	const block = `
apiVersion: crd.projectcalico.org/v1
kind: IPAMBlock
metadata: {name: 10-244-166-128-26, annotations: {projectcalico.org/metadata: '{"creationTimestamp":null}'}}
spec:
  affinity: host:node1
  allocations: [0, null, 1, 2, 3]
  attributes:
  - {handle_id: vxlan-tunnel-addr-node1, secondary: {node: node1, type: vxlanTunnelAddress}}
  - {handle_id: k8s-pod-network.7f1c, secondary: {namespace: shop, node: node1, pod: web-0, timestamp: "2026-11-20 09:12:40 UTC"}}
  - {handle_id: k8s-pod-network.9a2b, secondary: {namespace: shop, node: node2, pod: web-1, timestamp: "2026-11-20 09:12:41 UTC"}}
  - {handle_id: vxlan-tunnel-addr-node3, secondary: {node: node3, type: vxlanTunnelAddress}}
  cidr: 10.244.166.128/26
  deleted: false
  sequenceNumber: 1765432
  sequenceNumberForAllocation: {"0": 1765430}
  strictAffinity: false
  unallocated: [1]
`
	for _, tc := range []struct{ name, old, new, want string }{
		{"borrowed by a pod", "", "", "node2 10.244.166.131/32 borrowed"},
		{"no node's any more", "  affinity: host:node1\n", "", "node1 10.244.166.130/32 borrowed, node2 10.244.166.131/32 borrowed"},
		{"deleted", "deleted: false", "deleted: true", ""},
		{"IPv6", "cidr: 10.244.166.128/26", "cidr: fd00:244::100/122", "node2 fd00:244::103/128 borrowed"},
		{"more allocations than addresses", "cidr: 10.244.166.128/26", "cidr: 255.255.255.254/31", ""},
		{"ordinals without attributes", "allocations: [0, null, 1, 2, 3]", "allocations: [9, -1, 2.5, x, 2]", "node2 10.244.166.132/32 borrowed"},
		{"no prefix", "cidr: 10.244.166.128/26", "cidr: $(reboot)", `block "??reboot?" is malformed`},
		{"no list", "allocations: [0, null, 1, 2, 3]", "allocations: 7", `block "10.244.166.128/26" is malformed`},
	} {
		if got := readIPAMBlock(object(t, strings.Replace(block, tc.old, tc.new, 1))).text(); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestNth(t *testing.T) {
	for _, tc := range []struct {
		block   string
		ordinal int
		want    string
	}{
		{"10.244.0.0/26", 0, "10.244.0.0"}, {"10.244.0.192/26", 63, "10.244.0.255"}, {"10.244.0.0/20", 4095, "10.244.15.255"},
		{"fd00::/116", 4095, "fd00::fff"}, {"10.244.0.64/26", 5, "10.244.0.69"},
	} {
		if got := nth(netip.MustParsePrefix(tc.block), tc.ordinal); got.String() != tc.want {
			t.Errorf("%d of %s: got %s, want %s", tc.ordinal, tc.block, got, tc.want)
		}
	}
}
