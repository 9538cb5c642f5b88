package routes

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
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
	"github.com/minilb/minilb/plugin/minilb/kube"
)

// Nodes and EndpointSlices are read to the last page, and why they cannot be is told.
func TestReadPages(t *testing.T) {
	const pages = 3
	client := fake.NewClientset()
	page := func(action clienttesting.Action) (int, string) {
		n, _ := strconv.Atoi(action.(clienttesting.ListActionImpl).ListOptions.Continue)
		if n == pages-1 {
			return n, ""
		}
		return n, strconv.Itoa(n + 1)
	}
	client.PrependReactor("list", "nodes", func(action clienttesting.Action) (bool, runtime.Object, error) {
		n, next := page(action)
		return true, &corev1.NodeList{ListMeta: metav1.ListMeta{ResourceVersion: "1", Continue: next}, Items: []corev1.Node{*node("n"+strconv.Itoa(n), "10.244."+strconv.Itoa(n)+".0/24", "192.168.1.31")}}, nil
	})
	client.PrependReactor("list", "endpointslices", func(action clienttesting.Action) (bool, runtime.Object, error) {
		n, next := page(action)
		name := "n" + strconv.Itoa(n)
		return true, &discoveryv1.EndpointSliceList{ListMeta: metav1.ListMeta{Continue: next}, Items: []discoveryv1.EndpointSlice{{
			AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0." + strconv.Itoa(n)}, NodeName: &name}},
		}}}, nil
	})
	nodes, err := ListNodes(t.Context(), client)
	if err != nil || len(nodes) != pages || nodes[pages-1].name != "n2" {
		t.Fatalf("got %v, %v", nodes, err)
	}
	pods, err := ReadPods(t.Context(), client, nodes)
	lan, nodes, _ := LAN{}.Assign(nodes, podnetworks.Found{}, pods)
	strays := lan.Pods(nodes).Outside(pods)
	if err != nil || len(strays) != pages {
		t.Fatalf("got %v, %v", strays, err)
	}
	for n := range pages {
		if strays[n].Node != "n"+strconv.Itoa(n) || strays[n].Outside != 1 || strays[n].Total != 1 {
			t.Errorf("got %+v", strays[n])
		}
	}

	client = fake.NewClientset()
	client.PrependReactor("list", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: action.GetResource().Resource}, "", errors.New("no"))
	})
	_, err = ListNodes(t.Context(), client)
	for resource, err := range map[string]error{"nodes": err, "endpointslices": EachSlice(t.Context(), client, func(*discoveryv1.EndpointSlice) {})} {
		if failure, is := errors.AsType[*kube.Error](err); !is || failure.Kind != kube.Forbidden || !strings.HasPrefix(failure.Text, resource+": list is forbidden") {
			t.Errorf("%s: got %v", resource, err)
		}
	}
}

// R7b: whoever may create Nodes makes each as large as he likes. They are read in small pages, of which nothing is left
// but what is read of a Node, and that is bounded; what is left out of it is told of.
func TestReadLarge(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	full := aged(1, "a", "10.244.0.0/24 "+large, "192.168.1.30 "+large)
	full.UID, full.ResourceVersion, full.Annotations = "u", "1", map[string]string{"a": large}
	full.Labels = map[string]string{"minilb/ignore": "true", "zone": large}
	full.Spec.ProviderID, full.Spec.Taints = large, []corev1.Taint{{Key: large}}
	full.Status.Images, full.Status.NodeInfo.KernelVersion = []corev1.ContainerImage{{Names: []string{large}}}, large
	many := node("b", "10.244.1.0/24", "")
	for i := range 1000 {
		address := fmt.Sprintf("192.168.%d.%d", i/250, i%250+1)
		many.Status.Addresses = append(many.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: address}, corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: address})
	}
	client := fake.NewClientset()
	client.PrependReactor("list", "nodes", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if limit := action.(clienttesting.ListActionImpl).ListOptions.Limit; limit != 10 {
			t.Errorf("asked for %d", limit)
		}
		return true, &corev1.NodeList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}, Items: []corev1.Node{*full, *many}}, nil
	})
	nodes, err := ListNodes(t.Context(), client)
	if err != nil || len(nodes) != 2 {
		t.Fatalf("got %v, %v", nodes, err)
	}
	want := read(aged(1, "a", "10.244.0.0/24 "+large[:64], "192.168.1.30 "+large[:64]))
	want.ignored = true
	if !reflect.DeepEqual(nodes[0], want) || len(nodes[0].problems)+len(nodes[0].own[podnetworks.PodCIDRs].Malformed) != 2 {
		t.Errorf("kept %.2000v", nodes[0])
	}
	for name, m := range map[string]*Node{"of a list": nodes[1], "of a watch": read(many)} {
		if len(m.ips) != 64 || m.ips[63].String() != "192.168.0.64" || len(m.problems) != 1 || m.problems[0].Problem != "more than 64 InternalIPs: the others are left out" || m.problems[0].Kind != MalformedIP {
			t.Errorf("%s: got %d InternalIPs and %+v", name, len(m.ips), m.problems)
		}
	}
	if n := len(nodes[1].addresses); n != 127 { // 64 InternalIPs, and of 64 others one is a name
		t.Errorf("kept %d addresses", n)
	}
}
