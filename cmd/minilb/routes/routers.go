package routes

import (
	"fmt"
	"strings"
)

func routerOS(t *table) string {
	return t.lines("#", func(text *strings.Builder, e Entry) {
		fmt.Fprintf(text, "/%s route add dst-address=%s gateway=%s comment=\"minilb %s\"\n", e.by("ip", "ipv6"), e.Destination, e.Gateway, e.Node)
	})
}

// openWrt writes a section of /etc/config/network for each route, which a second run replaces.
func openWrt(t *table) string {
	sections, any := distinct{}, false
	text := t.lines("#", func(text *strings.Builder, e Entry) {
		any = true
		section := sections.name("minilb_", e.Node, e.by("", "_6"))
		fmt.Fprintf(text, "uci set network.%s=%s\n", section, e.by("route", "route6"))
		for _, option := range [][2]string{{"interface", t.iface}, {"target", e.Destination.String()}, {"gateway", e.Gateway.String()}} {
			fmt.Fprintf(text, "uci set network.%s.%s='%s'\n", section, option[0], option[1])
		}
	})
	if any {
		text += "uci commit network\n/etc/init.d/network reload\n"
	}
	return text
}

// vyOS writes commands of the configuration mode.
func vyOS(t *table) string {
	return t.lines("#", func(text *strings.Builder, e Entry) {
		fmt.Fprintf(text, "set protocols static %s %s next-hop %s\n", e.by("route", "route6"), e.Destination, e.Gateway)
	})
}

func frr(t *table) string {
	return t.lines("!", func(text *strings.Builder, e Entry) {
		fmt.Fprintf(text, "%s route %s %s\n", e.by("ip", "ipv6"), e.Destination, e.Gateway)
	})
}

// junOS writes commands of the configuration mode.
func junOS(t *table) string {
	return t.lines("#", func(text *strings.Builder, e Entry) {
		fmt.Fprintf(text, "set routing-options %sstatic route %s next-hop %s\n", e.by("", "rib inet6.0 "), e.Destination, e.Gateway)
	})
}

// networkd writes sections of a .network file of systemd.
func networkd(t *table) string {
	return t.lines("#", func(text *strings.Builder, e Entry) {
		fmt.Fprintf(text, "# node %s\n[Route]\nDestination=%s\nGateway=%s\n\n", e.Node, e.Destination, e.Gateway)
	})
}

// netplan writes a file for /etc/netplan.
func netplan(t *table) string {
	routes := t.lines("        #", func(text *strings.Builder, e Entry) {
		fmt.Fprintf(text, "        - to: %q\n          via: %q\n", e.Destination, e.Gateway)
	})
	return fmt.Sprintf("network:\n  version: 2\n  ethernets:\n    %q:\n      routes:\n%s", t.iface, routes)
}

// windows writes commands for an administrator's console. The routes survive a restart.
func windows(t *table) string {
	return t.lines("REM", func(text *strings.Builder, e Entry) {
		fmt.Fprintf(text, "route -p add %s %s\n", e.Destination, e.Gateway)
	})
}

// radvd writes a radvd.conf for each node, as the next hop of a router advertisement's routes is always its
// sender (R13, RFC 4191).
func radvd(t *table) string {
	return t.lines("#", func(text *strings.Builder, e Entry) {
		if e.Destination.Addr().Is4() {
			return
		}
		fmt.Fprintf(text, "# /etc/radvd.conf of node %s\ninterface %s {\n\tAdvSendAdvert on;\n\tAdvDefaultLifetime 0;\n\troute %s {\n\t\tAdvRouteLifetime 1800;\n\t};\n};\n", e.Node, t.iface, e.Destination)
	})
}
