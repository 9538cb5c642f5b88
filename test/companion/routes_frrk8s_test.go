package companion_test

import (
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// An API server with the definition of frr-k8s takes what -o frr-k8s prints, of both families beside each other, and keeps every
// field of it.
func TestFRRK8s(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	ctx := t.Context()
	kubeconfig := harness.ShippedAccounts(t, c).Controller
	definition, err := cluster.FRRK8s(ctx)
	harness.Must(t, err)
	harness.ApplyTogether(t, c, definition)
	var want []string
	for i := range 2 {
		name := fmt.Sprintf("node%d", i+1)
		harness.Must(t, c.Node(ctx, name, fmt.Sprintf("192.168.1.3%d", i+1), fmt.Sprintf("2001:db8::3%d", i+1)))
		cidrs, err := c.NodePodCIDRs(ctx, name)
		harness.Must(t, err)
		want = append(want, fmt.Sprintf("minilb-ipv4-%[1]s %[1]s 64512 192.168.1.1 [%[2]s] [%[2]s]", name, cidrs[0]), fmt.Sprintf("minilb-ipv6-%[1]s %[1]s 4200000000 2001:db8::1 [%[2]s] [%[2]s]", name, cidrs[1]))
	}
	for _, args := range [][]string{{"-gateway", "192.168.1.1"}, {"-gateway", "2001:db8::1", "-asn", "4200000000"}} {
		out, err := harness.Minilb(t, append([]string{"routes", "-kubeconfig", kubeconfig, "-o", "frr-k8s"}, args...)...).Output()
		harness.Must(t, err)
		harness.Must(t, c.Apply(ctx, string(out))) // it refuses unknown fields
	}
	list, err := c.Dynamic.Resource(schema.GroupVersionResource{Group: "frrk8s.metallb.io", Version: "v1beta1", Resource: "frrconfigurations"}).List(ctx, metav1.ListOptions{})
	harness.Must(t, err)
	var got []string
	for _, item := range list.Items {
		node, _, _ := unstructured.NestedString(item.Object, "spec", "nodeSelector", "matchLabels", "kubernetes.io/hostname")
		routers, _, _ := unstructured.NestedSlice(item.Object, "spec", "bgp", "routers")
		router := routers[0].(map[string]any)
		neighbor := router["neighbors"].([]any)[0].(map[string]any)
		prefixes, _, _ := unstructured.NestedSlice(neighbor, "toAdvertise", "allowed", "prefixes")
		got = append(got, fmt.Sprint(item.GetName(), " ", node, " ", router["asn"], " ", neighbor["address"], " ", router["prefixes"], " ", prefixes))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
