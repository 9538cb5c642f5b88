package podnetworks

import (
	"net/netip"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

// cluster has what is said of pod networks, by lines: "podcidrs a 10.0.0.0/24", or a kind's group and resource instead of the
// provider; and where pods are: "pod a 10.0.0.7".
func cluster(t *testing.T, lines string) (map[string]Node, Found, []Pod) {
	t.Helper()
	nodes, found, pods := map[string]Node{}, Found{Objects: map[schema.GroupVersionResource][]*Object{}}, []Pod(nil)
	for line := range strings.SplitSeq(lines, "; ") {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
			continue
		case fields[0] == "unread":
			found.Unread = append(found.Unread, fields[1])
			continue
		case fields[0] == "pod":
			pods = append(pods, Pod{netip.MustParseAddr(fields[2]), fields[1]})
			continue
		}
		said := list(PodCIDRs, fields[1], fields[2:])
		for _, k := range kinds {
			if k.resource.GroupResource().String() == fields[0] {
				name := cache.ObjectName{Name: strings.NewReplacer("/", "-", ".", "-").Replace(strings.Join(fields[1:], "-"))}
				found.Objects[k.resource] = append(found.Objects[k.resource], &Object{name, said})
			}
		}
		if nodes[fields[1]] == nil {
			nodes[fields[1]] = Node{}
		}
		if provider, err := ProviderByName(fields[0]); err == nil {
			nodes[fields[1]][provider] = said
		}
	}
	return nodes, found, pods
}

// R3, R20
func TestChoose(t *testing.T) {
	const (
		cidrs  = "podcidrs a 10.244.0.0/24; podcidrs b 10.244.1.0/24"
		cilium = "; ciliumnodes.cilium.io a 10.0.0.0/24; ciliumnodes.cilium.io b 10.0.1.0/24"
		calico = "; blockaffinities.crd.projectcalico.org a 10.9.0.0/26; blockaffinities.crd.projectcalico.org b 10.9.0.64/26"
		v3     = "; blockaffinities.projectcalico.org a 10.9.0.64/26; blockaffinities.projectcalico.org b 10.9.0.0/26"
	)
	for _, tc := range []struct {
		name, cluster string
		provider      Provider
		want          string // the line, then "proven" and the networks
	}{
		{"podCIDRs, no pods", cidrs, Auto, "podcidrs: nothing else says which networks pods have, and there is no pod to compare | a 10.244.0.0/24, b 10.244.1.0/24"},
		{"podCIDRs", cidrs + "; pod a 10.244.0.7", Auto, "podcidrs: nothing else says which networks pods have; 1 of 1 pod IPs are in its networks of their nodes | proven a 10.244.0.0/24, b 10.244.1.0/24"},
		{"podCIDRs that are not used", cidrs + "; pod a 10.0.0.7", Auto, "podcidrs: nothing else says which networks pods have; 0 of 1 pod IPs are in its networks of their nodes | a 10.244.0.0/24, b 10.244.1.0/24"},
		{"Cilium", cidrs + cilium + "; pod a 10.0.0.7; pod b 10.0.1.7", Auto, "cilium: 2 of 2 pod IPs are in its networks of their nodes (podcidrs 0) | proven a 10.0.0.0/24, b 10.0.1.0/24"},
		{"Cilium's CRD of before", cidrs + cilium + "; pod a 10.244.0.7", Auto, "podcidrs: 1 of 1 pod IPs are in its networks of their nodes (cilium 0) | proven a 10.244.0.0/24, b 10.244.1.0/24"},
		{"Cilium, no pods", cidrs + cilium, Auto, "cilium: it has networks, and no pod proves them or others | a 10.0.0.0/24, b 10.0.1.0/24"},
		{"the same, the other way round", "podcidrs a 10.0.1.0/24; podcidrs b 10.0.0.0/24" + cilium + "; pod a 10.0.0.7", Auto, "cilium: 1 of 1 pod IPs are in its networks of their nodes (podcidrs 0) | proven a 10.0.0.0/24, b 10.0.1.0/24"},
		{"Calico", cidrs + calico + "; pod a 10.9.0.7; pod b 10.9.0.70; pod b 10.9.0.8", Auto,
			"calico: 2 of 3 pod IPs are in its networks of their nodes, 1 in those of others (podcidrs 0) | a 10.9.0.0/26, b 10.9.0.64/26"},
		{"Calico, both groups", cidrs + calico + v3 + "; pod a 10.9.0.7", Auto, "calico: 1 of 1 pod IPs are in its networks of their nodes (calico (projectcalico.org) 0, podcidrs 0) | proven a 10.9.0.0/26, b 10.9.0.64/26"},
		{"Calico, the other group", cidrs + calico + v3 + "; pod a 10.9.0.70", Auto, "calico (projectcalico.org): 1 of 1 pod IPs are in its networks of their nodes (calico 0, podcidrs 0) | proven a 10.9.0.64/26, b 10.9.0.0/26"},
		{"OVN-Kubernetes", cidrs + "; ovn a 10.128.0.0/23; pod a 10.128.1.7", Auto, "ovn: 1 of 1 pod IPs are in its networks of their nodes (podcidrs 0) | proven a 10.128.0.0/23"},
		{"kube-router, by one node's annotation", cidrs + "; kube-router a 10.99.0.0/24; pod a 10.99.0.7", Auto, "kube-router: 1 of 1 pod IPs are in its networks of their nodes (podcidrs 0) | proven a 10.99.0.0/24, b 10.244.1.0/24"},
		{"forbidden", cidrs + "; unread ciliumnodes.cilium.io; pod a 10.244.0.7", Auto,
			"podcidrs: nothing else says which networks pods have; 1 of 1 pod IPs are in its networks of their nodes, and this account may not list ciliumnodes.cilium.io | proven a 10.244.0.0/24, b 10.244.1.0/24"},
		{"as asked for", cidrs + cilium + "; pod a 10.0.0.7", PodCIDRs, "podcidrs: as -pods says | a 10.244.0.0/24, b 10.244.1.0/24"},
		{"nothing as asked for", cidrs, Cilium, "cilium: as -pods says | "},
		{"nothing", "", Auto, "podcidrs: nothing else says which networks pods have, and there is no pod to compare | "},
	} {
		nodes, found, pods := cluster(t, tc.cluster)
		choice := Choose(tc.provider, nodes, found, pods)
		got := strings.TrimPrefix(choice.String(), "pod networks: ") + " | "
		if choice.Proven {
			got += "proven "
		}
		if got += (Assignment{Networks: choice.Networks}).text(); got != tc.want {
			t.Errorf("%s: got\n%s, want\n%s", tc.name, got, tc.want)
		}
		if again := choice.Refreshed(nodes, found); (Assignment{Networks: again.Networks}).text() != (Assignment{Networks: choice.Networks}).text() || again.Why != choice.Why {
			t.Errorf("%s: again %+v", tc.name, again)
		}
	}
}

// What is malformed is said with the object, and costs nothing else.
func TestMalformed(t *testing.T) {
	nodes, found, _ := cluster(t, "ciliumnodes.cilium.io a 10.0.0.0/24 x")
	choice := Choose(Auto, nodes, found, nil)
	if len(choice.Networks) != 1 || len(choice.Malformed) != 1 || choice.Malformed[0].String() != `CiliumNode a-10-0-0-0-24-x: podCIDR "x" is malformed` {
		t.Errorf("got %+v", choice)
	}
}
