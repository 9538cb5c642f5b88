package routes

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// MaxOption is the length of a DHCP option, in bytes, up to which the server need not split it, which not all can (R12, RFC 3396).
const MaxOption = 255

// OptionLength returns the length of the DHCP option with these routes and the default route, in bytes.
func OptionLength(entries []Entry) int {
	return len((&table{Options{Gateway: netip.IPv4Unspecified()}, entries, ""}).option())
}

// classlessRoutes returns the routes of the option, the default route last (R11).
func (t *table) classlessRoutes() []Entry {
	routes := slices.DeleteFunc(slices.Clone(t.entries), func(e Entry) bool { return e.Problem != "" || !e.Destination.Addr().Is4() })
	return append(routes, Entry{Destination: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Gateway: t.Gateway})
}

// option encodes the routes: the prefix length, as many bytes of the network as it covers, and the router (R10, RFC 3442).
func (t *table) option() (all []byte) {
	for _, e := range t.classlessRoutes() {
		network, router := e.Destination.Addr().As4(), e.Gateway.As4()
		all = append(all, byte(e.Destination.Bits()))
		all = append(all, network[:(e.Destination.Bits()+7)/8]...)
		all = append(all, router[:]...)
	}
	return all
}

// withoutOption returns comments about the entries that are not in a DHCP option.
func (t *table) withoutOption() string {
	return t.lines(func(e Entry) string {
		return e.by("", comment(t.comment, e, fmt.Sprintf("no DHCP option has routes for IPv6 (%s): see -o radvd", e.Destination)))
	})
}

func decimal(option []byte, separator string) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(option), "[]"), " ", separator)
}

// list returns the routes, with what stands between a destination and its router, and between routes.
func (t *table) list(via, separator string) string {
	var routes []string
	for _, e := range t.classlessRoutes() {
		routes = append(routes, e.Destination.String()+via+e.Gateway.String())
	}
	return strings.Join(routes, separator)
}

// dnsmasqOption returns a line of dnsmasq.conf. The tag is the interface: clients elsewhere keep their default route (R9).
func (t *table) dnsmasqOption(code int) string {
	return fmt.Sprintf("dhcp-option=tag:%s,%d,%s", t.Interface, code, t.list(",", ","))
}

// dnsmasq writes lines of dnsmasq.conf: option 121 and, for older Windows, 249 (R12).
func dnsmasq(t *table) string {
	return t.dnsmasqOption(121) + "\n" + t.dnsmasqOption(249) + "\n"
}

// maxLine is the longest line that dnsmasq reads (MAXDNAME in its dns-protocol.h).
const maxLine = 1024

// dnsmasqLoads returns an error for options that keep dnsmasq from starting (R9), OpenWrt's as well.
func dnsmasqLoads(t *table) error {
	if len(t.option()) > MaxOption || len(t.dnsmasqOption(121)) > maxLine {
		return fmt.Errorf("%d routes are too many for dnsmasq, which does not start with an option of more than %d bytes or a line of more than %d: "+
			"give the router the routes instead, such as by -o openwrt or -o ip, or use a DHCP server that splits options, such as by -o kea", len(t.classlessRoutes())-1, MaxOption, maxLine)
	}
	return nil
}

func openWrtDHCP(t *table) string {
	return fmt.Sprintf("# those of an earlier run go before: uci show dhcp.%[1]s.dhcp_option\n"+
		"uci add_list dhcp.%[1]s.dhcp_option='121,%[2]s'\nuci add_list dhcp.%[1]s.dhcp_option='249,%[2]s'\n"+
		"uci commit dhcp\n/etc/init.d/dnsmasq restart\n", t.Interface, t.list(",", ","))
}

// routerOSLoads returns an error for options that RouterOS is not known to split (R9).
func routerOSLoads(t *table) error {
	if n := len(t.option()); n > MaxOption {
		return fmt.Errorf("%d routes are too many for RouterOS' DHCP server: RouterOS takes at most %d bytes (not tried), and the option has %d: "+
			"give the router the routes instead, by -o routeros", len(t.classlessRoutes())-1, MaxOption, n)
	}
	return nil
}

// routerOSDHCP writes commands that can be repeated. Only the networks of the LAN's router get the options, beside those that
// they have (R9). If a line is refused, the last one finds no option to assign.
func routerOSDHCP(t *table) string {
	var text strings.Builder
	networks := fmt.Sprintf("[/ip dhcp-server network find gateway=%s]", t.Gateway)
	fmt.Fprintf(&text, ":if ([:len %s] = 0) do={:error \"no DHCP network has the gateway %s\"}\n", networks, t.Gateway)
	for _, code := range []int{121, 249} {
		option, value := fmt.Sprintf("name=minilb%d", code), "value=0x"+hex.EncodeToString(t.option())
		fmt.Fprintf(&text, ":if ([:len [/ip dhcp-server option find %s]] = 0) do={/ip dhcp-server option add %[1]s code=%d %s} "+
			"else={/ip dhcp-server option set [/ip dhcp-server option find %[1]s] %[3]s}\n", option, code, value)
	}
	fmt.Fprintf(&text, ":foreach n in=%s do={:local keep \"\"; "+
		":foreach o in=[:toarray [/ip dhcp-server network get $n dhcp-option]] do={"+
		":if ($o != \"\" && $o != \"minilb121\" && $o != \"minilb249\") do={:set keep ($keep . $o . \",\")}}; "+
		"/ip dhcp-server network set $n dhcp-option=($keep . \"minilb121,minilb249\")}\n", networks)
	return text.String()
}

// vyOSDHCP writes commands of the configuration mode. VyOS adds the default route itself (kea_parse_options in vyos-1x).
func vyOSDHCP(t *table) string {
	var text strings.Builder
	network := fmt.Sprintf("set service dhcp-server shared-network-name %s subnet %s option", t.Interface, t.Subnet)
	routes := t.classlessRoutes()
	for _, e := range routes[:len(routes)-1] {
		fmt.Fprintf(&text, "%s static-route %s next-hop %s\n", network, e.Destination, e.Gateway)
	}
	fmt.Fprintf(&text, "%s default-router %s\n", network, t.Gateway)
	return text.String()
}

// kea writes an option-data list for a subnet, in hex, which all versions of Kea accept.
func kea(t *table) string {
	option := hex.EncodeToString(t.option())
	return fmt.Sprintf("// in the subnet of the router %s, beside the options that it has\n", t.Gateway) + fmt.Sprintf(`"option-data": [
  {"code": 121, "space": "dhcp4", "csv-format": false, "data": %q},
  {"code": 249, "space": "dhcp4", "csv-format": false, "data": %q}
]
`, option, option)
}

// iscDHCP writes lines of dhcpd.conf. dhcpd runs the statements of classes last, so that the router is known (R9).
func iscDHCP(t *table) string {
	option, router := decimal(t.option(), ", "), t.Gateway.As4()
	return "# outside of all subnets\n" +
		"option rfc3442-classless-static-routes code 121 = array of unsigned integer 8;\n" +
		"option ms-classless-static-routes code 249 = array of unsigned integer 8;\n" +
		fmt.Sprintf("# for clients that are given the router %s: those of other networks keep theirs\n", t.Gateway) +
		"class \"minilb\" {\n  match if exists dhcp-message-type;\n" +
		fmt.Sprintf("  if substring(config-option routers, 0, 4) = %02x:%02x:%02x:%02x {\n", router[0], router[1], router[2], router[3]) +
		"    option rfc3442-classless-static-routes " + option + ";\n" +
		"    option ms-classless-static-routes " + option + ";\n  }\n}\n"
}

func option121(t *table) string {
	option := t.option()
	return fmt.Sprintf("# %d bytes: %s\nhex %s\ndecimal %s\n",
		len(option), t.list(" via ", ", "), hex.EncodeToString(option), decimal(option, ","))
}
