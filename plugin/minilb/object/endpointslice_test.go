package object

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestReduceSlice(t *testing.T) {
	trigger := time.Now().UTC()
	obj := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "web-x",
			Labels:      map[string]string{discoveryv1.LabelServiceName: "web"},
			Annotations: map[string]string{corev1.EndpointsLastChangeTriggerTime: trigger.Format(time.RFC3339Nano)},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.0.0.1", "10.0.0.2"}, NodeName: new("n1"), Zone: new("z1")}, // E7: the first alone counts
			{Addresses: nil},
			{Addresses: []string{"not an address"}},
			{Addresses: []string{"fd00::1"}},
			{Addresses: []string{"127.0.0.1"}},
			{Addresses: []string{"169.254.1.1"}},
			{Addresses: []string{"224.0.0.1"}},
			{Addresses: []string{"0.0.0.0"}},
			{Addresses: []string{"192.192.192.192"}}, // E17: as usual as others, and not worth a word
		},
	}
	s := NewEndpointSlice(obj, &Fields{})
	if s.ServiceName().String() != "shop/web" || s.Triggered != trigger.UnixNano() {
		t.Errorf("got service %s, trigger %d", s.ServiceName(), s.Triggered)
	}
	if got := slices.Collect(s.Endpoints.All()); len(got) != 1 || got[0].Addr != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("got endpoints %v, want 10.0.0.1 alone", got)
	}
	for name, tc := range map[string]struct {
		f          Fields
		node, zone string
	}{
		"nobody asks": {Fields{}, "", ""},
		"for nodes":   {Fields{Nodes: true}, "n1", ""},
		"for zones":   {Fields{Zones: true}, "", "z1"}, // L5
		"for the two": {Fields{Nodes: true, Zones: true}, "n1", "z1"},
	} {
		for e := range NewEndpointSlice(obj, &tc.f).Endpoints.All() {
			if e.Node != tc.node || e.Zone != tc.zone {
				t.Errorf("%s: got node %q and zone %q, want %q and %q", name, e.Node, e.Zone, tc.node, tc.zone)
			}
		}
	}
	if len(s.Problems) != 7 {
		t.Errorf("got %d problems, want one for each of the 7 unusable endpoints: %v", len(s.Problems), s.Problems)
	}
	for _, p := range s.Problems {
		if p.Ref.String() != "EndpointSlice shop/web-x" || p.Reason != ReasonEndpoint {
			t.Errorf("got problem of %s, reason %s", p.Ref, p.Reason)
		}
	}
	if s := NewEndpointSlice(&discoveryv1.EndpointSlice{}, &Fields{}); s.Service != "" || s.Triggered != 0 || len(s.Problems) != 1 {
		t.Errorf("an empty object: got service %q, trigger %d, problems %v", s.Service, s.Triggered, s.Problems)
	}
	for _, when := range []string{"yesterday", "0001-01-01T00:00:00Z"} {
		obj.Annotations[corev1.EndpointsLastChangeTriggerTime] = when
		if s := NewEndpointSlice(obj, &Fields{}); s.Triggered != 0 {
			t.Errorf("triggered %s: got %d", when, s.Triggered)
		}
	}
	const surplus = 3
	bad := slices.Repeat([]discoveryv1.Endpoint{{}}, MaxProblems+surplus)
	all := NewEndpointSlice(&discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Endpoints: bad}, &Fields{}).Problems
	if len(all) != MaxProblems+1 || all[MaxProblems].Hosts != surplus {
		t.Errorf("C7c: got %d problems, the last for %d endpoints, want %d and %d", len(all), all[len(all)-1].Hosts, MaxProblems+1, surplus)
	}
	mapped := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv6, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"::ffff:10.0.0.1"}}, {Addresses: []string{"fd00::1%eth0"}}}}
	if s := NewEndpointSlice(mapped, &Fields{}); s.Endpoints.Len() != 0 {
		t.Errorf("an IPv4-mapped address and one with a zone in an IPv6 slice: got %v", slices.Collect(s.Endpoints.All()))
	}
}
