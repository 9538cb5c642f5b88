package controller

import (
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
)

// What one look at all endpoints finds, whichever comes first. R3, S5
func TestScan(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Spec: corev1.NodeSpec{PodCIDRs: []string{"10.244.1.0/24", "fd00:1::/64"}}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.168.1.31"}}}}
	slice := func(service string, ports []int32, addresses ...string) *discoveryv1.EndpointSlice {
		s := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: service + "-" + strings.Join(addresses, "-"), Labels: map[string]string{discoveryv1.LabelServiceName: service}},
			AddressType: discoveryv1.AddressTypeIPv4,
		}
		for n, port := range ports {
			name := []string{"a", "b", "c", "d", "e"}[n]
			s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: &name, Port: &port})
		}
		for _, address := range addresses {
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}, NodeName: &node.Name})
		}
		return s
	}
	const (
		stray  = "Warning Service shop/web NoRoutableEndpoint: The routes do not lead to "
		where  = ", which is outside 10.244.1.0/24 and fd00:1::/64 of node n1: "
		ports  = "Warning Service shop/web TargetPortMismatch: "
		fix    = "; make port and targetPort the same, or let clients look up SRV records"
		leads  = ", and nothing translates it: clients must use "
		inside = "10.244.1.7"
	)
	for _, tc := range []struct {
		name   string
		slices []*discoveryv1.EndpointSlice
		want   []string // beginnings
	}{
		{"nothing", nil, nil},
		{"inside", []*discoveryv1.EndpointSlice{slice("web", nil, inside)}, nil},
		{"some outside", []*discoveryv1.EndpointSlice{slice("web", nil, inside), slice("web", nil, "10.0.0.9", "10.0.0.10"), slice("web", nil, "10.0.0.11")}, []string{stray + "some endpoints, for example 10.0.0.9" + where}},
		{"some outside, in another order", []*discoveryv1.EndpointSlice{slice("web", nil, "10.0.0.11", "10.0.0.10"), slice("web", nil, "10.0.0.9"), slice("web", nil, inside)}, []string{stray + "some endpoints, for example 10.0.0.9" + where}},
		{"all outside", []*discoveryv1.EndpointSlice{slice("web", nil, "10.0.0.9"), slice("web", nil, "10.0.0.8")}, []string{stray + "any endpoint, for example 10.0.0.8" + where}},
		{"of another Service", []*discoveryv1.EndpointSlice{slice("api", nil, "10.0.0.9"), slice("foreign", nil, "10.0.0.9"), slice("", nil, "10.0.0.9")}, nil},
		{"ports as they should be", []*discoveryv1.EndpointSlice{slice("web", []int32{80, 81, 82, 83, 84}, inside)}, nil},
		{"ports", []*discoveryv1.EndpointSlice{slice("web", []int32{90, 91, 92, 93, 94}, inside)}, []string{
			ports + "Port 80 (a) leads to port 90 of the pods" + leads + "90" + fix, ports + "Port 81 (b) leads to port 91 of the pods" + leads + "91" + fix,
			ports + "Port 82 (c) leads to port 92 of the pods" + leads + "92" + fix, ports + "Port 83 (d) leads to port 93 of the pods" + leads + "93" + fix,
			ports + "Port 84 (e) leads to port 94 of the pods" + leads + "94" + fix}},
		{"ports of no pods", []*discoveryv1.EndpointSlice{slice("web", []int32{90})}, nil},
		{"no route to their podCIDR", []*discoveryv1.EndpointSlice{slice("web", nil, inside, "fd00:1::7")}, []string{stray + "some endpoints, for example fd00:1::7, which is on node n1, and there is no route: no IPv6 InternalIP for fd00:1::/64"}},
		{"both", []*discoveryv1.EndpointSlice{slice("web", []int32{90}, "10.0.0.9")}, []string{stray + "any endpoint, for example 10.0.0.9", ports + "Port 80 (a) leads to port 90"}},
	} {
		c, _ := recording(t)
		full := web(1, "web.shop.minilb")
		for n, name := range []string{"a", "b", "c", "d", "e"} {
			full.Spec.Ports = append(full.Spec.Ports, corev1.ServicePort{Name: name, Port: 80 + int32(n), TargetPort: intstr.FromString(name)})
		}
		foreign := web(1, "")
		foreign.Name, *foreign.Spec.LoadBalancerClass, foreign.Status.LoadBalancer.Ingress, foreign.Annotations = "foreign", "metallb", nil, map[string]string{"minilb/host": "x"}
		c.services[0].Add(full)
		c.services[0].Add(foreign)
		client := c.client.(*fake.Clientset)
		if err := client.Tracker().Add(node); err != nil {
			t.Fatal(err)
		}
		client.PrependReactor("list", "endpointslices", func(clienttesting.Action) (bool, runtime.Object, error) {
			list := &discoveryv1.EndpointSliceList{}
			for _, s := range tc.slices {
				list.Items = append(list.Items, *s)
			}
			return true, list, nil
		})
		for range 2 { // the second look finds the same
			if err := c.scanOnce(t.Context()); err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
		}
		got := found(c.recorder)
		if !slices.EqualFunc(got, tc.want, strings.HasPrefix) {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
		}
	}
}

// What was found of a Service that goes while endpoints are read is forgotten, and what cannot be read
// changes nothing.
func TestScanMeanwhile(t *testing.T) {
	c, _ := recording(t)
	full, name := web(1, "web.shop.minilb"), "n1"
	c.services[0].Add(full)
	client := c.client.(*fake.Clientset)
	if err := client.Tracker().Add(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		t.Fatal(err)
	}
	var refused map[string]error
	gone := false
	client.PrependReactor("list", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		resource := action.GetResource().Resource
		if err := refused[resource]; err != nil || resource != "endpointslices" {
			return err != nil, nil, err
		}
		if gone {
			defer func() { // between the endpoints and what is made of them
				c.services[0].Delete(full)
				c.recordProblems(cache.MetaObjectToName(full), nil)
			}()
		}
		return true, &discoveryv1.EndpointSliceList{Items: []discoveryv1.EndpointSlice{{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.9"}, NodeName: &name}},
		}}}, nil
	})
	if err := c.scanOnce(t.Context()); err != nil || len(c.recorder.Problems()) != 1 {
		t.Fatalf("got %q, %v", found(c.recorder), err)
	}
	for _, resource := range []string{"nodes", "endpointslices"} {
		refused = map[string]error{resource: apierrors.NewServiceUnavailable("starting")}
		if err := c.scanOnce(t.Context()); err == nil || len(c.recorder.Problems()) != 1 {
			t.Errorf("without %s: got %q, %v", resource, found(c.recorder), err)
		}
	}
	refused = map[string]error{"nodes": apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", errors.New("no"))}
	other := web(1, "")
	other.Name, other.UID, other.Spec.Selector = "other", "uid-2", map[string]string{"app": "x"}
	c.services[0].Add(other)
	c.scan.delay = 0
	added, _ := c.services[0].Get(cache.MetaObjectToName(other))
	c.recordProblems(added.name, added)
	if err := c.scanOnce(t.Context()); err == nil || !strings.Contains(strings.Join(found(c.recorder), "\n"), "shop/other NoEndpoints") || len(c.recorder.Problems()) != 2 {
		t.Errorf("without nodes: got %q, %v, want what does not depend on them", found(c.recorder), err)
	}
	c.services[0].Delete(other)
	c.recordProblems(cache.MetaObjectToName(other), nil)
	refused, gone = nil, true
	if err := c.scanOnce(t.Context()); err != nil || len(c.recorder.Problems()) != 0 {
		t.Errorf("got %q, %v", found(c.recorder), err)
	}
}
