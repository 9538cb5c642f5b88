// Package kernel keeps routes in the routing table of this host, which must run Linux. It tells its
// own routes from all others by their protocol number, changes no others, and decides by the others
// alone (R8). It imports nothing of ours.
package kernel

import (
	"errors"
	"net/netip"
)

const (
	// Protocol marks the routes that are ours: "ip route show proto 109" lists them. Neither the
	// kernel's header (rtnetlink.h) nor iproute2's rt_protos gives this number to anybody.
	Protocol = 109
	// Metric is that of our routes. It is greater than 1024, which the kernel gives to IPv6 routes
	// without one, so that of two routes to one destination somebody else's is used.
	Metric = 1090
)

// Route is a route that the table is to have.
type Route struct {
	// Node is the name of what Gateway is an address of, for what is said of the route.
	Node string
	// Destination has no host bits set, and is in the list of routes once. It must contain no address
	// of this host, and no next hop of its other routes (R7).
	Destination netip.Prefix
	// Gateways are addresses of Node of the same family, at least one. The first that is on a network of
	// this host becomes the next hop (R22).
	Gateways []netip.Addr
}

// ErrOtherSystem is the failure of everything where there is no Linux.
var ErrOtherSystem = errors.New("routes can be kept in the routing table of Linux only: print them with -o, or run this on a Linux router")

// errDenied is that of somebody who may not change routes.
var errDenied = errors.New("not permitted to change the routing table: run this as root or with CAP_NET_ADMIN")
