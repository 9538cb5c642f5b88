package source

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// conditionsOf are written "rst": r ready, s serving, t terminating; upper case true, lower
// case false, "-" nil.
func conditionsOf(s string) discoveryv1.EndpointConditions {
	value := func(c byte) *bool {
		if c == '-' {
			return nil
		}
		b := c >= 'A' && c <= 'Z'
		return &b
	}
	return discoveryv1.EndpointConditions{Ready: value(s[0]), Serving: value(s[1]), Terminating: value(s[2])}
}

// testSlice makes a slice of endpoints "ADDRESS CONDITIONS".
func testSlice(name string, family discoveryv1.AddressType, endpoints ...string) *slice {
	obj := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: family,
	}
	for _, e := range endpoints {
		addr, conds, _ := strings.Cut(e, " ")
		obj.Endpoints = append(obj.Endpoints, discoveryv1.Endpoint{Addresses: []string{addr}, Conditions: conditionsOf(conds)})
	}
	return newEndpointSlice(obj, &Fields{})
}

// answer returns what a Service is answered with, and how many endpoints it has.
func answer(slicesOf []*slice) (*records.Addresses, states) {
	u, counts := usableOf(slicesOf)
	return addressesOf(new(Options), &u, offered{}), counts
}

func TestMerge(t *testing.T) {
	const v4, v6 = discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6
	tests := []struct {
		name   string
		slices []*slice
		want   string // addresses
		states states
	}{
		{"E2: nil is ready", []*slice{testSlice("a", v4, "10.0.0.1 ---")}, "10.0.0.1", states{ready: 1}},
		{"E2: nil serves", []*slice{testSlice("a", v4, "10.0.0.1 r-T")}, "10.0.0.1", states{0, 1, 0, 0}},
		{"E3: ready alone", []*slice{testSlice("a", v4, "10.0.0.1 RSt", "10.0.0.2 rST", "10.0.0.3 rst")}, "10.0.0.1", states{1, 1, 1, 0}},
		{"E3: none ready, serving and terminating", []*slice{testSlice("a", v4, "10.0.0.1 rST", "10.0.0.2 rst")}, "10.0.0.1", states{0, 1, 1, 0}},
		{"E3: none at all", []*slice{testSlice("a", v4, "10.0.0.1 rst", "10.0.0.2 rsT")}, "", states{0, 0, 2, 0}},
		{"E3: each family by itself", []*slice{testSlice("a", v4, "10.0.0.1 RSt"), testSlice("b", v6, "fd00::1 rST")}, "10.0.0.1 fd00::1", states{1, 1, 0, 0}},
		{"E4: not ready is not terminating", []*slice{testSlice("a", v4, "10.0.0.1 r--")}, "", states{0, 0, 1, 0}},
		{"E5: published though not ready", []*slice{testSlice("a", v4, "10.0.0.1 Rst", "10.0.0.2 RsT")}, "10.0.0.1 10.0.0.2", states{2, 0, 0, 0}},
		{"E6: FQDN", []*slice{testSlice("a", discoveryv1.AddressTypeFQDN, "web.example.org RSt")}, "", states{}},
		{"E6: unknown type", []*slice{testSlice("a", "IPv5", "10.0.0.1 RSt", "fd00::1 RSt")}, "", states{}},
		{"E8: moved between slices", []*slice{testSlice("a", v4, "10.0.0.1 rsT"), testSlice("b", v4, "10.0.0.1 RSt")}, "10.0.0.1", states{1, 0, 0, 0}},
		{"E8: used again while the old pod terminates", []*slice{testSlice("a", v4, "10.0.0.1 RSt"), testSlice("b", v4, "10.0.0.1 rST")}, "10.0.0.1", states{1, 0, 0, 0}},
		{"E8: of two that stay, the ready one", []*slice{testSlice("a", v4, "10.0.0.1 RSt"), testSlice("b", v4, "10.0.0.1 rSt")}, "10.0.0.1", states{1, 0, 0, 0}},
		{"E8: of two that terminate, the serving one", []*slice{testSlice("a", v4, "10.0.0.1 rST"), testSlice("b", v4, "10.0.0.1 rsT")}, "10.0.0.1", states{0, 1, 0, 0}},
		{"E8: the one that stays is the present one, ready or not", []*slice{testSlice("a", v4, "10.0.0.1 RST"), testSlice("b", v4, "10.0.0.1 rSt")}, "", states{0, 0, 1, 0}},
		{"E8: the same twice", []*slice{testSlice("a", v4, "10.0.0.1 RSt"), testSlice("b", v4, "10.0.0.1 RSt")}, "10.0.0.1", states{1, 0, 0, 0}},
		{"E9, E14: union of slices and families", []*slice{testSlice("a", v4, "10.0.0.2 RSt"), testSlice("b", v4, "10.0.0.1 RSt"), testSlice("c", v6, "fd00::1 RSt")}, "10.0.0.1 10.0.0.2 fd00::1", states{3, 0, 0, 0}},
		{"E17: Cilium's placeholder", []*slice{testSlice("a", v4, "192.192.192.192 RSt")}, "", states{}},
		{"no slices", nil, "", states{}},
	}
	random := seeded(t)
	for _, tc := range tests {
		for range 10 { // C5: in whichever order the slices come
			random.Shuffle(len(tc.slices), func(i, j int) { tc.slices[i], tc.slices[j] = tc.slices[j], tc.slices[i] })
			addrs, states := answer(tc.slices)
			var want []netip.Addr
			for _, a := range strings.Fields(tc.want) {
				want = append(want, netip.MustParseAddr(a))
			}
			if !addrs.Equal(records.NewAddresses(want...)) {
				t.Errorf("%s: got %v, want %q", tc.name, addrs, tc.want)
			}
			if states != tc.states {
				t.Errorf("%s: got states %+v, want %+v", tc.name, states, tc.states)
			}
		}
	}
}

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
			{Addresses: []string{"10.0.0.1", "10.0.0.2"}, NodeName: pointer("n1")}, // E7: the first alone counts
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
	s := newEndpointSlice(obj, &Fields{})
	if s.owning().String() != "shop/web" || s.triggered != trigger.UnixNano() {
		t.Errorf("got service %s, trigger %d", s.owning(), s.triggered)
	}
	if got := slices.Collect(s.endpoints.all()); len(got) != 1 || got[0].addr != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("got endpoints %v, want 10.0.0.1 alone", got)
	}
	for name, tc := range map[string]struct {
		f    Fields
		want string
	}{
		"nobody asks for nodes": {Fields{}, ""},
		"to be shown":           {Fields{Nodes: true}, "n1"},
	} {
		for e := range newEndpointSlice(obj, &tc.f).endpoints.all() {
			if e.node != tc.want {
				t.Errorf("%s: got node %q, want %q", name, e.node, tc.want)
			}
		}
	}
	if len(s.problems) != 7 {
		t.Errorf("got %d problems, want one for each of the 7 unusable endpoints: %v", len(s.problems), s.problems)
	}
	for _, p := range s.problems {
		if p.owner.String() != "EndpointSlice shop/web-x" || p.reason != ReasonEndpoint {
			t.Errorf("got problem of %s, reason %s", p.owner, p.reason)
		}
	}
	if s := newEndpointSlice(&discoveryv1.EndpointSlice{}, &Fields{}); s.service != "" || s.triggered != 0 || len(s.problems) != 1 {
		t.Errorf("an empty object: got service %q, trigger %d, problems %v", s.service, s.triggered, s.problems)
	}
	for _, when := range []string{"yesterday", "0001-01-01T00:00:00Z"} {
		obj.Annotations[corev1.EndpointsLastChangeTriggerTime] = when
		if s := newEndpointSlice(obj, &Fields{}); s.triggered != 0 {
			t.Errorf("triggered %s: got %d", when, s.triggered)
		}
	}
	const surplus = 3
	bad := slices.Repeat([]discoveryv1.Endpoint{{}}, maxFlaws+surplus)
	all := newEndpointSlice(&discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Endpoints: bad}, &Fields{}).problems
	if len(all) != maxFlaws+1 || all[maxFlaws].hosts != surplus {
		t.Errorf("C7c: got %d problems, the last for %d endpoints, want %d and %d", len(all), all[len(all)-1].hosts, maxFlaws+1, surplus)
	}
	mapped := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv6, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"::ffff:10.0.0.1"}}, {Addresses: []string{"fd00::1%eth0"}}}}
	if s := newEndpointSlice(mapped, &Fields{}); s.endpoints.len() != 0 {
		t.Errorf("an IPv4-mapped address and one with a zone in an IPv6 slice: got %v", slices.Collect(s.endpoints.all()))
	}
}
