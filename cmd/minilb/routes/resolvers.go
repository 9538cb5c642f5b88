package routes

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// ResolverFormat is a way to write down for the LAN's resolver that zones are asked for at our DNS servers (R23).
type ResolverFormat struct {
	Name  string // of -o
	About string // the program that it is for
	write func(zones []string, servers []netip.AddrPort) string
}

// ResolverFormats are all of them, in the order of the help.
var ResolverFormats = []ResolverFormat{
	{"dnsmasq-server", "dnsmasq, OpenWrt's file, Pi-hole", eachZone(dnsmasqServer)},
	{"unbound-server", "Unbound, OPNsense", eachZone(unboundServer)},
	{"bind-server", "BIND", bindServer},
	{"coredns-server", "CoreDNS", coreDNSServer},
}

// ResolverByName returns the format of a name.
func ResolverByName(name string) (ResolverFormat, bool) {
	i := slices.IndexFunc(ResolverFormats, func(f ResolverFormat) bool { return f.Name == name })
	if i < 0 {
		return ResolverFormat{}, false
	}
	return ResolverFormats[i], true
}

// Write returns the lines for zones, as lb.Name returns them.
func (f ResolverFormat) Write(zones []string, servers []DNSServer) string {
	var addrs []netip.AddrPort
	for _, server := range servers {
		addrs = append(addrs, server.Addr)
	}
	return f.write(zones, addrs)
}

// eachZone returns a ResolverFormat's write that writes zones one after the other.
func eachZone(write func(zone string, servers []netip.AddrPort) string) func([]string, []netip.AddrPort) string {
	return func(zones []string, servers []netip.AddrPort) string {
		var text strings.Builder
		for _, zone := range zones {
			text.WriteString(write(zone, servers))
		}
		return text.String()
	}
}

// eachServer writes the servers as format has it, with verbs for address and port.
func eachServer(format string, servers []netip.AddrPort) string {
	var text strings.Builder
	for _, server := range servers {
		fmt.Fprintf(&text, format, server.Addr(), server.Port())
	}
	return text.String()
}

func dnsmasqServer(zone string, servers []netip.AddrPort) string {
	return eachServer("server=/"+zone+"/%s#%d\n", servers) + "rebind-domain-ok=/" + zone + "/\n"
}

func unboundServer(zone string, servers []netip.AddrPort) string {
	return fmt.Sprintf("server:\n    private-domain: %q\n    domain-insecure: %[1]q\nforward-zone:\n    name: %[1]q\n", zone) +
		eachServer("    forward-addr: %s@%d\n", servers)
}

// bindServer says in comments what belongs into options, which a configuration has once.
func bindServer(zones []string, servers []netip.AddrPort) string {
	var all strings.Builder
	for _, zone := range zones {
		fmt.Fprintf(&all, "%q; ", zone)
	}
	return fmt.Sprintf("# in options: validate-except { %s};\n# and at the end of its deny-answer-addresses, if it has that: except-from { %[1]s}\n", &all) +
		eachZone(func(zone string, servers []netip.AddrPort) string {
			return fmt.Sprintf("zone %q {\n    type forward;\n    forward only;\n    forwarders {%s };\n};\n", zone, eachServer(" %s port %d;", servers))
		})(zones, servers)
}

// maxForward is how many servers CoreDNS' forward takes: it does not start with more.
const maxForward = 15

func coreDNSServer(zones []string, servers []netip.AddrPort) string {
	left := ""
	if out := len(servers) - maxForward; out > 0 {
		left, servers = fmt.Sprintf("# forward takes %d servers: %d are left out\n", maxForward, out), servers[:maxForward]
	}
	return left + eachZone(func(zone string, servers []netip.AddrPort) string {
		addrs := fmt.Sprint(servers)
		return fmt.Sprintf("%s {\n    forward . %s\n}\n", zone, addrs[1:len(addrs)-1])
	})(zones, servers)
}
