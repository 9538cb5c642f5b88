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
	loads func(servers []netip.AddrPort) error // whether the program can ask the servers; nil if it asks all
}

// ResolverFormats are all of them, in the order of the help.
var ResolverFormats = []ResolverFormat{
	{Name: "dnsmasq-server", About: "dnsmasq, OpenWrt's file, Pi-hole", write: eachZone(dnsmasqServer)},
	{Name: "unbound-server", About: "Unbound, OPNsense", write: eachZone(unboundServer)},
	{Name: "bind-server", About: "BIND", write: bindServer},
	{Name: "coredns-server", About: "CoreDNS", write: coreDNSServer},
	{Name: "windows-nrpt", About: "a Windows client, for PowerShell", write: windowsNRPT, loads: windowsAsks},
	{Name: "macos-resolver", About: "a macOS client, a file for each zone", write: eachZone(macOSResolver)},
}

// ResolverByName returns the format of a name.
func ResolverByName(name string) (ResolverFormat, bool) {
	i := slices.IndexFunc(ResolverFormats, func(f ResolverFormat) bool { return f.Name == name })
	if i < 0 {
		return ResolverFormat{}, false
	}
	return ResolverFormats[i], true
}

// Write returns the lines for zones, as lb.Name returns them. It fails if the format's program cannot ask the servers.
func (f ResolverFormat) Write(zones []string, servers []DNSServer) (string, error) {
	var addrs []netip.AddrPort
	for _, server := range servers {
		addrs = append(addrs, server.Addr)
	}
	if f.loads != nil {
		if err := f.loads(addrs); err != nil {
			return "", err
		}
	}
	return f.write(zones, addrs), nil
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

// windowsAsks returns an error for servers at another port than Windows asks.
func windowsAsks(servers []netip.AddrPort) error {
	for _, server := range servers {
		if server.Port() != 53 {
			return fmt.Errorf("the servers are at port %d, and Windows asks at port 53 only: give them port 53 of their nodes, as deploy/kustomize/overlays/daemonset does, or let the LAN's resolver send the zone there", server.Port())
		}
	}
	return nil
}

// windowsNRPT writes rules of the Name Resolution Policy Table for PowerShell, in place of those of an earlier run. The zone with
// a dot before it stands for the names below it.
func windowsNRPT(zones []string, servers []netip.AddrPort) string {
	text := "Get-DnsClientNrptRule | Where-Object Comment -eq 'minilb' | Remove-DnsClientNrptRule -Force\n"
	var addrs []string
	for _, server := range servers {
		addrs = append(addrs, "'"+server.Addr().String()+"'")
	}
	for _, zone := range zones {
		text += fmt.Sprintf("Add-DnsClientNrptRule -Namespace '%s','.%[1]s' -NameServers %s -Comment 'minilb'\n", zone, strings.Join(addrs, ","))
	}
	return text + "Clear-DnsClientCache\n"
}

// maxNameservers is how many servers a file of macOS may name (MAXNS in its resolver(5)).
const maxNameservers = 3

// macOSResolver writes a file. All servers have the same port, that of one Service.
func macOSResolver(zone string, servers []netip.AddrPort) string {
	text := fmt.Sprintf("# /etc/resolver/%s\n", zone)
	if out := len(servers) - maxNameservers; out > 0 {
		text, servers = text+fmt.Sprintf("# macOS takes %d servers: %d are left out\n", maxNameservers, out), servers[:maxNameservers]
	}
	for _, server := range servers {
		text += fmt.Sprintf("nameserver %s\n", server.Addr())
	}
	return text + fmt.Sprintf("port %d\n", servers[0].Port())
}
