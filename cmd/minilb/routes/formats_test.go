package routes

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// formatNodes have routes of both families, and one has none.
func formatNodes() []Entry {
	return LAN{}.fromNodes([]*corev1.Node{
		node("node1", "10.244.0.0/24", "192.168.1.30"),
		node("node2", "10.244.1.0/24 fd00:1::/64", "192.168.1.31 2001:db8::31"),
		node("old", "", "192.168.1.32"),
	})
}

// tag is the interface of the LAN for a format that needs its name.
func tag(format Format) string {
	if format.Tagged || format.OnLink {
		return "br-lan"
	}
	return ""
}

// The forms of semantics §7.1, and R9.
func TestFormats(t *testing.T) {
	const problem = " node old: no podCIDRs: nothing has set any\n"
	for name, want := range map[string]string{
		"ip": "ip route replace 10.244.0.0/24 via 192.168.1.30\nip route replace 10.244.1.0/24 via 192.168.1.31\n" +
			"ip -6 route replace fd00:1::/64 via 2001:db8::31\n#" + problem,
		"onlink": "ip route replace 10.244.0.0/24 dev br-lan\nip route replace 10.244.1.0/24 dev br-lan\n#" + problem,
		"routeros": "/ip route add dst-address=10.244.0.0/24 gateway=192.168.1.30 comment=\"minilb node1\"\n" +
			"/ip route add dst-address=10.244.1.0/24 gateway=192.168.1.31 comment=\"minilb node2\"\n" +
			"/ipv6 route add dst-address=fd00:1::/64 gateway=2001:db8::31 comment=\"minilb node2\"\n#" + problem,
		"openwrt": "uci set network.minilb_node1=route\nuci set network.minilb_node1.interface='lan'\n" +
			"uci set network.minilb_node1.target='10.244.0.0/24'\nuci set network.minilb_node1.gateway='192.168.1.30'\n" +
			"uci set network.minilb_node2=route\nuci set network.minilb_node2.interface='lan'\n" +
			"uci set network.minilb_node2.target='10.244.1.0/24'\nuci set network.minilb_node2.gateway='192.168.1.31'\n" +
			"uci set network.minilb_node2_6=route6\nuci set network.minilb_node2_6.interface='lan'\n" +
			"uci set network.minilb_node2_6.target='fd00:1::/64'\nuci set network.minilb_node2_6.gateway='2001:db8::31'\n#" + problem +
			"uci commit network\n/etc/init.d/network reload\n",
		"vyos": "set protocols static route 10.244.0.0/24 next-hop 192.168.1.30\nset protocols static route 10.244.1.0/24 next-hop 192.168.1.31\n" +
			"set protocols static route6 fd00:1::/64 next-hop 2001:db8::31\n#" + problem,
		"frr": "ip route 10.244.0.0/24 192.168.1.30\nip route 10.244.1.0/24 192.168.1.31\nipv6 route fd00:1::/64 2001:db8::31\n!" + problem,
		"junos": "set routing-options static route 10.244.0.0/24 next-hop 192.168.1.30\nset routing-options static route 10.244.1.0/24 next-hop 192.168.1.31\n" +
			"set routing-options rib inet6.0 static route fd00:1::/64 next-hop 2001:db8::31\n#" + problem,
		"networkd": "# node node1\n[Route]\nDestination=10.244.0.0/24\nGateway=192.168.1.30\n\n# node node2\n[Route]\nDestination=10.244.1.0/24\nGateway=192.168.1.31\n\n" +
			"# node node2\n[Route]\nDestination=fd00:1::/64\nGateway=2001:db8::31\n\n#" + problem,
		"netplan": "network:\n  version: 2\n  ethernets:\n    \"eth0\":\n      routes:\n        - to: \"10.244.0.0/24\"\n          via: \"192.168.1.30\"\n" +
			"        - to: \"10.244.1.0/24\"\n          via: \"192.168.1.31\"\n        - to: \"fd00:1::/64\"\n          via: \"2001:db8::31\"\n        #" + problem,
		"windows": "route -p add 10.244.0.0/24 192.168.1.30\nroute -p add 10.244.1.0/24 192.168.1.31\nroute -p add fd00:1::/64 2001:db8::31\nREM" + problem,
		"radvd":   "# /etc/radvd.conf of node node2\ninterface eth0 {\n\tAdvSendAdvert on;\n\tAdvDefaultLifetime 0;\n\troute fd00:1::/64 {\n\t\tAdvRouteLifetime 1800;\n\t};\n};\n#" + problem,
		// R10, R11, R12
		"dnsmasq": "# node node2: no DHCP option has routes for IPv6 (fd00:1::/64): see -o radvd\n#" + problem +
			"dhcp-option=tag:br-lan,121,10.244.0.0/24,192.168.1.30,10.244.1.0/24,192.168.1.31,0.0.0.0/0,192.168.1.1\n" +
			"dhcp-option=tag:br-lan,249,10.244.0.0/24,192.168.1.30,10.244.1.0/24,192.168.1.31,0.0.0.0/0,192.168.1.1\n",
		"kea": "// node node2: no DHCP option has routes for IPv6 (fd00:1::/64): see -o radvd\n//" + problem +
			"// in the subnet of the router 192.168.1.1, beside the options that it has\n\"option-data\": [\n  {\"code\": 121, \"space\": \"dhcp4\", \"csv-format\": false, \"data\": \"180af400c0a8011e180af401c0a8011f00c0a80101\"},\n" +
			"  {\"code\": 249, \"space\": \"dhcp4\", \"csv-format\": false, \"data\": \"180af400c0a8011e180af401c0a8011f00c0a80101\"}\n]\n",
		"isc": "# node node2: no DHCP option has routes for IPv6 (fd00:1::/64): see -o radvd\n#" + problem +
			"# outside of all subnets\noption rfc3442-classless-static-routes code 121 = array of unsigned integer 8;\noption ms-classless-static-routes code 249 = array of unsigned integer 8;\n" +
			"# for clients that are given the router 192.168.1.1: those of other networks keep theirs\nclass \"minilb\" {\n  match if exists dhcp-message-type;\n" +
			"  if substring(config-option routers, 0, 4) = c0:a8:01:01 {\n" +
			"    option rfc3442-classless-static-routes 24, 10, 244, 0, 192, 168, 1, 30, 24, 10, 244, 1, 192, 168, 1, 31, 0, 192, 168, 1, 1;\n" +
			"    option ms-classless-static-routes 24, 10, 244, 0, 192, 168, 1, 30, 24, 10, 244, 1, 192, 168, 1, 31, 0, 192, 168, 1, 1;\n  }\n}\n",
		"openwrt-dhcp": "# node node2: no DHCP option has routes for IPv6 (fd00:1::/64): see -o radvd\n#" + problem +
			"# those of an earlier run go before: uci show dhcp.lan.dhcp_option\n" +
			"uci add_list dhcp.lan.dhcp_option='121,10.244.0.0/24,192.168.1.30,10.244.1.0/24,192.168.1.31,0.0.0.0/0,192.168.1.1'\n" +
			"uci add_list dhcp.lan.dhcp_option='249,10.244.0.0/24,192.168.1.30,10.244.1.0/24,192.168.1.31,0.0.0.0/0,192.168.1.1'\n" +
			"uci commit dhcp\n/etc/init.d/dnsmasq restart\n",
		"routeros-dhcp": "# node node2: no DHCP option has routes for IPv6 (fd00:1::/64): see -o radvd\n#" + problem +
			":if ([:len [/ip dhcp-server network find gateway=192.168.1.1]] = 0) do={:error \"no DHCP network has the gateway 192.168.1.1\"}\n" +
			":if ([:len [/ip dhcp-server option find name=minilb121]] = 0) do={/ip dhcp-server option add name=minilb121 code=121 value=0x180af400c0a8011e180af401c0a8011f00c0a80101} " +
			"else={/ip dhcp-server option set [/ip dhcp-server option find name=minilb121] value=0x180af400c0a8011e180af401c0a8011f00c0a80101}\n" +
			":if ([:len [/ip dhcp-server option find name=minilb249]] = 0) do={/ip dhcp-server option add name=minilb249 code=249 value=0x180af400c0a8011e180af401c0a8011f00c0a80101} " +
			"else={/ip dhcp-server option set [/ip dhcp-server option find name=minilb249] value=0x180af400c0a8011e180af401c0a8011f00c0a80101}\n" +
			":foreach n in=[/ip dhcp-server network find gateway=192.168.1.1] do={:local keep \"\"; :foreach o in=[:toarray [/ip dhcp-server network get $n dhcp-option]] do={" +
			":if ($o != \"\" && $o != \"minilb121\" && $o != \"minilb249\") do={:set keep ($keep . $o . \",\")}}; " +
			"/ip dhcp-server network set $n dhcp-option=($keep . \"minilb121,minilb249\")}\n",
		"vyos-dhcp": "# node node2: no DHCP option has routes for IPv6 (fd00:1::/64): see -o radvd\n#" + problem +
			"set service dhcp-server shared-network-name LAN subnet 192.168.1.0/24 option static-route 10.244.0.0/24 next-hop 192.168.1.30\n" +
			"set service dhcp-server shared-network-name LAN subnet 192.168.1.0/24 option static-route 10.244.1.0/24 next-hop 192.168.1.31\n" +
			"set service dhcp-server shared-network-name LAN subnet 192.168.1.0/24 option default-router 192.168.1.1\n",
		"option121": "# node node2: no DHCP option has routes for IPv6 (fd00:1::/64): see -o radvd\n#" + problem +
			"# 21 bytes: 10.244.0.0/24 via 192.168.1.30, 10.244.1.0/24 via 192.168.1.31, 0.0.0.0/0 via 192.168.1.1\n" +
			"hex 180af400c0a8011e180af401c0a8011f00c0a80101\ndecimal 24,10,244,0,192,168,1,30,24,10,244,1,192,168,1,31,0,192,168,1,1\n",
	} {
		format, err := FormatByName(name)
		if err != nil {
			t.Fatal(err)
		}
		options := Options{Interface: tag(format)}
		if format.Gateway {
			options.Gateway = netip.MustParseAddr("192.168.1.1")
		}
		if format.Subnet {
			options.Subnet = netip.MustParsePrefix("192.168.1.0/24")
		}
		for _, router := range []netip.Addr{options.Gateway, netip.MustParseAddr("192.168.1.1")} { // which each format takes (R7)
			options.Gateway = router
			got, err := format.Write(formatNodes(), options)
			if err != nil || got != want {
				t.Errorf("%s: %v, got\n%swant\n%s", name, err, got, want)
			}
		}
	}
}

// R10: as many bytes of the network as its width takes.
func TestOptionWidths(t *testing.T) {
	for cidr, want := range map[string]string{
		"10.96.128.0/17": "110a6080c0a8011e",
		"10.0.0.0/8":     "080ac0a8011e",
		"10.128.0.0/9":   "090a80c0a8011e",
		"10.244.1.7/32":  "200af40107c0a8011e",
	} {
		entries := LAN{}.fromNodes([]*corev1.Node{node("a", cidr, "192.168.1.30")})
		got := option121(&table{Options{Gateway: netip.MustParseAddr("192.168.1.1")}, entries, ""})
		if !strings.Contains(got, "\nhex "+want+"00c0a80101\n") {
			t.Errorf("%s: got\n%s, want %s", cidr, got, want)
		}
	}
}

// R12: 31 routes of a /24 and the default route fit.
func TestOptionLength(t *testing.T) {
	var nodes []*corev1.Node
	for i := range 32 {
		nodes = append(nodes, node(fmt.Sprintf("n%02d", i), netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(i), 0}), 24).String(), "192.168.1.30"))
	}
	if n := OptionLength(LAN{}.fromNodes(nodes[:31])); n != 253 || n > MaxOption {
		t.Errorf("31 routes take %d bytes", n)
	}
	if n := OptionLength(LAN{}.fromNodes(nodes)); n != 261 || n <= MaxOption {
		t.Errorf("32 routes take %d bytes", n)
	}
	if MaxOption != 255 {
		t.Error("an option has 255 bytes")
	}
}

// R11: an option without the default route would cut clients off.
func TestFormatErrors(t *testing.T) {
	for _, tc := range []struct{ format, iface, gateway, want string }{
		{"dnsmasq", "", "", "name the LAN's router with -gateway: a client that gets option 121 ignores the router of option 3"},
		{"kea", "", "2001:db8::1", "-gateway 2001:db8::1: want the IPv4 address"},
		{"ip", "eth0", "", "-interface: ip has none"},
		{"dnsmasq", "", "192.168.1.1", "with -interface, such as br-lan or eth0: clients on its other networks would lose their default route"},
		{"dnsmasq", "lan,121", "192.168.1.1", "is not the name of an interface"},
		{"netplan", "eth0:\n x", "", "is not the name of an interface"},
		{"openwrt", "lan'; reboot", "", "is not the name of an interface"},
		{"openwrt-dhcp", "$(reboot)", "192.168.1.1", "is not the name of an interface: want letters, digits, dots, hyphens and underscores"},
		{"onlink", "", "", "name this host's interface to the LAN with -interface, such as br-lan or eth0: onlink needs it, as its route has no next hop"},
		{"radvd", "-eth0", "", "is not the name of an interface"},
		{"frr-k8s", "", "", "name the LAN's router with -gateway: by frr-k8s the nodes tell it their routes"},
		{"pfsense", "<lan>", "", "is not the name of an interface"},
	} {
		format, err := FormatByName(tc.format)
		if err != nil {
			t.Fatal(err)
		}
		gateway, _ := netip.ParseAddr(tc.gateway)
		if text, err := format.Write(formatNodes(), Options{Interface: tc.iface, Gateway: gateway}); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") || text != "" {
			t.Errorf("%s: got %q and error %v, want %q", tc.format, text, err, tc.want)
		}
	}
	if text, err := Formats[0].Write(formatNodes(), Options{ASN: 64512}); err == nil || err.Error() != "-asn: ip has none" || text != "" {
		t.Errorf("got %q, %v", text, err)
	}
	if _, err := FormatByName("cisco"); err == nil || !strings.Contains(err.Error(), `-o "cisco": choose one of ip, json, routeros`) {
		t.Errorf("got %v", err)
	}
}

// R9: what dnsmasq does not load is not written, in either of its forms, by the option's length or by the
// line's, nor what RouterOS may not take; servers that split options get it.
func TestTooLong(t *testing.T) {
	for _, tc := range []struct {
		nodes            int
		network, gateway string
		fails            bool
	}{
		{31, "10.244.%d.0/24", "192.168.1.%d", false},
		{32, "10.244.%d.0/24", "192.168.1.%d", true},
		{29, "100.100.1%02d.0/24", "192.168.100.1%02d", false},
		{30, "100.100.1%02d.0/24", "192.168.100.1%02d", true}, // a line of 1,042
	} {
		var nodes []*corev1.Node
		for i := range tc.nodes {
			nodes = append(nodes, node(fmt.Sprintf("n%02d", i), fmt.Sprintf(tc.network, i), fmt.Sprintf(tc.gateway, i+50)))
		}
		for _, name := range []string{"dnsmasq", "openwrt-dhcp", "kea", "isc", "routeros-dhcp"} {
			format, err := FormatByName(name)
			if err != nil {
				t.Fatal(err)
			}
			text, err := format.Write(LAN{}.fromNodes(nodes), Options{Interface: tag(format), Gateway: netip.MustParseAddr("192.168.1.1")})
			fails, server := tc.fails && (name == "dnsmasq" || name == "openwrt-dhcp"), "dnsmasq, which does not start with"
			if name == "routeros-dhcp" {
				fails, server = tc.nodes > 31, "RouterOS' DHCP server: RouterOS takes at most 255 bytes"
			}
			if (err != nil) != fails || (text == "") != fails ||
				fails && !strings.HasPrefix(err.Error(), fmt.Sprintf("%d routes are too many for %s", tc.nodes, server)) {
				t.Errorf("%s of %d: got %q, %v", name, tc.nodes, text, err)
			}
		}
	}
}

// Where there is no route to write it is said why, and nothing is written but JSON's document.
func TestNoRoutes(t *testing.T) {
	const none = "no routes: no node has a podCIDR and an InternalIP that make one"
	four, six, bare := node("a", "10.244.0.0/24", "192.168.1.30"), node("b", "fd00:1::/64", "2001:db8::31"), node("c", "", "192.168.1.32")
	for _, f := range Formats {
		options := Options{Interface: tag(f)}
		if f.Gateway {
			options.Gateway = netip.MustParseAddr("192.168.1.1")
		}
		if f.Subnet {
			options.Subnet = netip.MustParsePrefix("192.168.1.0/24")
		}
		others := []string{"", "no routes: " + f.Name + " is for IPv4, and no node has", "no routes: " + f.Name + " is for IPv6, and no node has"}
		wrong := map[string]string{"no nodes": "no routes: the cluster has no nodes", "bare": none}
		switch {
		case f.BGP:
			wrong["IPv6"] = "no routes: a BGP session with 192.168.1.1 is for IPv4, and no node has"
		case f.Gateway || f.OnLink:
			wrong["IPv6"] = others[1]
		case f.Name == "radvd":
			wrong["IPv4"] = others[2]
		}
		for name, nodes := range map[string][]*corev1.Node{"no nodes": nil, "bare": {bare}, "IPv4": {four, bare}, "IPv6": {six, bare}} {
			text, err := f.Write(LAN{}.fromNodes(nodes), options)
			if want := wrong[name]; (err != nil) != (want != "") || err != nil && !strings.HasPrefix(err.Error(), want) || (text == "") != (err != nil && f.Name != "json") {
				t.Errorf("%s of %s: got %q, %v, want error %q", f.Name, name, text, err, want)
			}
		}
	}
}

// Sections have distinct names, whatever the nodes are called.
func TestDistinct(t *testing.T) {
	entries := LAN{}.fromNodes([]*corev1.Node{
		node("a-b", "10.0.1.0/24 fd00:1::/64", "192.168.1.30 2001:db8::30"), node("a.b", "10.0.2.0/24 fd00:2::/64", "192.168.1.31 2001:db8::31"),
		node("a-b-6", "10.0.3.0/24", "192.168.1.32"),
	})
	seen := map[string]bool{}
	for line := range strings.Lines(openWrt(&table{Options{Interface: "lan"}, entries, ""})) {
		if section, ok := strings.CutSuffix(strings.TrimSpace(line), "=route"); ok {
			seen[section] = true
		}
		if section, ok := strings.CutSuffix(strings.TrimSpace(line), "=route6"); ok {
			seen[section] = true
		}
	}
	if len(seen) != 5 {
		t.Errorf("got sections %v, want five", seen)
	}
}
