// Package rtnl keeps routes in the routing table of this host, which must run Linux. Its own routes carry a protocol
// number of their own; it changes no others, and decides by the others only (R8). It imports nothing of ours.
package rtnl

import (
	"errors"
	"net/netip"
)

const (
	// Protocol marks our routes. Neither the kernel's header (rtnetlink.h) nor iproute2's rt_protos assigns this number.
	Protocol = 109
	// Metric is that of our routes. It is greater than 1024, the kernel's default for IPv6 routes, so that of two
	// routes to one destination somebody else's is used.
	Metric = 1090
)

// Route is a route that the table should have.
type Route struct {
	Node string // named in messages about the route
	// Destination has no host bits set, and is in the list of routes once. It must contain no address
	// of this host, and no next hop of its other routes (R7).
	Destination netip.Prefix
	// Gateways are addresses of Node of the same family, at least one. The first that is on a network of
	// this host becomes the next hop (R22).
	Gateways []netip.Addr
}

// ErrOtherSystem is returned by all functions on systems other than Linux.
var ErrOtherSystem = errors.New("routes can be kept in the routing table of Linux only: print them with -o, or run this on a Linux router")

var errDenied = errors.New("not permitted to change the routing table: run this as root or with CAP_NET_ADMIN")
