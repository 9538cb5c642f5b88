package routes

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// IP returns the entries as lines for iproute2, problems as comments (R1, R2). A line fails where the route exists, as in a
// first installation it should.
func IP(entries []Entry) string {
	return (&table{entries: entries}).lines(func(e Entry) string { return ipRoute("add", e) })
}

func ipReplace(e Entry) string { return ipRoute("replace", e) }

func ipRoute(verb string, e Entry) string {
	return fmt.Sprintf("ip %sroute %s %s via %s\n", e.by("", "-6 "), verb, e.Destination, e.Gateway)
}

// jsonEntry is a route, or a node or a podCIDR without one. The documents of -o json are stable: fields are added, never
// renamed or removed, and lists are never null.
type jsonEntry struct {
	Event       Event        `json:"event,omitempty"` // with -watch
	Node        string       `json:"node"`
	Family      string       `json:"family,omitempty"` // "ipv4" or "ipv6"
	Destination netip.Prefix `json:"destination,omitzero"`
	Gateway     netip.Addr   `json:"gateway,omitzero"`
	Reason      string       `json:"reason,omitempty"`
}

func newJSONEntry(event Event, e Entry) jsonEntry {
	if e.Problem != "" {
		return jsonEntry{Event: event, Node: e.Node, Reason: e.Problem}
	}
	return jsonEntry{Event: event, Node: e.Node, Family: e.by("ipv4", "ipv6"), Destination: e.Destination, Gateway: e.Gateway}
}

func jsonDocument(t *table) string {
	document := map[string][]jsonEntry{"routes": {}, "skipped": {}}
	for _, e := range t.entries {
		list := "routes"
		if e.Problem != "" {
			list = "skipped"
		}
		document[list] = append(document[list], newJSONEntry("", e))
	}
	text, _ := json.MarshalIndent(document, "", "  ") // none of these fields can fail
	return string(text) + "\n"
}

func routerOS(e Entry) string {
	return fmt.Sprintf("/%s route add dst-address=%s gateway=%s comment=\"minilb %s\"\n", e.by("ip", "ipv6"), e.Destination, e.Gateway, e.Node)
}

// openWrt writes a section of /etc/config/network for each route, which a second run replaces.
func openWrt(t *table) string {
	sections := map[string]bool{}
	text := t.lines(func(e Entry) string {
		section := "network." + newSection(sections, e.Node, e.by("", "_6"))
		return fmt.Sprintf("uci set %s=%s\n", section, e.by("route", "route6")) +
			fmt.Sprintf("uci set %s.interface='%s'\n", section, t.Interface) +
			fmt.Sprintf("uci set %s.target='%s'\n", section, e.Destination) +
			fmt.Sprintf("uci set %s.gateway='%s'\n", section, e.Gateway)
	})
	if len(sections) > 0 {
		text += "uci commit network\n/etc/init.d/network reload\n"
	}
	return text
}

// newSection turns a node's name into one of letters, digits and underscores that is not yet in sections.
func newSection(sections map[string]bool, node, suffix string) string {
	plain := "minilb_" + strings.NewReplacer("-", "_", ".", "_").Replace(node)
	name := plain + suffix
	for n := 2; sections[name]; n++ {
		name = fmt.Sprintf("%s_%d%s", plain, n, suffix)
	}
	sections[name] = true
	return name
}

// perFamily returns what writes a route by the format for its family, which has the destination and the gateway.
func perFamily(four, six string) func(Entry) string {
	return func(e Entry) string { return fmt.Sprintf(e.by(four, six), e.Destination, e.Gateway) }
}

// vyOS and junOS write commands of the configuration mode. Routes of windows survive a restart.
var (
	frr     = perFamily("ip route %s %s\n", "ipv6 route %s %s\n")
	vyOS    = perFamily("set protocols static route %s next-hop %s\n", "set protocols static route6 %s next-hop %s\n")
	junOS   = perFamily("set routing-options static route %s next-hop %s\n", "set routing-options rib inet6.0 static route %s next-hop %s\n")
	windows = perFamily("route -p add %s %s\n", "route -p add %s %s\n")
)

func networkd(e Entry) string {
	return fmt.Sprintf("# node %s\n[Route]\nDestination=%s\nGateway=%s\n\n", e.Node, e.Destination, e.Gateway)
}

func netplan(t *table) string {
	routes := t.lines(func(e Entry) string {
		return fmt.Sprintf("        - to: %q\n          via: %q\n", e.Destination, e.Gateway)
	})
	return fmt.Sprintf("network:\n  version: 2\n  ethernets:\n    %q:\n      routes:\n%s", t.Interface, routes)
}

// radvd writes a radvd.conf for each node: the sender of a router advertisement is the next hop (R13, RFC 4191).
func radvd(t *table) string {
	return t.lines(func(e Entry) string {
		return e.by("", fmt.Sprintf("# /etc/radvd.conf of node %s\ninterface %s {\n\tAdvSendAdvert on;\n\tAdvDefaultLifetime 0;\n\troute %s {\n\t\tAdvRouteLifetime 1800;\n\t};\n};\n", e.Node, t.Interface, e.Destination))
	})
}
