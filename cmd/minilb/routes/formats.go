package routes

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Format is a way to write routes down.
type Format struct {
	// Name is what "-o" takes.
	Name string
	// About says in a few words for which program it is.
	About string
	// Default is the name of the interface where none is chosen; "" if the format has none.
	Default string
	// Gateway reports whether the routes of a DHCP option are written, which needs the LAN's own
	// router for the default route (R11).
	Gateway bool
	// Subnet reports whether the format names the LAN's IPv4 subnet, which In says.
	Subnet bool
	// Tagged reports whether the interface on which the LAN is must be named: the routes are for the
	// clients there alone (R9).
	Tagged bool
	// IPv6 reports whether the format is for IPv6 alone.
	IPv6 bool
	// Document reports whether what is written without any route says that there is none.
	Document bool
	// Hint is what a user should know of routes in this place; "" for nothing.
	Hint string

	subnet netip.Prefix

	write func(*table) string
	// loads returns an error if the format's program would not take what is written; nil if it takes all.
	loads func(*table) error
	// change writes what has changed, in lines of their own; nil if the format has no such.
	change func(Change) string
}

// Formats are all formats, in the order of the help.
var Formats = []Format{
	{Name: "ip", About: "iproute2 commands", Hint: FirewallHint, write: func(t *table) string { return IP(t.entries, Replace) }, change: ipChange},
	{Name: "json", About: "for programs, see below", Document: true, write: func(t *table) string {
		var text strings.Builder
		_ = JSON(&text, t.entries) // a Builder takes everything
		return text.String()
	}, change: jsonChange},
	{Name: "routeros", About: "MikroTik RouterOS 7", Hint: FirewallHint, write: routerOS, change: routerOSChange},
	{Name: "openwrt", About: "OpenWrt's uci", Default: "lan", Hint: FirewallHint, write: openWrt},
	{Name: "vyos", About: "VyOS", Hint: FirewallHint, write: vyOS},
	{Name: "frr", About: "FRRouting's vtysh", Hint: FirewallHint, write: frr, change: frrChange},
	{Name: "junos", About: "Juniper JunOS", Hint: FirewallHint, write: junOS},
	{Name: "networkd", About: "systemd.network sections", write: networkd},
	{Name: "netplan", About: "netplan YAML", Default: "eth0", write: netplan},
	{Name: "windows", About: "route.exe commands", write: windows},
	{Name: "dnsmasq", About: "DHCP options 121 and 249", Gateway: true, Tagged: true, Hint: optionHint, write: dnsmasq, loads: dnsmasqLoads},
	{Name: "openwrt-dhcp", About: "the same for OpenWrt's uci", Default: "lan", Gateway: true, Hint: optionHint, write: openWrtDHCP, loads: dnsmasqLoads},
	{Name: "kea", About: "the same for Kea, an option-data list", Gateway: true, Hint: optionHint, write: kea},
	{Name: "isc", About: "the same for ISC dhcpd", Gateway: true, Hint: optionHint, write: iscDHCP},
	{Name: "routeros-dhcp", About: "the same for RouterOS 7", Gateway: true, Hint: optionHint, write: routerOSDHCP, loads: routerOSLoads},
	{Name: "vyos-dhcp", About: "option 121 for VyOS 1.5, with -subnet", Default: "LAN", Gateway: true, Subnet: true, Hint: optionHint, write: vyOSDHCP},
	{Name: "option121", About: "the same in hex and in decimal", Gateway: true, Hint: optionHint, write: option121},
	{Name: "radvd", About: "IPv6, a radvd.conf for each node", Default: "eth0", IPv6: true, write: radvd},
}

// table is what is written in a Format.
type table struct {
	entries []Entry
	iface   string     // "" for a format without
	gateway netip.Addr // the LAN's own router; the zero Addr where none is needed
	subnet  netip.Prefix
}

// FirewallHint is what a router that filters packets needs beside the routes (R14).
const FirewallHint = "if this router filters packets, accept LAN-to-podCIDR traffic statelessly: replies bypass this router"

// optionHint is that not every client requests option 121 (R12).
const optionHint = "give the router the routes, too: some clients ignore option 121, Android reportedly"

// In returns the format with the IPv4 subnet that the LAN's DHCP server has addresses for.
func (f Format) In(subnet netip.Prefix) (Format, error) {
	switch {
	case !f.Subnet && subnet.IsValid():
		return f, fmt.Errorf("-subnet: %s names none", f.Name)
	case f.Subnet && (!subnet.IsValid() || !subnet.Addr().Is4()):
		return f, fmt.Errorf("name the subnet of the LAN with -subnet, such as 192.168.1.0/24: %s needs it", f.Name)
	}
	f.subnet = subnet.Masked()
	return f, nil
}

// FormatByName returns the format of a name.
func FormatByName(name string) (Format, error) {
	i := slices.IndexFunc(Formats, func(f Format) bool { return f.Name == name })
	if i < 0 {
		var names []string
		for _, f := range Formats {
			names = append(names, f.Name)
		}
		return Format{}, fmt.Errorf("-o %q: choose one of %s", name, strings.Join(names, ", "))
	}
	return Formats[i], nil
}

// errNoGateway says why there can be no DHCP option without the default route (R11).
var errNoGateway = errors.New("name the LAN's router with -gateway: a client that is given option 121 ignores the router of option 3, so that the default route must be among the routes or it loses the Internet (RFC 3442)")

// interfaces are the names that mean nothing else in any of the formats (R15).
var interfaces = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$`)

// Check returns an error for options that Write does not take. The interface is the format's default
// if it is "", and the gateway is the address of the LAN's own router, of IPv4 if the format needs it
// and else perhaps the zero Addr.
func (f Format) Check(iface string, gateway netip.Addr) error {
	switch {
	case f.Gateway && !gateway.IsValid():
		return errNoGateway
	case f.Gateway && !gateway.Is4():
		return fmt.Errorf("-gateway %s: want the IPv4 address of the LAN's router, as option 121 is for IPv4 alone", gateway)
	case f.Subnet && !f.subnet.Contains(gateway):
		return fmt.Errorf("-gateway %s is not in -subnet %s: name the router of that network", gateway, f.subnet)
	case f.Tagged && iface == "":
		return errors.New("name the DHCP server's interface to the LAN with -interface, such as br-lan or eth0: clients on its other networks would lose their default route")
	case f.Default == "" && !f.Tagged && iface != "":
		return fmt.Errorf("-interface: %s names none", f.Name)
	case iface != "" && !interfaces.MatchString(iface):
		return fmt.Errorf("-interface %q is not the name of an interface: want letters, digits, dots, hyphens and underscores", iface)
	}
	return nil
}

// Write returns the entries in the format, with options that Check has no error for. It is an error
// if there is no route to write, and then the text is JSON's document or nothing; or if the format's
// program would not load the routes.
func (f Format) Write(entries []Entry, iface string, gateway netip.Addr) (string, error) {
	if err := f.Check(iface, gateway); err != nil {
		return "", err
	}
	if iface == "" {
		iface = f.Default
	}
	t := &table{entries: entries, iface: iface, gateway: gateway, subnet: f.subnet}
	if err := f.missing(entries); err != nil {
		if f.Document {
			return f.write(t), err
		}
		return "", err
	}
	if f.loads != nil {
		if err := f.loads(t); err != nil {
			return "", err
		}
	}
	return f.write(t), nil
}

// missing returns an error if none of the entries is a route that the format can have.
func (f Format) missing(entries []Entry) error {
	only := "" // the family of the routes that the format has, if of one
	switch {
	case f.Gateway:
		only = "IPv4" // R10
	case f.IPv6:
		only = "IPv6" // R13
	}
	some := false
	for _, e := range entries {
		if e.Problem != "" {
			continue
		}
		if only == "" || only == family(e.Gateway) {
			return nil
		}
		some = true
	}
	switch {
	case len(entries) == 0:
		return errors.New("no routes: the cluster has no nodes, or all have the label minilb/ignore")
	case some:
		return fmt.Errorf("no routes: %s is for %s, and no node has a podCIDR and an InternalIP of it; choose another format with -o", f.Name, only)
	}
	return errors.New("no routes: no node has a podCIDR and an InternalIP that make one")
}

// lines writes each route with one, and what is no route as a comment.
func (t *table) lines(comment string, one func(*strings.Builder, Entry)) string {
	var text strings.Builder
	for _, entry := range t.entries {
		if entry.Problem != "" {
			fmt.Fprintf(&text, "%s node %s: %s\n", comment, entry.Node, entry.Problem)
			continue
		}
		one(&text, entry)
	}
	return text.String()
}

// by returns what is for one family and what for the other.
func (e Entry) by(four, six string) string {
	if e.Destination.Addr().Is4() {
		return four
	}
	return six
}

// distinct makes names of nodes' names, in letters, digits and underscores alone, each of them once.
type distinct map[string]bool

func (d distinct) name(prefix, node, suffix string) string {
	plain := strings.Map(func(r rune) rune {
		if r == '-' || r == '.' {
			return '_'
		}
		return r
	}, prefix+node)
	name := plain + suffix
	for n := 2; d[name]; n++ {
		name = fmt.Sprintf("%s_%d%s", plain, n, suffix)
	}
	d[name] = true
	return name
}
