package endpoint

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// E9, D40, D41: endpoints have the ports of the slices they are in; those that are not answered
// with have none, and a port without any endpoint is there all the same.
func TestEndpointNames(t *testing.T) {
	one, two, three, gone := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::3"), netip.MustParseAddr("10.0.0.9")
	https, metrics, idle := object.Port{Proto: "_tcp", Service: "_https", Number: 8443}, object.Port{Proto: "_tcp", Service: "_metrics", Number: 9090}, object.Port{Proto: "_udp", Service: "_idle", Number: 7}
	u, _ := Of([]*object.EndpointSlice{
		{Ports: []object.Port{https, metrics}, Endpoints: object.Pack([]object.Endpoint{{Addr: one, Hostname: "db-0", Conditions: object.Ready | object.Serving}, {Addr: gone, Hostname: "db-9"}})},
		{Ports: []object.Port{https}, Endpoints: object.Pack([]object.Endpoint{{Addr: two, Conditions: object.Ready | object.Serving}, {Addr: one, Conditions: object.Ready | object.Serving}})},
		{Ports: []object.Port{https}, Endpoints: object.Pack([]object.Endpoint{{Addr: three, Conditions: object.Ready | object.Serving}})},
		{Ports: []object.Port{idle, {Proto: "_tcp", Service: "_", Number: 80}, {Proto: "_sctp", Service: "_" + strings.Repeat("p", 63), Number: 81}}, Endpoints: object.Pack([]object.Endpoint{{Addr: gone}})},
	})
	addresses := Addresses(new(config.Options), &u, object.ServicePorts{})
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

// E8: an entry takes the place of another where both slices have the same ports, in whichever order.
func TestEntriesOfOtherPorts(t *testing.T) {
	addr := netip.MustParseAddr("10.0.0.7")
	http, metrics := object.Port{Proto: "_tcp", Service: "_http", Number: 8080}, object.Port{Proto: "_tcp", Service: "_metrics", Number: 9090}
	for _, tc := range []struct {
		old, new []object.Port
		want     int
	}{{[]object.Port{http, metrics}, []object.Port{metrics, http}, 0}, {[]object.Port{http}, []object.Port{http, metrics}, 1}, {[]object.Port{http, metrics}, []object.Port{http}, 1}} {
		drains := &object.EndpointSlice{Ports: tc.old, Endpoints: object.Pack([]object.Endpoint{{Addr: addr, Conditions: object.Serving | object.Terminating}})}
		waits := &object.EndpointSlice{Ports: tc.new, Endpoints: object.Pack([]object.Endpoint{{Addr: addr}})}
		for _, all := range [][]*object.EndpointSlice{{drains, waits}, {waits, drains}} {
			if u, _ := Of(all); len(u.Entries) != tc.want {
				t.Errorf("%v drains, %v waits: %d are usable, want %d", tc.old, tc.new, len(u.Entries), tc.want)
			}
		}
	}
}
