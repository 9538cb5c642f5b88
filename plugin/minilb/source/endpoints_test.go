package source

import (
	"net/netip"
	"slices"
	"testing"
)

// What is packed comes back in order: of the entries of one address the one that counts first (E8).
func TestPack(t *testing.T) {
	four, six := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")
	for name, want := range map[string][]endpoint{
		"none":      nil,
		"IPv4":      {{addr: four, conditions: isReady | isServing}, {addr: four.Next(), conditions: isServing | isTerminating}, {addr: four.Next().Next()}},
		"IPv6":      {{addr: six, conditions: isReady}, {addr: six.Next(), conditions: isTerminating}},
		"hostnames": {{addr: four, conditions: isReady}, {addr: four.Next(), hostname: "db-1", conditions: isReady}, {addr: four.Next().Next(), conditions: isReady}},
		"nodes":     {{addr: four, conditions: isReady, node: "n1"}, {addr: four.Next(), conditions: isReady}},
		"pods":      {{addr: four, conditions: isReady}, {addr: four.Next(), conditions: isReady, pod: 7}},
		"twins":     {{addr: four, conditions: isReady, hostname: "db-0", pod: 9}, {addr: four, conditions: isReady, hostname: "db-1", pod: 7}, {addr: four, conditions: isReady, hostname: "db-1", pod: 8}},
		"repeated": {
			{addr: four, conditions: isReady | isServing}, {addr: four, conditions: isReady}, {addr: four, conditions: isServing}, {addr: four},
			{addr: four, conditions: isReady | isServing | isTerminating}, {addr: four, conditions: isServing | isTerminating}, {addr: four, conditions: isTerminating},
		},
	} {
		backwards := slices.Clone(want)
		slices.Reverse(backwards)
		packed := pack(backwards)
		if got := slices.Collect(packed.all()); packed.len() != len(want) || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %d of them, want %v", name, got, packed.len(), want)
		}
	}
}
