package controller

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// L1: a Service that its label exposes has Events as one of ours has, but for fields that have an effect within the cluster, and its
// status is never written.
func TestLabelled(t *testing.T) {
	c, _ := recording(t)
	c.follow(c.cluster.LabelledServices(metav1.NamespaceAll)) // as with Events
	plain := web(1, "")
	plain.Spec.Type, plain.Spec.LoadBalancerClass, plain.Labels = corev1.ServiceTypeClusterIP, nil, map[string]string{lb.ExposeLabel: "true"}
	plain.Spec.ExternalIPs, plain.Spec.SessionAffinity = []string{"192.0.2.1"}, corev1.ServiceAffinityClientIP
	plain.Spec.Ports = []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}
	other := web(1, "")
	other.Name, other.UID, *other.Spec.LoadBalancerClass, other.Labels = "other", "o", "metallb", plain.Labels
	c.services[1].Add(plain)
	c.services[0].Add(other)
	c.client.(*fake.Clientset).PrependReactor("list", "endpointslices", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &discoveryv1.EndpointSliceList{Items: []discoveryv1.EndpointSlice{{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			AddressType: discoveryv1.AddressTypeIPv4,
		}}}, nil
	})
	for _, s := range []*corev1.Service{plain, other} {
		if err := c.sync(t.Context(), cache.MetaObjectToName(s)); err != nil {
			t.Fatal(err)
		}
	}
	c.scan.delay = 0
	if err := c.scanOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := found(c.recorder)
	for _, want := range []string{"Warning Service shop/web TargetPortMismatch: ", "Warning Service shop/web NoEndpoints: ", "Warning Service shop/other NoEndpoints: "} {
		if !slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("got\n%s\nwant %q", strings.Join(got, "\n"), want)
		}
	}
	if len(got) != 3 {
		t.Errorf("got\n%s\nwant three", strings.Join(got, "\n"))
	}
	for _, action := range c.client.(*fake.Clientset).Actions() {
		if action.GetVerb() == "patch" {
			t.Errorf("it writes: %v", action)
		}
	}
	if n := c.count((*service).ours); n != 0 {
		t.Errorf("%d Services have a status that is ours to write, want none", n)
	}
}
