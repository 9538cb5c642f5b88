package routes

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"
)

// maxGateway is the longest name of a gateway that pfSense takes; OPNsense takes one character more.
const maxGateway = 31

// gateways returns the routes' next hops in order, each once, and their names: of letters, digits and underscores, made of
// the first node that has them.
func (t *table) gateways() (hops []Entry, names map[netip.Addr]string) {
	sections := map[string]bool{}
	names = map[netip.Addr]string{}
	for _, e := range t.entries {
		if e.Problem != "" || names[e.Gateway] != "" {
			continue
		}
		name := newSection(sections, e.Node, e.by("", "_6"))
		if len(name) > maxGateway {
			sum := fnv.New32a()
			sum.Write([]byte(name))
			name = fmt.Sprintf("%s_%08x", name[:maxGateway-9], sum.Sum32())
		}
		hops, names[e.Gateway] = append(hops, e), name
	}
	return hops, names
}

// opnSense writes calls of OPNsense's API, for a shell: the next hops as gateways, which routes refer to by name.
func opnSense(t *table) string {
	hops, names := t.gateways()
	text := "# OPNSENSE is the URL, KEY and SECRET are those of a user who may edit gateways and static routes\n" + t.problems()
	call := func(path string, body any) {
		text += curl(`-u "$KEY:$SECRET"`, body, "$OPNSENSE/api/"+path)
	}
	type object = map[string]any
	for _, e := range hops {
		call("routing/settings/addGateway", object{"gateway_item": object{
			"name": names[e.Gateway], "descr": "minilb " + e.Node, "interface": t.Interface, "ipprotocol": e.by("inet", "inet6"),
			"gateway": e.Gateway, "monitor_disable": "1",
		}})
	}
	call("routing/settings/reconfigure", object{})
	for _, e := range t.entries {
		if e.Problem == "" {
			call("routes/routes/addroute", object{"route": object{
				"network": e.Destination, "gateway": names[e.Gateway], "descr": "minilb " + e.Node, "disabled": "0",
			}})
		}
	}
	call("routes/routes/reconfigure", object{})
	return text
}

// curl returns a line for a shell that posts JSON. What is in it has no quote: names are DNS names, or of -interface.
func curl(authorization string, body any, url string) string {
	text, _ := json.Marshal(body) // none of these fields can fail
	return fmt.Sprintf("curl -sSf %s -H 'Content-Type: application/json' -d '%s' \"%s\"\n", authorization, text, url)
}

// unifi writes calls of the API of UniFi Network, for a shell.
func unifi(t *table) string {
	const maxName = 128
	return "# UNIFI is the URL of the gateway or console, KEY an API key of it\n" + t.lines(func(e Entry) string {
		name := "minilb " + e.Node
		return curl(`-H "X-API-KEY: $KEY"`, map[string]any{
			"enabled": true, "name": name[:min(len(name), maxName)], "type": "static-route", "static-route_type": "nexthop-route",
			"static-route_network": e.Destination, "static-route_nexthop": e.Gateway, "static-route_distance": 1,
		}, "$UNIFI/proxy/network/api/s/default/rest/routing")
	})
}

// pfSense writes elements for pfSense's config.xml, as its vendor documents no API. What is to be done stands between them, and
// is no comment of XML: those cannot have the two hyphens that a name may.
func pfSense(t *table) string {
	hops, names := t.gateways()
	var text strings.Builder
	text.WriteString(t.problems() + "# in the element gateways, beside what it has\n")
	for _, e := range hops {
		fmt.Fprintf(&text, "<gateway_item>\n\t<interface>%s</interface>\n\t<gateway>%s</gateway>\n\t<name>%s</name>\n\t<weight>1</weight>\n"+
			"\t<ipprotocol>%s</ipprotocol>\n\t<monitor_disable></monitor_disable>\n\t<descr>minilb %s</descr>\n</gateway_item>\n",
			t.Interface, e.Gateway, names[e.Gateway], e.by("inet", "inet6"), e.Node)
	}
	text.WriteString("# in the element staticroutes, beside what it has\n")
	for _, e := range t.entries {
		if e.Problem == "" {
			fmt.Fprintf(&text, "<route>\n\t<network>%s</network>\n\t<gateway>%s</gateway>\n\t<descr>minilb %s</descr>\n</route>\n",
				e.Destination, names[e.Gateway], e.Node)
		}
	}
	return text.String()
}

// fritzBox writes what to type in the pages of a FRITZ!Box.
func fritzBox(t *table) string {
	text := t.problems()
	if routes := t.of(true); len(routes) > 0 {
		text += "Home Network / Network / Network Settings / Additional Settings / Static Routing Table / IPv4 Routes / New IPv4 Route\n"
		for _, e := range routes {
			mask := netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), e.Destination.Bits()).Masked().Addr()
			text += fmt.Sprintf("  IPv4 network %-15s  subnet mask %-15s  gateway %s\n", e.Destination.Addr(), mask, e.Gateway)
		}
	}
	if routes := t.of(false); len(routes) > 0 {
		text += "Home Network / Network / Network Settings / Additional Settings / Static Routing Table / IPv6 Routes / New IPv6 Route\n"
		for _, e := range routes {
			text += fmt.Sprintf("  IPv6 network %s  prefix length %d  gateway %s\n", e.Destination.Addr(), e.Destination.Bits(), e.Gateway)
		}
	}
	return text
}
