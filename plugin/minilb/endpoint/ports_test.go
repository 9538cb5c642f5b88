package endpoint

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/plugin/minilb/object"
)

// Ports cost no more than there are: the addresses of those that not all endpoints have are kept
// once for all ports of the same slices, and are bounded whatever the slices are like (C5: in any order).
func TestManyPorts(t *testing.T) {
	sliceOf := func(number, ports, endpoints int) *object.EndpointSlice {
		obj := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprint("web-", number), Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			AddressType: discoveryv1.AddressTypeIPv4,
		}
		for i := range ports {
			obj.Ports = append(obj.Ports, discoveryv1.EndpointPort{Name: new(fmt.Sprintf("p%d-%d", number, i)), Port: new(int32(i + 1))})
		}
		for i := range endpoints {
			obj.Endpoints = append(obj.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.%d.%d.%d", number, i/250, i%250)}})
		}
		return object.NewEndpointSlice(obj, &object.Fields{})
	}
	one := sliceOf(1, 20_000, 1000)
	if len(one.Ports) != 1024 || len(one.Problems) != 1 || one.Problems[0].Text != "it has 20000 ports; only the first 1024 are known by their names" {
		t.Errorf("got %d ports and problems %v", len(one.Ports), one.Problems)
	}
	all := []*object.EndpointSlice{one}
	for i := range 9 {
		all = append(all, sliceOf(2+i, 1024, 1000))
	}
	lists := func(of []*object.EndpointSlice) map[*netip.Addr]int {
		u, _ := Of(of)
		lists := map[*netip.Addr]int{}
		for _, p := range u.namedPorts(nil, "") {
			lists[&p.Addrs[0]] += 1
			if len(p.Addrs) != 1000 {
				t.Fatalf("%v has %d endpoints", p, len(p.Addrs))
			}
		}
		return lists
	}
	if got := lists(all); len(got) != 10 {
		t.Errorf("10 slices with ports of their own have %d lists of addresses, want one each", len(got))
	}

	// Each port is in slices of its own choice.
	var mixed []*object.EndpointSlice
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 30 {
		s := sliceOf(i, 0, 1000)
		for p := range 1024 {
			if random.IntN(3) > 0 {
				s.Ports = append(s.Ports, object.Port{Proto: "_tcp", Service: fmt.Sprintf("_p%04d", p), Number: 80})
			}
		}
		mixed = append(mixed, s)
	}
	count := func() (addrs int, names string) {
		u, _ := Of(mixed)
		for _, p := range u.namedPorts(nil, "") {
			addrs += len(p.Addrs) // no two have the same slices
			names += p.Service
		}
		return addrs, names
	}
	addrs, names := count()
	slices.Reverse(mixed)
	again, reversed := count()
	if addrs > 2*object.MaxPortAddrs || addrs < object.MaxPortAddrs || addrs != again || names != reversed {
		t.Errorf("%d addresses are kept of the ports, %d in another order of the slices", addrs, again)
	}
}
