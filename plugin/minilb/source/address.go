package source

import "net/netip"

// Usable reports whether a name may lead to addr, whoever says so. Loopback, link-local, multicast
// and unspecified addresses would point a client at itself, at its own link or at everybody, and so
// would those of IPv6 that stand for such an address of IPv4. An IPv4-mapped address is none that
// can be in an AAAA record.
func Usable(addr netip.Addr) bool {
	switch {
	case !addr.IsValid(), addr.Zone() != "", addr.Is4In6(), !addr.IsGlobalUnicast(), thisNetwork.Contains(addr):
		return false // a global unicast address is none of the above, nor 255.255.255.255
	}
	for _, e := range embeddings {
		if e.prefix.Contains(addr) {
			bytes := addr.As16()
			embedded, _ := netip.AddrFromSlice(bytes[e.at : e.at+4])
			return Usable(embedded)
		}
	}
	return true
}

// thisNetwork is that of 0.0.0.0: no host has an address in it (RFC 1122 §3.2.1.3).
var thisNetwork = netip.MustParsePrefix("0.0.0.0/8")

// embeddings are the prefixes of IPv6 in which an address stands for one of IPv4, from a byte on.
var embeddings = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("::/96"), 12},           // IPv4-compatible, RFC 4291 §2.5.5.1
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // IPv4-translated, RFC 7915
	{netip.MustParsePrefix("64:ff9b::/96"), 12},    // NAT64, RFC 6052
	{netip.MustParsePrefix("2002::/16"), 2},        // 6to4, RFC 3056
}
