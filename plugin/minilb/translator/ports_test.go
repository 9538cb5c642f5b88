package translator

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

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
