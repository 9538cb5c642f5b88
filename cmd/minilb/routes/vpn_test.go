package routes

import "testing"

func TestVPN(t *testing.T) {
	for name, want := range map[string]string{
		"wireguard": "# in the section Peer of the LAN's router, at each client\nAllowedIPs = 10.244.0.0/24 # node1\nAllowedIPs = 10.244.1.0/24 # node2\nAllowedIPs = fd00:1::/64 # node2\n" + oldNode,
		"tailscale": oldNode + "# it replaces the routes that this machine advertises: add those of others\ntailscale set --advertise-routes=10.244.0.0/24,10.244.1.0/24,fd00:1::/64\n",
	} {
		if got := written(t, name, formatNodes()); got != want {
			t.Errorf("%s: got\n%swant\n%s", name, got, want)
		}
	}
}
