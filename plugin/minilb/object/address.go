package object

import (
	"net/netip"
	"slices"
)

// usable reports whether any name may lead to addr. Loopback, link-local, multicast and unspecified addresses, also those
// embedded in one of IPv6, would point a client at itself or at its link. AAAA records have no IPv4-mapped addresses.
func usable(addr netip.Addr) bool {
	if addr.Zone() != "" || addr.Is4In6() || !addr.IsGlobalUnicast() || thisNetwork.Contains(addr) {
		return false // a global unicast address is none of the above, nor 255.255.255.255
	}
	of := unembedded(addr)
	return of == addr || usable(of)
}

// In reports whether a name may lead to addr, of a status or at the end of an alias: it is usable and, if there are
// networks, in one of them. An address of IPv6 in which one of IPv4 is embedded counts as that one (D34).
func In(networks []netip.Prefix, addr netip.Addr) bool {
	of := unembedded(addr)
	return usable(addr) &&
		(len(networks) == 0 || slices.ContainsFunc(networks, func(network netip.Prefix) bool { return network.Contains(of) }))
}

// thisNetwork is that of 0.0.0.0: no host has an address in it (RFC 1122 §3.2.1.3).
var thisNetwork = netip.MustParsePrefix("0.0.0.0/8")

// embeddings are the prefixes of IPv6 in which an address stands for one of IPv4.
var embeddings = []struct {
	prefix   netip.Prefix
	embedded func([16]byte) netip.Addr
}{
	{netip.MustParsePrefix("::/96"), last32},           // IPv4-compatible, RFC 4291 §2.5.5.1
	{netip.MustParsePrefix("::ffff:0:0:0/96"), last32}, // IPv4-translated, RFC 7915
	{netip.MustParsePrefix("64:ff9b::/96"), last32},    // NAT64, RFC 6052
	{netip.MustParsePrefix("64:ff9b:1::/48"), func(b [16]byte) netip.Addr { // NAT64, RFC 8215
		if [5]byte(b[11:]) == [5]byte{} { // the prefix has 48 bits, and not 96 (RFC 6052 §2.2)
			return netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]})
		}
		return last32(b)
	}},
	{netip.MustParsePrefix("2002::/16"), func(b [16]byte) netip.Addr { return netip.AddrFrom4([4]byte(b[2:6])) }}, // 6to4, RFC 3056
}

// unembedded returns the address of IPv4 that is embedded in addr, or else addr itself.
func unembedded(addr netip.Addr) netip.Addr {
	for _, e := range embeddings {
		if e.prefix.Contains(addr) {
			return e.embedded(addr.As16())
		}
	}
	return addr
}

func last32(b [16]byte) netip.Addr { return netip.AddrFrom4([4]byte(b[12:])) }
