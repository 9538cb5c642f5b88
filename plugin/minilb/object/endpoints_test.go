package object

import (
	"net/netip"
	"slices"
	"testing"
)

// What is packed comes back in order: of the entries of one address the one that counts first (E8).
func TestPack(t *testing.T) {
	four, six := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")
	for name, want := range map[string][]Endpoint{
		"none":      nil,
		"IPv4":      {{Addr: four, Conditions: Ready | Serving}, {Addr: four.Next(), Conditions: Serving | Terminating}, {Addr: four.Next().Next()}},
		"IPv6":      {{Addr: six, Conditions: Ready}, {Addr: six.Next(), Conditions: Terminating}},
		"hostnames": {{Addr: four, Conditions: Ready}, {Addr: four.Next(), Hostname: "db-1", Conditions: Ready}, {Addr: four.Next().Next(), Conditions: Ready}},
		"nodes":     {{Addr: four, Conditions: Ready, Node: "n1"}, {Addr: four.Next(), Conditions: Ready}},
		"pods":      {{Addr: four, Conditions: Ready}, {Addr: four.Next(), Conditions: Ready, Pod: 7}},
		"twins":     {{Addr: four, Conditions: Ready, Hostname: "db-0", Pod: 9}, {Addr: four, Conditions: Ready, Hostname: "db-1", Pod: 7}, {Addr: four, Conditions: Ready, Hostname: "db-1", Pod: 8}},
		"repeated": {
			{Addr: four, Conditions: Ready | Serving}, {Addr: four, Conditions: Ready}, {Addr: four, Conditions: Serving}, {Addr: four},
			{Addr: four, Conditions: Ready | Serving | Terminating}, {Addr: four, Conditions: Serving | Terminating}, {Addr: four, Conditions: Terminating},
		},
	} {
		backwards := slices.Clone(want)
		slices.Reverse(backwards)
		packed := Pack(backwards)
		if got := slices.Collect(packed.All()); packed.Len() != len(want) || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %d of them, want %v", name, got, packed.Len(), want)
		}
	}
}
