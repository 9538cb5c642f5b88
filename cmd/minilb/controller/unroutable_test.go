package controller

import (
	"net/netip"
	"testing"

	"github.com/minilb/minilb/cmd/minilb/routes"
)

// R3: the note says where a pod is that the routes do not lead to, and what to do about it.
func TestUnroutableNote(t *testing.T) {
	outside := routes.Endpoint{Addr: netip.MustParseAddr("10.0.0.1"), Node: "a", PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")}}
	bare := routes.Endpoint{Addr: netip.MustParseAddr("10.0.0.2"), Node: "bare"}
	for want, e := range map[string]endpointsOf{
		"The routes do not lead to some endpoints, for example 10.0.0.1, which is outside 10.244.1.0/24 of node a: " + routes.StrayHint:     {unroutable: 1, total: 2, example: outside},
		"The routes do not lead to any endpoint, for example 10.0.0.2, which is on node bare, which has no podCIDR: " + routes.AllocateHint: {unroutable: 2, total: 2, example: bare},
	} {
		if got := e.describe(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
