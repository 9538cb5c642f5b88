package routes

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Format is a way to write routes down.
type Format struct {
	Name     string // of -o
	About    string // the program that it is for
	Default  string // interface, "" if the format has none
	Gateway  bool   // needs the LAN's own router: for the default route of DHCP options (R11), or as the neighbor of BGP sessions
	BGP      bool   // BGP sessions, of the family of that router
	Subnet   bool   // names the LAN's IPv4 subnet
	Tagged   bool   // the interface to the LAN must be named: the routes are for the clients there only (R9)
	IPv6     bool   // for IPv6 only
	OnLink   bool   // is of LAN.OnLink, not FromNodes, and names the interface to the LAN, as there is no next hop (N1)
	Document bool   // is written even without any route
	Hint     string // advice for the user, "" for none

	comment string              // begins a comment; "" for "#"
	write   func(*table) string // returns the text, for DHCP options without the comments before
	loads   func(*table) error  // whether the format's program would load the routes; nil if it loads all
	change  func(Change) string // returns the lines of a Change that is not a comment; nil if the format has none
}

// Formats are all formats, in the order of the help.
var Formats = []Format{
	{Name: "ip", About: "iproute2 commands", Hint: FirewallHint, write: each(ipReplace), change: ipChange},
	{Name: "json", About: "for programs, see below", Document: true, write: jsonDocument, change: jsonChange},
	{Name: "routeros", About: "MikroTik RouterOS 7", Hint: FirewallHint, write: each(routerOS), change: routerOSChange},
	{Name: "openwrt", About: "OpenWrt's uci", Default: "lan", Hint: FirewallHint, write: openWrt},
	{Name: "vyos", About: "VyOS", Hint: FirewallHint, write: each(vyOS)},
	{Name: "frr", About: "FRRouting's vtysh", Hint: FirewallHint, comment: "!", write: each(frr), change: frrChange},
	{Name: "frr-k8s", About: "FRRConfigurations of frr-k8s, with -gateway", Gateway: true, BGP: true, Hint: FirewallHint, write: frrK8s},
	{Name: "bird", About: "BIRD 2, static protocols", Hint: FirewallHint, write: bird},
	{Name: "junos", About: "Juniper JunOS", Hint: FirewallHint, write: each(junOS)},
	{Name: "opnsense", About: "OPNsense, calls of its API", Default: "lan", Hint: FirewallHint, write: opnSense},
	{Name: "pfsense", About: "pfSense, XML for its config.xml", Default: "lan", Hint: FirewallHint, write: pfSense},
	{Name: "unifi", About: "UniFi gateways, calls of their API", Hint: FirewallHint, write: unifi},
	{Name: "fritzbox", About: "FRITZ!Box, what to type", Hint: FirewallHint, write: fritzBox},
	{Name: "networkd", About: "systemd.network sections", write: each(networkd)},
	{Name: "netplan", About: "netplan YAML", Default: "eth0", comment: "        #", write: netplan},
	{Name: "windows", About: "route.exe commands", comment: "REM", write: each(windows)},
	{Name: "wireguard", About: "AllowedIPs of the clients' peer", Hint: wireGuardHint, write: wireGuard},
	{Name: "tailscale", About: "a subnet router's command", Hint: tailscaleHint, write: tailscale},
	{Name: "onlink", About: "iproute2, one route for all nodes, see above", OnLink: true, Hint: onLinkHint, write: onLink},
	{Name: "dnsmasq", About: "DHCP options 121 and 249", Gateway: true, Tagged: true, Hint: optionHint, write: dnsmasq, loads: dnsmasqLoads},
	{Name: "openwrt-dhcp", About: "the same for OpenWrt's uci", Default: "lan", Gateway: true, Hint: optionHint, write: openWrtDHCP, loads: dnsmasqLoads},
	{Name: "kea", About: "the same for Kea, an option-data list", Gateway: true, Hint: optionHint, comment: "//", write: kea},
	{Name: "isc", About: "the same for ISC dhcpd", Gateway: true, Hint: optionHint, write: iscDHCP},
	{Name: "routeros-dhcp", About: "the same for RouterOS 7", Gateway: true, Hint: optionHint, write: routerOSDHCP, loads: routerOSLoads},
	{Name: "vyos-dhcp", About: "option 121 for VyOS 1.5, with -subnet", Default: "LAN", Gateway: true, Subnet: true, Hint: optionHint, write: vyOSDHCP},
	{Name: "option121", About: "the same in hex and in decimal", Gateway: true, Hint: optionHint, write: option121},
	{Name: "radvd", About: "IPv6, a radvd.conf for each node", Default: "eth0", IPv6: true, write: radvd},
}

// Options are what else a Format is written with.
type Options struct {
	Interface string       // of the router to the LAN, "" for the format's default
	Gateway   netip.Addr   // the LAN's own router
	ASN       uint32       // of the nodes in BGP, 0 for the format's default
	Subnet    netip.Prefix // of the LAN's DHCP server, without host bits
}

// table is the input of a Format.
type table struct {
	Options
	entries []Entry
	comment string
}

// problems writes the problems as comments.
func (t *table) problems() string { return t.lines(func(Entry) string { return "" }) }

// of returns the routes of a family.
func (t *table) of(is4 bool) []Entry {
	return slices.DeleteFunc(slices.Clone(t.entries), func(e Entry) bool { return e.Problem != "" || e.Destination.Addr().Is4() != is4 })
}

// FirewallHint is what a router that filters packets needs beside the routes (R14).
const FirewallHint = "if this router filters packets, accept LAN-to-podCIDR traffic statelessly: replies bypass this router"

// optionHint is that not every client requests option 121 (R12).
const optionHint = "give the router the routes, too: some clients ignore option 121, Android reportedly"

// DHCP reports whether the format has options for a DHCP server.
func (f Format) DHCP() bool { return f.Gateway && !f.BGP }

// FormatByName returns the format of routes of a name. Its error names those of ResolverFormats, too.
func FormatByName(name string) (Format, error) {
	i := slices.IndexFunc(Formats, func(f Format) bool { return f.Name == name })
	if i < 0 {
		names := formatNames(func(Format) bool { return true })
		for _, f := range ResolverFormats {
			names = append(names, f.Name)
		}
		return Format{}, fmt.Errorf("-o %q: choose one of %s", name, strings.Join(names, ", "))
	}
	return Formats[i], nil
}

func formatNames(wanted func(Format) bool) (names []string) {
	for _, f := range Formats {
		if wanted(f) {
			names = append(names, f.Name)
		}
	}
	return names
}

// interfaces are the names that have no other meaning in any format (R15).
var interfaces = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$`)

// Check returns an error for options that Write does not accept.
func (f Format) Check(o Options) error {
	switch {
	case !f.Subnet && o.Subnet.IsValid():
		return fmt.Errorf("-subnet: %s has none", f.Name)
	case f.Subnet && !o.Subnet.Addr().Is4():
		return fmt.Errorf("name the subnet of the LAN with -subnet, such as 192.168.1.0/24: %s needs it", f.Name)
	case !f.BGP && o.ASN != 0:
		return fmt.Errorf("-asn: %s has none", f.Name)
	case f.BGP && !o.Gateway.IsValid():
		return fmt.Errorf("name the LAN's router with -gateway: by %s the nodes tell it their routes", f.Name)
	case f.DHCP() && !o.Gateway.IsValid(): // R11
		return errors.New("name the LAN's router with -gateway: a client that gets option 121 ignores the router of option 3, " +
			"so that it loses the Internet unless the default route is among the routes (RFC 3442)")
	case f.DHCP() && !o.Gateway.Is4():
		return fmt.Errorf("-gateway %s: want the IPv4 address of the LAN's router, as option 121 is for IPv4 only", o.Gateway)
	case f.Subnet && !o.Subnet.Contains(o.Gateway):
		return fmt.Errorf("-gateway %s is not in -subnet %s: name the router of that network", o.Gateway, o.Subnet)
	case f.Tagged && o.Interface == "":
		return errors.New("name the DHCP server's interface to the LAN with -interface, such as br-lan or eth0: clients on its other networks would lose their default route")
	case f.OnLink && o.Interface == "":
		return fmt.Errorf("name this host's interface to the LAN with -interface, such as br-lan or eth0: %s needs it, as its route has no next hop", f.Name)
	case f.Default == "" && !f.Tagged && !f.OnLink && o.Interface != "":
		return fmt.Errorf("-interface: %s has none", f.Name)
	case o.Interface != "" && !interfaces.MatchString(o.Interface):
		return fmt.Errorf("-interface %q is not the name of an interface: want letters, digits, dots, hyphens and underscores", o.Interface)
	}
	return nil
}

// Write returns the entries in the format. It fails if there is no route to write, with the text of a Document all the same,
// if the format's program would not load the routes, and for options that Check refuses.
func (f Format) Write(entries []Entry, o Options) (string, error) {
	if err := f.Check(o); err != nil {
		return "", err
	}
	o.Interface = cmp.Or(o.Interface, f.Default)
	t := &table{o, entries, f.comment}
	err := f.missing(entries, o)
	if err == nil && f.loads != nil {
		err = f.loads(t)
	}
	switch {
	case err != nil && !f.Document:
		return "", err
	case f.DHCP():
		return t.withoutOption() + f.write(t), nil
	}
	return f.write(t), err
}

// missing returns an error if the format can have none of the routes.
func (f Format) missing(entries []Entry, o Options) error {
	routes := map[string]bool{} // by family
	for _, e := range byDestination(entries) {
		routes[e.by("IPv4", "IPv6")] = true
	}
	only := "IPv4" // R10
	if f.IPv6 || f.BGP && o.Gateway.Is6() {
		only = "IPv6" // R13
	}
	switch {
	case len(entries) == 0:
		return errors.New("no routes: the cluster has no nodes, or all have the label minilb/ignore")
	case len(routes) == 0:
		return errors.New("no routes: no node has a podCIDR and an InternalIP that make one")
	case f.BGP && !routes[only]:
		return fmt.Errorf("no routes: a BGP session with %s is for %s, and no node has a podCIDR and an InternalIP of it", o.Gateway, only)
	case (f.Gateway || f.IPv6 || f.OnLink) && !routes[only]:
		return fmt.Errorf("no routes: %s is for %s, and no node has a podCIDR and an InternalIP of it; choose another format with -o", f.Name, only)
	}
	return nil
}

// each returns a Format's write that writes the routes as route does.
func each(route func(Entry) string) func(*table) string {
	return func(t *table) string { return t.lines(route) }
}

// lines writes the routes as route does, and problems as comments.
func (t *table) lines(route func(Entry) string) string {
	var text strings.Builder
	for _, entry := range t.entries {
		if entry.Problem != "" {
			text.WriteString(comment(t.comment, entry, entry.Problem))
		} else {
			text.WriteString(route(entry))
		}
	}
	return text.String()
}

func comment(begin string, e Entry, text string) string {
	return fmt.Sprintf("%s node %s: %s\n", cmp.Or(begin, "#"), e.Node, text)
}

// by returns four for IPv4, six for IPv6.
func (e Entry) by(four, six string) string {
	if e.Destination.Addr().Is4() {
		return four
	}
	return six
}
