package translator

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

func pointer[T any](v T) *T { return &v }

// E9, D40, D41: endpoints have the ports of the slices they are in; those that are not answered
// with have none, and a port without any endpoint is there all the same.
func TestEndpointNames(t *testing.T) {
	one, two, three, gone := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::3"), netip.MustParseAddr("10.0.0.9")
	https, metrics, idle := object.Port{Proto: "_tcp", Service: "_https", Number: 8443}, object.Port{Proto: "_tcp", Service: "_metrics", Number: 9090}, object.Port{Proto: "_udp", Service: "_idle", Number: 7}
	addresses, _ := answer([]*object.EndpointSlice{
		{Ports: []object.Port{https, metrics}, Endpoints: object.Pack([]object.Endpoint{{Addr: one, Hostname: "db-0", Conditions: object.Ready | object.Serving}, {Addr: gone, Hostname: "db-9"}})},
		{Ports: []object.Port{https}, Endpoints: object.Pack([]object.Endpoint{{Addr: two, Conditions: object.Ready | object.Serving}, {Addr: one, Conditions: object.Ready | object.Serving}})},
		{Ports: []object.Port{https}, Endpoints: object.Pack([]object.Endpoint{{Addr: three, Conditions: object.Ready | object.Serving}})},
		{Ports: []object.Port{idle, {Proto: "_tcp", Service: "_", Number: 80}, {Proto: "_sctp", Service: "_" + strings.Repeat("p", 63), Number: 81}}, Endpoints: object.Pack([]object.Endpoint{{Addr: gone}})},
	})
	want := records.NewAddresses(one, two, three)
	want.Endpoints = records.NewEndpoints(want, []records.Host{{Label: "db-0", Addr: one}}, []records.Port{
		{Proto: "_tcp", Service: "_https", Number: 8443},
		{Proto: "_tcp", Service: "_metrics", Number: 9090, Labels: []string{"db-0"}},
		{Proto: "_udp", Service: "_idle", Addrs: []netip.Addr{}},
	})
	if !addresses.Equal(want) {
		t.Errorf("got  %+v\nwant %+v", addresses, want)
	}
}

// Ports cost no more than there are: the addresses of those that not all endpoints have are kept
// once for all ports of the same slices, and are bounded whatever the slices are like (C5: in any order).
func TestManyPorts(t *testing.T) {
	sliceOf := func(number, ports, endpoints int) *object.EndpointSlice {
		obj := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprint("web-", number), Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			AddressType: discoveryv1.AddressTypeIPv4,
		}
		for i := range ports {
			obj.Ports = append(obj.Ports, discoveryv1.EndpointPort{Name: pointer(fmt.Sprintf("p%d-%d", number, i)), Port: pointer(int32(i + 1))})
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
		u, _ := usableOf(of)
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
	random := seeded(t)
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
		u, _ := usableOf(mixed)
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

// The ports of a Service, as many as are kept, count for whether it is merged at once.
func TestManyPortsOfService(t *testing.T) {
	var ports []corev1.ServicePort
	for i := range 20_000 {
		ports = append(ports, corev1.ServicePort{Name: fmt.Sprint("p", i), Port: int32(i + 1)})
	}
	var endpoints []string
	for i := range atOnce - 1024 + 2 {
		endpoints = append(endpoints, fmt.Sprintf("10.0.%d.%d RSt", i/250, i%250))
	}
	for _, tc := range []struct {
		ports int
		due   int
	}{{0, 0}, {20_000, 1}} {
		b := newBench(t, config.Options{})
		b.services().Update(httpsService(nil, ports[:tc.ports]...))
		b.watcher.EndpointSlices("").Update(serviceSlice("shop/web", "web-1", endpoints...))
		if got := len(b.tr.services.state.due); got != tc.due {
			t.Errorf("with %d ports: %d Services are merged aside, want %d", tc.ports, got, tc.due)
		}
	}
}
