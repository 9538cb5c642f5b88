package routes

import (
	"fmt"
	"strings"
)

// wireGuardHint is what clients elsewhere need beside the routes.
const wireGuardHint = "the other end of the tunnel needs the routes themselves, such as by -o ip or -apply; name the LAN's resolver in DNS of the clients' [Interface], or minilb's names are not asked for there"

// tailscaleHint is what is set in Tailscale's admin console.
const tailscaleHint = "approve the routes in the admin console, and add the pod networks to what its access rules allow; there, under DNS, add the LAN's resolver as a nameserver that is restricted to the zone (split DNS), and advertise the LAN's network if the clients do not reach it; this machine needs the routes themselves, such as by -o ip or -apply"

// wireGuard writes lines for the section of the LAN's peer. A peer may have several, which add up.
func wireGuard(t *table) string {
	return "# in the section Peer of the LAN's router, at each client\n" +
		t.lines(func(e Entry) string { return fmt.Sprintf("AllowedIPs = %s # %s\n", e.Destination, e.Node) })
}

// tailscale writes one command, as each replaces what the one before has advertised.
func tailscale(t *table) string {
	var all []string
	text := t.lines(func(e Entry) string {
		all = append(all, e.Destination.String())
		return ""
	})
	return text + "# it replaces the routes that this machine advertises: add those of others\n" +
		"tailscale set --advertise-routes=" + strings.Join(all, ",") + "\n"
}
