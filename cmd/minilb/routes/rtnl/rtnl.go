// Package rtnl keeps routes in the routing table of this host, which must run Linux. Its own routes carry a protocol
// number of their own; it changes no others, and decides by the others only (R8). It imports nothing of ours.
package rtnl

import "net/netip"

const (
	// Protocol marks our routes. Neither the kernel's header (rtnetlink.h) nor iproute2's rt_protos assigns this number.
	Protocol = 109
	// Metric is greater than 1024, the kernel's default for IPv6 routes, so that somebody else's route is preferred to ours.
	Metric = 1090
)

// Route is a route that the table should have.
type Route struct {
	Node string // named in messages about the route
	// Destination has no host bits, is listed once, and contains no address of this host and no next hop of other routes (R7).
	Destination netip.Prefix
	// Gateways are Node's addresses of the same family, at least one. The first on a network of this host is used (R22).
	Gateways []netip.Addr
}
