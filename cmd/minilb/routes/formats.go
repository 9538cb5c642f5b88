package routes

import (
	"errors"
	"fmt"
	"net/netip"
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

	write func(*table) string
	// change writes what has changed, in lines of their own; nil if the format has no such.
	change func(Change) string
}

// Formats are all formats, in the order of the help.
var Formats = []Format{
	{Name: "ip", About: "iproute2 commands", write: func(t *table) string { return IP(t.entries, Replace) }, change: ipChange},
	{Name: "json", About: "for programs, see below", write: func(t *table) string {
		var text strings.Builder
		_ = JSON(&text, t.entries) // a Builder takes everything
		return text.String()
	}, change: jsonChange},
	{Name: "routeros", About: "MikroTik RouterOS 7", write: routerOS, change: routerOSChange},
	{Name: "openwrt", About: "OpenWrt's uci", Default: "lan", write: openWrt},
	{Name: "vyos", About: "VyOS", write: vyOS},
	{Name: "frr", About: "FRRouting's vtysh", write: frr, change: frrChange},
	{Name: "junos", About: "Juniper JunOS", write: junOS},
	{Name: "networkd", About: "systemd.network sections", write: networkd},
	{Name: "netplan", About: "netplan YAML", Default: "eth0", write: netplan},
	{Name: "windows", About: "route.exe commands", write: windows},
	{Name: "dnsmasq", About: "DHCP options 121 and 249", Gateway: true, write: dnsmasq},
	{Name: "kea", About: "the same for Kea, an option-data list", Gateway: true, write: kea},
	{Name: "isc", About: "the same for ISC dhcpd", Gateway: true, write: iscDHCP},
	{Name: "option121", About: "the same in hex and in decimal", Gateway: true, write: option121},
	{Name: "radvd", About: "IPv6, a radvd.conf for each node", Default: "eth0", write: radvd},
}

// table is what is written in a Format.
type table struct {
	entries []Entry
	iface   string     // "" for a format without
	gateway netip.Addr // the LAN's own router; the zero Addr where none is needed
}

// Choose returns the format of a name.
func Choose(name string) (Format, error) {
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

// Write returns the entries in the format. The interface is the format's default if it is "", and
// the gateway is the IPv4 address of the LAN's own router, which may be the zero Addr if the
// format needs none.
func (f Format) Write(entries []Entry, iface string, gateway netip.Addr) (string, error) {
	switch {
	case f.Gateway && !gateway.IsValid():
		return "", errNoGateway
	case f.Gateway && !gateway.Is4():
		return "", fmt.Errorf("-gateway %s: want the IPv4 address of the LAN's router, as option 121 is for IPv4 alone", gateway)
	case !f.Gateway && gateway.IsValid():
		return "", fmt.Errorf("-gateway is for the DHCP formats, %s has no default route", f.Name)
	case f.Default == "" && iface != "":
		return "", fmt.Errorf("-interface: %s names none", f.Name)
	case strings.ContainsFunc(iface, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`"'\;:{}#`, r) }):
		return "", fmt.Errorf("-interface %q is not the name of an interface", iface)
	}
	if iface == "" {
		iface = f.Default
	}
	return f.write(&table{entries: entries, iface: iface, gateway: gateway}), nil
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
