package routes

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
)

// R3, E2, E3, E6, E7, E17, M8
func TestOutside(t *testing.T) {
	yes, no := true, false
	ready := discoveryv1.EndpointConditions{}
	down := discoveryv1.EndpointConditions{Ready: &no}
	draining := discoveryv1.EndpointConditions{Ready: &no, Serving: &yes, Terminating: &yes}
	gone := discoveryv1.EndpointConditions{Ready: &no, Serving: &no, Terminating: &yes}

	endpoint := func(node string, conditions discoveryv1.EndpointConditions, ips ...string) discoveryv1.Endpoint {
		e := discoveryv1.Endpoint{Addresses: ips, Conditions: conditions}
		if node != "" {
			e.NodeName = &node
		}
		return e
	}
	slice := func(family discoveryv1.AddressType, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{AddressType: family, Endpoints: endpoints}
	}
	ignored := slice("IPv4", endpoint("a", ready, "10.0.0.1"))
	ignored.ObjectMeta = metav1.ObjectMeta{Labels: map[string]string{"minilb/ignore": "true"}}

	tests := []struct {
		name   string
		slices []*discoveryv1.EndpointSlice
		want   string
	}{
		{"none", nil, ""},
		{"inside", []*discoveryv1.EndpointSlice{slice("IPv4", endpoint("a", ready, "10.244.1.7")), slice("IPv6", endpoint("a", ready, "fd00:1::7"))}, ""},
		{"on the host's network", []*discoveryv1.EndpointSlice{slice("IPv4", endpoint("a", ready, "192.168.1.31"), endpoint("a", ready, "203.0.113.9"))}, ""},
		{"outside", []*discoveryv1.EndpointSlice{slice("IPv4", endpoint("a", ready, "10.0.0.9"), endpoint("a", ready, "10.0.0.7"), endpoint("a", ready, "10.244.1.7"))},
			"node a: 2 of 3 pod IPs are outside 10.244.1.0/24 and fd00:1::/64, for example 10.0.0.7"},
		{"of another family", []*discoveryv1.EndpointSlice{slice("IPv6", endpoint("b", ready, "fd00:2::7"))},
			"node b: 1 of 1 pod IPs are outside 10.244.2.0/24, for example fd00:2::7"},
		{"in another node's podCIDR", []*discoveryv1.EndpointSlice{slice("IPv4", endpoint("a", ready, "10.244.2.7"))},
			"node a: 1 of 1 pod IPs are outside 10.244.1.0/24 and fd00:1::/64, for example 10.244.2.7"},
		{"two nodes", []*discoveryv1.EndpointSlice{slice("IPv4", endpoint("b", ready, "10.0.0.2"), endpoint("a", ready, "10.0.0.1"))},
			"node a: 1 of 1 pod IPs are outside 10.244.1.0/24 and fd00:1::/64, for example 10.0.0.1\n" +
				"node b: 1 of 1 pod IPs are outside 10.244.2.0/24, for example 10.0.0.2"},
		{"the same pod behind two Services", []*discoveryv1.EndpointSlice{slice("IPv4", endpoint("b", ready, "10.0.0.2")), slice("IPv4", endpoint("b", ready, "10.0.0.2"))},
			"node b: 1 of 1 pod IPs are outside 10.244.2.0/24, for example 10.0.0.2"},
		{"draining", []*discoveryv1.EndpointSlice{slice("IPv4", endpoint("b", draining, "10.0.0.2"))},
			"node b: 1 of 1 pod IPs are outside 10.244.2.0/24, for example 10.0.0.2"},
		{"unusable", []*discoveryv1.EndpointSlice{slice("IPv4", endpoint("b", down, "10.0.0.2"), endpoint("b", gone, "10.0.0.3"))}, ""},
		{"IPv4 in IPv6", []*discoveryv1.EndpointSlice{slice("IPv6", endpoint("a", ready, "::ffff:10.244.1.7"))}, ""},
		{"further addresses", []*discoveryv1.EndpointSlice{slice("IPv4", endpoint("a", ready, "10.244.1.7", "10.0.0.1"))}, ""},
		{"Cilium's placeholder", []*discoveryv1.EndpointSlice{slice("IPv4", endpoint("a", ready, "192.192.192.192"))}, ""},
		{"without a node, address or IP", []*discoveryv1.EndpointSlice{slice("IPv4", endpoint("", ready, "10.0.0.1"), endpoint("a", ready), endpoint("a", ready, "x"))}, ""},
		{"a node without podCIDRs, ignored or unknown", []*discoveryv1.EndpointSlice{slice("IPv4", endpoint("bare", ready, "10.0.0.1"), endpoint("ignored", ready, "10.0.0.1"), endpoint("x", ready, "10.0.0.1"))}, ""},
		{"names", []*discoveryv1.EndpointSlice{slice("FQDN", endpoint("a", ready, "10.0.0.1"))}, ""},
		{"ignored slice", []*discoveryv1.EndpointSlice{ignored}, ""},
	}
	ignoredNode := node("ignored", "10.244.9.0/24", "192.168.1.39")
	ignoredNode.Labels = map[string]string{"minilb/ignore": "true"}
	nodes := []*corev1.Node{node("a", "10.244.1.0/24 fd00:1::/64", "192.168.1.31"), node("b", "10.244.2.0/24", "192.168.1.32"), node("bare", "", "192.168.1.33"), ignoredNode}

	const prefix = "pod IP outside podCIDRs; routes printed will not work: "
	for _, tc := range tests {
		seen := NewPodCollector(ReadNodes(nodes))
		for _, s := range tc.slices {
			seen.Add(s)
		}
		var lines []string
		for _, stray := range (LAN{}).Pods(withPodCIDRs(nodes)).Outside(seen.Pods()) {
			lines = append(lines, strings.TrimPrefix(stray.String(), prefix))
		}
		if got := strings.Join(lines, "\n"); got != tc.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, got, tc.want)
		}
	}
}

// R3: who may not list EndpointSlices sees no pods; any other failure is an error.
func TestReadPods(t *testing.T) {
	resource := schema.GroupResource{Group: "discovery.k8s.io", Resource: "endpointslices"}
	for want, err := range map[string]error{
		"": apierrors.NewForbidden(resource, "", errors.New("no")),
		"pod IPs not compared with podCIDRs: endpointslices: cannot list: starting": apierrors.NewServiceUnavailable("starting"),
	} {
		client := fake.NewClientset()
		client.PrependReactor("list", "endpointslices", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, err })
		pods, got := ReadPods(t.Context(), client, ReadNodes([]*corev1.Node{node("a", "10.244.1.0/24", "192.168.1.31")}))
		if len(pods) > 0 || (got != nil) != (want != "") || got != nil && got.Error() != want {
			t.Errorf("%v: got %v, %v, want error %q", err, pods, got, want)
		}
	}
}

// R3: an endpoint is unroutable outside of its node's podCIDRs, in those that are refused, and anywhere on a node without
// any but on the node's own network.
func TestUnroutable(t *testing.T) {
	nodes := []*corev1.Node{
		node("a", "10.244.1.0/24", "192.168.1.31"), node("bare", "", "192.168.1.33"), node("same", "10.244.1.0/24 10.244.2.0/24", "192.168.1.34"),
		node("wide", "192.168.0.0/16", "192.168.1.35"), node("hidden", "10.244.3.0/24 fd00:3::/64", "192.168.1.36"),
	}
	slice := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4}
	for _, on := range []struct{ node, ip string }{{"a", "10.244.1.7"}, {"a", "10.0.0.1"}, {"bare", "10.0.0.2"}, {"bare", "192.168.1.33"}, {"unknown", "10.0.0.3"},
		{"same", "10.244.1.8"}, {"same", "10.244.2.8"}, {"wide", "192.168.7.8"}, {"wide", "192.168.1.35"}, {"hidden", "10.244.3.8"}, {"hidden", "fd00:3::8"}} {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{on.ip}, NodeName: &on.node})
	}
	pods := LAN{}.Pods(withPodCIDRs(nodes))
	got, total := pods.Unroutable(slice)
	want := []UnroutableEndpoint{
		{Addr: netip.MustParseAddr("10.0.0.1"), Node: "a", PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")}},
		{Addr: netip.MustParseAddr("10.0.0.2"), Node: "bare"},
		{Addr: netip.MustParseAddr("10.244.1.8"), Node: "same", PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("10.244.2.0/24")}, Problem: "podCIDR 10.244.1.0/24 is also that of node a"},
		{Addr: netip.MustParseAddr("192.168.7.8"), Node: "wide", PodCIDRs: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}, Problem: "podCIDR 192.168.0.0/16 contains 192.168.1.31, the InternalIP of node a: a route would cut it off"},
		{Addr: netip.MustParseAddr("fd00:3::8"), Node: "hidden", PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.3.0/24"), netip.MustParsePrefix("fd00:3::/64")}, Problem: "no IPv6 InternalIP for fd00:3::/64"},
	}
	if total != 10 || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v of %d, want %+v of 10", got, total, want)
	}
	seen := NewPodCollector(ReadNodes(nodes))
	seen.Add(slice)
	if strays := pods.Outside(seen.Pods()); len(strays) != 1 || strays[0].Node != "a" { // the others have their pods where their podCIDRs are
		t.Errorf("got strays %+v", strays)
	}
}

// R20: a right that is missing is named before what else may be wrong.
func TestOutsideHint(t *testing.T) {
	for want, choice := range map[string]podnetworks.Choice{
		"this account may not list ciliumnodes.cilium.io, which": {Provider: podnetworks.PodCIDRs, Unread: []string{"ciliumnodes.cilium.io"}},
		"the CNI does not use the nodes' podCIDRs: see":          {Provider: podnetworks.PodCIDRs},
		"these pods do not get their addresses from calico: ":    {Provider: podnetworks.Calico},
	} {
		if got := OutsideHint(choice); !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
