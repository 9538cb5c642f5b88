package minilb

import (
	"net"
	"net/netip"
)

// boundAddrs returns the addresses that the server is bound to, or the machine's own if it is bound to all (D26).
func boundAddrs(hosts []string) []netip.Addr {
	var addrs []netip.Addr
	for _, host := range hosts {
		if addr, err := netip.ParseAddr(host); err == nil && !addr.IsUnspecified() {
			addrs = append(addrs, addr)
		}
	}
	if len(addrs) == 0 {
		return interfaceAddrs()
	}
	return addrs
}

// interfaceAddrs returns the machine's addresses that others can reach.
func interfaceAddrs() []netip.Addr {
	all, err := net.InterfaceAddrs()
	if err != nil {
		log.Warningf("Cannot read the machine's addresses, so the zones' name server has none: %v; set property ns", err)
		return nil
	}
	var addrs []netip.Addr
	for _, a := range all {
		prefix, err := netip.ParsePrefix(a.String())
		if err == nil && prefix.Addr().IsGlobalUnicast() {
			addrs = append(addrs, prefix.Addr())
		}
	}
	return addrs
}
