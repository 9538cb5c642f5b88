package lb

import "net/netip"

// CiliumPlaceholder is the address of the endpoint that Cilium writes for Services that Envoy serves (E17).
var CiliumPlaceholder = netip.AddrFrom4([4]byte{192, 192, 192, 192})
