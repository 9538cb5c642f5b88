package check

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
)

// R1, R3–R7, R7b: what is said of nodes.
func TestNodeProblems(t *testing.T) {
	node := func(annotation string, podCIDRs ...string) *corev1.Node {
		return &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: "n", Annotations: map[string]string{annotation: "x"}},
			Spec:       corev1.NodeSpec{PodCIDRs: podCIDRs},
			Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.168.1.31"}}},
		}
	}
	name := "n"
	outside := map[cache.ObjectName][]*discoveryv1.EndpointSlice{
		cache.NewObjectName("a", "b"): {{AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, NodeName: &name}}}},
	}
	broken := node("x", "10.244.1.0/24")
	broken.Status.Addresses = append(broken.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "nonsense"})
	for _, tc := range []struct {
		name    string
		node    *corev1.Node
		slices  map[cache.ObjectName][]*discoveryv1.EndpointSlice
		noIPv6  bool
		reasons []string
		want    string
	}{
		{"sound", node("x", "10.244.1.0/24"), nil, false, nil, ""},
		{"outside", node("x", "10.244.1.0/24"), outside, false, []string{"PodOutsidePodCIDR"}, "1 of 1 pod IPs are outside its 10.244.1.0/24, for example 10.0.0.1: the routes to the node do not lead to them; the CNI does not use"},
		{"kube-router", node("kube-router.io/pod-cidr", "10.244.1.0/24"), outside, false, []string{"PodOutsidePodCIDR"}, "the CNI does not use the nodes' podCIDRs"},
		{"no podCIDR", node("x"), nil, false, []string{"NoPodCIDR"}, "there is no route to its pods; run kube-controller-manager with"},
		{"no InternalIP", node("x", "10.244.1.0/24", "fd00:1::/64"), nil, false, []string{"NoInternalIP"}, "no IPv6 InternalIP for fd00:1::/64"},
		{"an InternalIP less, on purpose", node("x", "10.244.1.0/24", "fd00:1::/64"), nil, true, nil, ""},
		{"its address in its podCIDR", node("x", "192.168.0.0/16"), nil, false, []string{"HostInPodCIDR"}, // R7
			"podCIDR 192.168.0.0/16 contains 192.168.1.31, the InternalIP of node n: a route would cut it off, so that its pods are not reached; give the cluster a pod network that the LAN does not use"},
		{"no pod network", node("x", "127.0.0.0/24"), nil, false, []string{"NotPodNetwork"}, "podCIDR 127.0.0.0/24 is not a pod network: 127.0.0.0/8 is loopback: there is no route to its pods; correct"}, // R7b
		{"a network of the Internet", node("x", "9.9.9.9/32"), nil, false, []string{"NotPodNetwork"},
			"podCIDR 9.9.9.9/32 is not a private network: if pods have it, name all of the cluster's pod networks with -within: there is no route to its pods; correct"},
		{"an InternalIP that is none", broken, nil, false, []string{"MalformedIP"}, `InternalIP "nonsense" is malformed; correct what sets`},
	} {
		c := checker{nodes: []*corev1.Node{tc.node}, slices: tc.slices, options: []config.Options{{NoIPv6: tc.noIPv6}}}
		var reasons []string
		text := ""
		c.checkNodes()
		for _, f := range c.problems {
			reasons = append(reasons, f.Reason)
			text += f.Text + "; " + f.Fix
		}
		if !slices.Equal(reasons, tc.reasons) || !strings.Contains(text, tc.want) {
			t.Errorf("%s: got %q, %q, want %q, %q", tc.name, reasons, text, tc.reasons, tc.want)
		}
	}
}

// Two nodes with one podCIDR are not told that they have no address.
func TestSamePodCIDR(t *testing.T) {
	var nodes []*corev1.Node
	for _, name := range []string{"a", "b"} {
		nodes = append(nodes, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDRs: []string{"10.244.1.0/24"}},
			Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.168.1.31"}}},
		})
	}
	c := checker{nodes: nodes, options: []config.Options{{}}}
	c.checkNodes()
	if found := c.problems; len(found) != 1 || found[0].Reason != "SamePodCIDR" || found[0].Name != "b" || found[0].Severity != Error {
		t.Errorf("got %+v", found)
	}
}

// R7b: the API server's addresses, and the networks after -within, count for "minilb check", too.
func TestNodesOfLAN(t *testing.T) {
	c := ofCluster(t, ". {\n minilb minilb\n}", `
apiVersion: v1
kind: Node
metadata: {name: a}
spec: {podCIDRs: [203.0.113.0/24]}
status: {addresses: [{type: InternalIP, address: 192.168.1.31}]}
---
apiVersion: v1
kind: Node
metadata: {name: b}
spec: {podCIDRs: [10.9.9.0/24]}
status: {addresses: [{type: InternalIP, address: 192.168.1.32}]}
---
apiVersion: v1
kind: Node
metadata: {name: c}
spec: {podCIDRs: [10.10.0.0/24]}
status: {addresses: [{type: InternalIP, address: 192.168.1.33}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: default, name: kubernetes}
addressType: IPv4
endpoints: [{addresses: [10.9.9.30]}]
`)
	c.LAN.Within = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("10.9.0.0/16")}
	if err := c.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.checkNodes()
	got := strings.Join(lines(c.problems), "\n")
	if strings.Count(got, "\n") != 1 || !strings.Contains(got, "HostInPodCIDR: podCIDR 10.9.9.0/24 contains 10.9.9.30, the address of the API server") ||
		!strings.Contains(got, "NotPodNetwork: podCIDR 10.10.0.0/24 is in none of the networks after -within") {
		t.Errorf("got\n%s", got)
	}
}

// R7b: that podCIDRs are not compared with the API server's address is said, unless nothing is said of nodes at all.
func TestNodesUnlocated(t *testing.T) {
	const nodes = `
apiVersion: v1
kind: Node
metadata: {name: a}
spec: {podCIDRs: [10.9.9.0/24]}
status: {addresses: [{type: InternalIP, address: 192.168.1.31}]}
`
	for manifest, want := range map[string][]string{
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n": nil,
		nodes: {`warning APIResource nodes Unread: podCIDRs are not compared with the API server's address: resolve "api.invalid": `},
	} {
		c := ofCluster(t, ". {\n minilb minilb\n}", manifest)
		c.LAN.Server = "api.invalid"
		if err := c.read(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, c.problems, want)
	}
}

// L6: a selector that matches all nodes or none makes no difference.
func TestExcludedNodes(t *testing.T) {
	nodes := []*corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "home", Labels: map[string]string{"site": "home"}}}, {ObjectMeta: metav1.ObjectMeta{Name: "vps", Labels: map[string]string{"site": "vps"}}}}
	for selector, want := range map[string]string{
		"site=vps": "", "": "",
		"site":   `ExcludesAllNodes exclude_nodes "site" matches all 2 nodes: their endpoints are answered as there is no other`,
		"!other": `ExcludesAllNodes exclude_nodes "!other" matches all 2 nodes: their endpoints are answered as there is no other`,
		"vps":    `ExcludesNoNode exclude_nodes "vps" matches none of the 2 nodes: no endpoint is left out`,
	} {
		o := config.Options{Zones: []string{"minilb."}}
		if selector != "" {
			o.ExcludeNodes, _ = labels.Parse(selector)
		}
		c := checker{nodes: nodes}
		c.excludedNodes(&o)
		got := ""
		for _, p := range c.problems {
			got += p.Reason + " " + p.Text
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", selector, got, want)
		}
		c = checker{}
		if c.excludedNodes(&o); c.problems != nil {
			t.Errorf("%q: without any node it reports %v", selector, c.problems)
		}
	}
}
