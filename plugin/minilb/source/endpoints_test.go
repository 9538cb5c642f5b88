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
		"IPv4":      {{four, "", isReady | isServing}, {four.Next(), "", isServing | isTerminating}, {four.Next().Next(), "", 0}},
		"IPv6":      {{six, "", isReady}, {six.Next(), "", isTerminating}},
		"hostnames": {{four, "", isReady}, {four.Next(), "db-1", isReady}, {four.Next().Next(), "", isReady}},
		"repeated": {
			{four, "", isReady | isServing}, {four, "", isReady}, {four, "", isServing}, {four, "", 0},
			{four, "", isReady | isServing | isTerminating}, {four, "", isServing | isTerminating}, {four, "", isTerminating},
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
