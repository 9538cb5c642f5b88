package source

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/minilb/minilb/plugin/minilb/records"
)

func pointer[T any](v T) *T { return &v }

// D41: a port has a number, and a name in DNS if it has a name; the protocol is TCP if none is said.
func TestReducePorts(t *testing.T) {
	got := reducePorts([]discoveryv1.EndpointPort{
		{Name: pointer("https"), Port: pointer[int32](8443)},
		{Name: pointer("dns"), Protocol: pointer(corev1.ProtocolUDP), Port: pointer[int32](53)},
		{Name: pointer("SIP"), Protocol: pointer(corev1.ProtocolSCTP), Port: pointer[int32](65535)},
		{Name: pointer(""), Port: pointer[int32](1)}, {Port: pointer[int32](2)}, {Name: pointer("none")}, {},
		{Name: pointer("zero"), Port: pointer[int32](0)}, {Name: pointer("much"), Port: pointer[int32](65536)}, {Name: pointer("less"), Port: pointer[int32](-1)},
	})
	want := []port{{"_tcp", "_https", 8443}, {"_udp", "_dns", 53}, {"_sctp", "_sip", 65535}, {"_tcp", unnamed, 1}, {"_tcp", unnamed, 2}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// E9, D40, D41: endpoints have the ports of the slices they are in; those that are not answered
// with have none, and a port without any endpoint is there all the same.
func TestEndpointNames(t *testing.T) {
	one, two, three, gone := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::3"), netip.MustParseAddr("10.0.0.9")
	https, metrics, idle := port{"_tcp", "_https", 8443}, port{"_tcp", "_metrics", 9090}, port{"_udp", "_idle", 7}
	addresses, _ := answer([]*slice{
		{ports: []port{https, metrics}, endpoints: pack([]endpoint{{addr: one, hostname: "db-0", conditions: isReady | isServing}, {addr: gone, hostname: "db-9"}})},
		{ports: []port{https}, endpoints: pack([]endpoint{{addr: two, conditions: isReady | isServing}, {addr: one, conditions: isReady | isServing}})},
		{ports: []port{https}, endpoints: pack([]endpoint{{addr: three, conditions: isReady | isServing}})},
		{ports: []port{idle, {"_tcp", unnamed, 80}, {"_sctp", "_" + strings.Repeat("p", 63), 81}}, endpoints: pack([]endpoint{{addr: gone}})},
	})
	want := records.NewAddresses(one, two, three)
	want.Endpoints = records.NewEndpoints([]records.Host{{Label: "db-0", Addr: one}}, []records.Port{
		{Proto: "_tcp", Service: "_https", Number: 8443},
		{Proto: "_tcp", Service: "_metrics", Number: 9090, Addrs: []netip.Addr{one}},
		{Proto: "_udp", Service: "_idle", Number: 7, Addrs: []netip.Addr{}},
	})
	if !addresses.Equal(want) {
		t.Errorf("got  %+v\nwant %+v", addresses, want)
	}
}
