package routes

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// payloads are what a hostile API server or node may write in place of a name, a podCIDR or an address: each ends
// a word, a string, a comment or a line in one of the languages of the formats, and then makes a file PWNED.
var payloads = []string{
	"a\n:>PWNED", "a\r\n:>PWNED\r\n", "a;:>PWNED", "$(:>PWNED)", "`:>PWNED`", "a' ; :>PWNED ; '", `a" ; :>PWNED ; "`, "a&&:>PWNED", "a|:>PWNED", "a>PWNED", "#\n:>PWNED",
	"\\\n:>PWNED", "a\x00b", "\x1b[2J", "\u202eb", "\xff\xfe", "\u2028:>PWNED",
	"node\"; /system reset-configuration; :put \"", "node]; /system reboot; [", // RouterOS
	"a: {b: c}\n  renderer: pwned", "!!python/object/apply:os.system [':>PWNED']", "*a", "&a", "- a", "%TAG", // YAML
	"a\n[Match]\nName=*", "a\n!\nhostname pwned", "a */ # //", "}; };\ninterface x {", "\"}]}, \"hooks-libraries\": [", // networkd, FRR, dhcpd, radvd, Kea
	"%COMSPEC%&calc", "a^&calc", "\n*/5 * * * * root :>PWNED", "--help", "-rf", "../../etc/passwd", "0.0.0.0/0 via 6.6.6.6", strings.Repeat("a", 1<<16),
}

// hostileNodes have each of the payloads as a name, as a podCIDR, and as an InternalIP. None has a route, but some have
// comments, behind the routes of nodes that are called so.
func hostileNodes() (nodes []*corev1.Node) {
	for i, payload := range payloads {
		nodes = append(nodes, hostileNode(payload, fmt.Sprintf("10.66.%d.0/24", i), "192.168.1.66"),
			hostileNode(fmt.Sprintf("pod-cidr-%d", i), payload, "192.168.1.66"), hostileNode(fmt.Sprintf("pod-ip-%d", i), "10.67.0.0/24", payload))
	}
	return nodes
}

func hostileNode(name, cidr, ip string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDRs: []string{cidr}},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}, {Type: corev1.NodeHostName, Address: name}}}}
}

// grammars are the lines that a format can have: NOTE, NAME, CIDR, ADDR and IFACE stand for such. JSON has its own parser.
var grammars = map[string]string{
	"ip": `# NOTE|ip (-6 )?route (replace|del) CIDR via ADDR`,
	"routeros": `# NOTE|/(ip|ipv6) route (add dst-address=CIDR gateway=ADDR comment="minilb NAME"|remove \[find dst-address=CIDR comment="minilb NAME"\]|` +
		`set \[find dst-address=CIDR comment="minilb NAME"\] gateway=ADDR comment="minilb NAME")`,
	"onlink":  `# NOTE|ip route replace CIDR dev IFACE`,
	"openwrt": `# NOTE|uci set network\.minilb_[a-z0-9_]+(=route6?|\.interface='IFACE'|\.target='CIDR'|\.gateway='ADDR')|uci commit network|/etc/init\.d/network reload`,
	"vyos":    `# NOTE|set protocols static route6? CIDR next-hop ADDR`,
	"frr":     `! NOTE|(no )?(ip|ipv6) route CIDR ADDR`,
	"frr-k8s": `# NOTE|---|apiVersion: frrk8s\.metallb\.io/v1beta1|kind: FRRConfiguration|metadata:|  name: "minilb-ipv[46]-NAME"|spec:|  nodeSelector:|    matchLabels:|` +
		`      kubernetes\.io/hostname: "NAME"|  bgp:|    routers:|    - asn: \d+|      prefixes: \["CIDR"(, "CIDR")*\]|      neighbors:|      - address: "ADDR"|` +
		`        dynamicASN: external|        toAdvertise:|          allowed:|            prefixes: \["CIDR"(, "CIDR")*\]`,
	"bird": `# NOTE|protocol static minilb_ipv[46] {|\tipv[46];|\troute CIDR via ADDR; # NAME|}`,
	"opnsense": `# NOTE|# OPNSENSE is the URL, KEY and SECRET are those of a user who may edit gateways and static routes|curl -sSf -u "\$KEY:\$SECRET" -H 'Content-Type: application/json' -d '(` +
		`{"gateway_item":{"descr":"minilb NAME","gateway":"ADDR","interface":"IFACE","ipprotocol":"inet6?","monitor_disable":"1","name":"minilb_[a-z0-9_]{1,24}"}}|` +
		`{"route":{"descr":"minilb NAME","disabled":"0","gateway":"minilb_[a-z0-9_]{1,24}","network":"CIDR"}}|{})' "\$OPNSENSE/api/(routing/settings/(addGateway|reconfigure)|routes/routes/(addroute|reconfigure))"`,
	"pfsense": `# NOTE|# in the element (gateways|staticroutes), beside what it has|</?(gateway_item|route)>|\t<interface>IFACE</interface>|\t<gateway>(ADDR|minilb_[a-z0-9_]{1,24})</gateway>|` +
		`\t<name>minilb_[a-z0-9_]{1,24}</name>|\t<weight>1</weight>|\t<ipprotocol>inet6?</ipprotocol>|\t<monitor_disable></monitor_disable>|\t<descr>minilb NAME</descr>|\t<network>CIDR</network>`,
	"unifi": `# NOTE|# UNIFI is the URL of the gateway or console, KEY an API key of it|curl -sSf -H "X-API-KEY: \$KEY" -H 'Content-Type: application/json' -d '` +
		`{"enabled":true,"name":"minilb [a-z0-9.-]{1,121}","static-route_distance":1,"static-route_network":"CIDR","static-route_nexthop":"ADDR","static-route_type":"nexthop-route","type":"static-route"}` +
		`' "\$UNIFI/proxy/network/api/s/default/rest/routing"`,
	"fritzbox": `# NOTE|Home Network / Network / Network Settings / Additional Settings / Static Routing Table / IPv[46] Routes / New IPv[46] Route|` +
		`  IPv4 network ADDR +subnet mask ADDR +gateway ADDR|  IPv6 network ADDR  prefix length \d+  gateway ADDR`,
	"wireguard": `# NOTE|# in the section Peer of the LAN's router, at each client|AllowedIPs = CIDR # NAME`,
	"tailscale": `# NOTE|# it replaces the routes that this machine advertises: add those of others|tailscale set --advertise-routes=CIDR(,CIDR)*`,
	"junos":     `# NOTE|set routing-options (rib inet6\.0 )?static route CIDR next-hop ADDR`,
	"networkd":  `# NOTE|# node NAME|\[Route\]|Destination=CIDR|Gateway=ADDR|`,
	"netplan":   `network:|  version: 2|  ethernets:|    "IFACE":|      routes:|        # NOTE|        - to: "CIDR"|          via: "ADDR"`,
	"windows":   `REM NOTE|route -p add CIDR ADDR`,
	"dnsmasq":   `# NOTE|dhcp-option=tag:IFACE,(121|249)(,CIDR,ADDR)+`,
	"openwrt-dhcp": `# NOTE|# those of an earlier run go before: uci show dhcp\.IFACE\.dhcp_option|uci add_list dhcp\.IFACE\.dhcp_option='(121|249)(,CIDR,ADDR)+'|` +
		`uci commit dhcp|/etc/init\.d/dnsmasq restart`,
	"kea": `// NOTE|// in the subnet of the router ADDR, beside the options that it has|"option-data": \[|  {"code": (121|249), "space": "dhcp4", "csv-format": false, "data": "[0-9a-f]+"},?|\]`,
	"isc": `# NOTE|# outside of all subnets|option (rfc3442|ms)-classless-static-routes code \d+ = array of unsigned integer 8;|# for clients that are given the router ADDR: those of other networks keep theirs|` +
		`class "minilb" {|  match if exists dhcp-message-type;|  if substring\(config-option routers, 0, 4\) = [0-9a-f:]+ {|    option (rfc3442|ms)-classless-static-routes [0-9, ]+;|  }|}`,
	"routeros-dhcp": `# NOTE|:if \(\[:len \[/ip dhcp-server network find gateway=ADDR\]\] = 0\) do={:error "no DHCP network has the gateway ADDR"}|` +
		`:if \(\[:len \[/ip dhcp-server option find name=minilb\d+\]\] = 0\) do={/ip dhcp-server option add name=minilb\d+ code=\d+ value=0x[0-9a-f]+} ` +
		`else={/ip dhcp-server option set \[/ip dhcp-server option find name=minilb\d+\] value=0x[0-9a-f]+}|:foreach n in=\[/ip dhcp-server network find gateway=ADDR\] do={.*}`,
	"vyos-dhcp": `# NOTE|set service dhcp-server shared-network-name IFACE subnet CIDR option (static-route CIDR next-hop|default-router) ADDR`,
	"option121": `# NOTE|# \d+ bytes: CIDR via ADDR(, CIDR via ADDR)*|hex [0-9a-f]+|decimal [0-9,]+`,
	"radvd":     `# NOTE|# /etc/radvd\.conf of node NAME|interface IFACE {|\tAdvSendAdvert on;|\tAdvDefaultLifetime 0;|\troute CIDR {|\t\tAdvRouteLifetime 1800;|\t};|};`,
}

// lines are the grammars of the formats. What stands in a NOTE has no meaning in any of the languages, not even where it is
// no comment: a shell that people type at may know none.
var lines = func() map[string]*regexp.Regexp {
	words := strings.NewReplacer("NOTE", `node NAME: [A-Za-z0-9 .,:/()"'?%_-]+`, "NAME", `[a-z0-9]([a-z0-9.-]*[a-z0-9])?`,
		"CIDR", `[0-9a-f.:]+/\d+`, "ADDR", `[0-9a-f.:]+`, "IFACE", `[A-Za-z0-9_][A-Za-z0-9._-]*`)
	all := map[string]*regexp.Regexp{}
	for name, grammar := range grammars {
		all[name] = regexp.MustCompile("^(" + words.Replace(words.Replace(grammar)) + ")$")
	}
	return all
}()

// conforms looks whether all lines are of the format.
func conforms(t *testing.T, format, text string) {
	t.Helper()
	if format == "json" {
		for decoder := json.NewDecoder(strings.NewReader(text)); decoder.More(); {
			var document any
			if err := decoder.Decode(&document); err != nil {
				t.Errorf("%v in %q", err, text)
				return
			}
		}
		return
	}
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, "\n") || len(line) > 1<<14 || !lines[format].MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("%s has a line %.300q", format, line)
		}
	}
}

// inAll calls check with what each format makes of the nodes, and of what has changed since there were none, and until there
// are none again. An interface that a format refuses is left out.
func inAll(t *testing.T, iface string, nodes []*corev1.Node, check func(t *testing.T, format, text string)) {
	t.Helper()
	gateway, entries := netip.MustParseAddr("192.168.1.1"), LAN{}.fromNodes(nodes)
	moved := slices.Clone(entries)
	for i := range moved {
		if moved[i].Problem == "" {
			moved[i].Gateway = moved[i].Gateway.Next()
		}
	}
	for _, f := range Formats {
		options := Options{Gateway: gateway}
		if f.Subnet {
			options.Subnet = netip.MustParsePrefix("192.168.1.0/24")
		}
		if f.Tagged || f.OnLink || f.Default != "" {
			options.Interface = iface
		}
		if text, err := f.Write(entries, options); err == nil {
			check(t, f.Name, text)
		}
		if f.change == nil {
			continue
		}
		for _, changes := range [][]Change{Changes(nil, entries), Changes(entries, moved), Changes(entries, nil)} {
			if text, err := f.WriteChanges(changes); err == nil {
				check(t, f.Name, text)
			}
		}
	}
}

// R15: whatever Nodes have in them, and whatever is given for an interface, each format is made of its own lines.
func FuzzFormats(f *testing.F) {
	for i, payload := range payloads {
		f.Add(payload, "10.244.9.0/24", "192.168.1.39", "lan")
		f.Add("node9", payload, payloads[(i+7)%len(payloads)], payload)
	}
	f.Add("node.9-x", "fd00:9::/64", "2001:db8::39", "br-lan")
	f.Add("node1", "fd00:9::1%eth0/64", "fe80::1%eth0", "eth0.10")
	f.Add("node2", "::ffff:10.0.0.0/120", "::ffff:192.168.1.39", "eth0")
	f.Fuzz(func(t *testing.T, name, cidr, ip, iface string) {
		nodes := append(slices.Clone(routed), hostileNode(name, cidr, ip), hostileNode("node8", cidr, "192.168.1.38"), hostileNode("node7", "10.244.7.0/24", ip))
		nodes[len(nodes)-1].Spec.PodCIDRs = append(nodes[len(nodes)-1].Spec.PodCIDRs, "fd00:7::/64", cidr)
		inAll(t, iface, nodes, conforms)
	})
}

// Each format has a grammar.
func TestGrammars(t *testing.T) {
	seen := map[string]bool{}
	inAll(t, "lan", slices.Concat(routed, hostileNodes()), func(t *testing.T, format, text string) {
		conforms(t, format, text)
		seen[format] = text != ""
	})
	for _, f := range Formats {
		if !seen[f.Name] || lines[f.Name] == nil && f.Name != "json" {
			t.Errorf("%s is not looked at", f.Name)
		}
	}
}

// R15: a shell runs the routes of the formats that are for one, and nothing else, also one that takes comments
// for commands, as zsh does at a prompt.
func TestShell(t *testing.T) {
	for name, shell := range map[string][]string{"sh": {"sh"}, "prompt": {"bash", "--norc", "--noprofile", "+O", "interactive_comments", "-i"}} {
		for _, format := range []string{"ip", "onlink", "openwrt", "openwrt-dhcp", "opnsense", "unifi", "tailscale"} {
			t.Run(name+" "+format, func(t *testing.T) {
				path := program(t, shell[0], shell[0])
				if got, want := ran(t, path, shell[1:], written(t, format, LAN{}.fromNodes(slices.Concat(hostileNodes(), routed)))), ran(t, path, shell[1:], written(t, format, LAN{}.fromNodes(routed))); got != want || !strings.Contains(want, "10.244.0.0/24") {
					t.Errorf("got\n%swant\n%s", got, want)
				}
			})
		}
	}
}

// ran returns which of the commands that it knows a shell has run, with their arguments, and looks whether it has made a file.
func ran(t *testing.T, shell string, args []string, text string) string {
	t.Helper()
	dir, commands := t.TempDir(), []string{"curl", "dnsmasq", "ip", "network", "tailscale", "uci"}
	for _, command := range commands {
		write(t, filepath.Join(dir, command), "#!/bin/sh\nprintf '%s' \"${0##*/}\" >>ran\nprintf ' <%s>' \"$@\" >>ran\necho >>ran\n")
		if err := os.Chmod(filepath.Join(dir, command), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), shell, args...)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + dir, "HOME=" + dir, "HISTFILE="}
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(text, "/etc/init.d/", dir+"/") + "exit 0\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%.2000s", err, out)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if file.Name() != "ran" && !slices.Contains(commands, file.Name()) {
			t.Errorf("it has made the file %q", file.Name())
		}
	}
	out, err := os.ReadFile(filepath.Join(dir, "ran"))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
