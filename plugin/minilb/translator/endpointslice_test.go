package translator

import (
	"net/netip"
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/endpoint"
	"github.com/minilb/minilb/plugin/minilb/object"
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
func testSlice(name string, family discoveryv1.AddressType, endpoints ...string) *object.EndpointSlice {
	obj := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: family,
	}
	for _, e := range endpoints {
		addr, conds, _ := strings.Cut(e, " ")
		obj.Endpoints = append(obj.Endpoints, discoveryv1.Endpoint{Addresses: []string{addr}, Conditions: conditionsOf(conds)})
	}
	return object.NewEndpointSlice(obj, &object.Fields{})
}

// answer returns what a Service is answered with, and how many endpoints it has.
func answer(slicesOf []*object.EndpointSlice) (*records.Addresses, endpoint.Counts) {
	u, counts := endpoint.Of(slicesOf)
	return endpoint.Addresses(new(config.Options), &u, object.ServicePorts{}), counts
}

func TestMerge(t *testing.T) {
	const v4, v6 = discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6
	tests := []struct {
		name   string
		slices []*object.EndpointSlice
		want   string // addresses
		states endpoint.Counts
	}{
		{"E2: nil is ready", []*object.EndpointSlice{testSlice("a", v4, "10.0.0.1 ---")}, "10.0.0.1", endpoint.Counts{Ready: 1}},
		{"E2: nil serves", []*object.EndpointSlice{testSlice("a", v4, "10.0.0.1 r-T")}, "10.0.0.1", endpoint.Counts{Ready: 0, Terminating: 1, NotReady: 0, Suspect: 0}},
		{"E3: ready alone", []*object.EndpointSlice{testSlice("a", v4, "10.0.0.1 RSt", "10.0.0.2 rST", "10.0.0.3 rst")}, "10.0.0.1", endpoint.Counts{Ready: 1, Terminating: 1, NotReady: 1, Suspect: 0}},
		{"E3: none ready, serving and terminating", []*object.EndpointSlice{testSlice("a", v4, "10.0.0.1 rST", "10.0.0.2 rst")}, "10.0.0.1", endpoint.Counts{Ready: 0, Terminating: 1, NotReady: 1, Suspect: 0}},
		{"E3: none at all", []*object.EndpointSlice{testSlice("a", v4, "10.0.0.1 rst", "10.0.0.2 rsT")}, "", endpoint.Counts{Ready: 0, Terminating: 0, NotReady: 2, Suspect: 0}},
		{"E3: each family by itself", []*object.EndpointSlice{testSlice("a", v4, "10.0.0.1 RSt"), testSlice("b", v6, "fd00::1 rST")}, "10.0.0.1 fd00::1", endpoint.Counts{Ready: 1, Terminating: 1, NotReady: 0, Suspect: 0}},
		{"E4: not ready is not terminating", []*object.EndpointSlice{testSlice("a", v4, "10.0.0.1 r--")}, "", endpoint.Counts{Ready: 0, Terminating: 0, NotReady: 1, Suspect: 0}},
		{"E5: published though not ready", []*object.EndpointSlice{testSlice("a", v4, "10.0.0.1 Rst", "10.0.0.2 RsT")}, "10.0.0.1 10.0.0.2", endpoint.Counts{Ready: 2, Terminating: 0, NotReady: 0, Suspect: 0}},
		{"E6: FQDN", []*object.EndpointSlice{testSlice("a", discoveryv1.AddressTypeFQDN, "web.example.org RSt")}, "", endpoint.Counts{}},
		{"E6: unknown type", []*object.EndpointSlice{testSlice("a", "IPv5", "10.0.0.1 RSt", "fd00::1 RSt")}, "", endpoint.Counts{}},
		{"E8: moved between slices", []*object.EndpointSlice{testSlice("a", v4, "10.0.0.1 rsT"), testSlice("b", v4, "10.0.0.1 RSt")}, "10.0.0.1", endpoint.Counts{Ready: 1, Terminating: 0, NotReady: 0, Suspect: 0}},
		{"E8: used again while the old pod terminates", []*object.EndpointSlice{testSlice("a", v4, "10.0.0.1 RSt"), testSlice("b", v4, "10.0.0.1 rST")}, "10.0.0.1", endpoint.Counts{Ready: 1, Terminating: 0, NotReady: 0, Suspect: 0}},
		{"E8: of two that stay, the ready one", []*object.EndpointSlice{testSlice("a", v4, "10.0.0.1 RSt"), testSlice("b", v4, "10.0.0.1 rSt")}, "10.0.0.1", endpoint.Counts{Ready: 1, Terminating: 0, NotReady: 0, Suspect: 0}},
		{"E8: of two that terminate, the serving one", []*object.EndpointSlice{testSlice("a", v4, "10.0.0.1 rST"), testSlice("b", v4, "10.0.0.1 rsT")}, "10.0.0.1", endpoint.Counts{Ready: 0, Terminating: 1, NotReady: 0, Suspect: 0}},
		{"E8: the one that stays is the present one, ready or not", []*object.EndpointSlice{testSlice("a", v4, "10.0.0.1 RST"), testSlice("b", v4, "10.0.0.1 rSt")}, "", endpoint.Counts{Ready: 0, Terminating: 0, NotReady: 1, Suspect: 0}},
		{"E8: the same twice", []*object.EndpointSlice{testSlice("a", v4, "10.0.0.1 RSt"), testSlice("b", v4, "10.0.0.1 RSt")}, "10.0.0.1", endpoint.Counts{Ready: 1, Terminating: 0, NotReady: 0, Suspect: 0}},
		{"E9, E14: union of slices and families", []*object.EndpointSlice{testSlice("a", v4, "10.0.0.2 RSt"), testSlice("b", v4, "10.0.0.1 RSt"), testSlice("c", v6, "fd00::1 RSt")}, "10.0.0.1 10.0.0.2 fd00::1", endpoint.Counts{Ready: 3, Terminating: 0, NotReady: 0, Suspect: 0}},
		{"E17: Cilium's placeholder", []*object.EndpointSlice{testSlice("a", v4, "192.192.192.192 RSt")}, "", endpoint.Counts{}},
		{"no slices", nil, "", endpoint.Counts{}},
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
