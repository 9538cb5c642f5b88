package rtnl

import (
	"fmt"
	"iter"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// view is this host's network at one time. It decides by others' routes only: by ours, each change would cause another (R8).
type view struct {
	ours     map[netip.Prefix][]netlink.Route // in the main table
	theirs   map[netip.Prefix]string          // describes routes of others to the desired destinations
	covering map[netip.Prefix]netlink.Route   // the best of others to watched destinations, without the default routes
	own      []netip.Addr                     // this host's addresses
	hops     map[netip.Prefix]string          // describes the next hop of another route, in any table, that a desired destination contains
}

func readView(desired []Route) (*view, error) {
	v := &view{
		ours: map[netip.Prefix][]netlink.Route{}, theirs: map[netip.Prefix]string{}, covering: map[netip.Prefix]netlink.Route{}, hops: map[netip.Prefix]string{},
	}
	destinations, seen := watched(desired), map[netip.Addr]bool{}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list the addresses of this host: %w", err)
	}
	for _, addr := range addrs {
		if own, err := netip.ParsePrefix(addr.String()); err == nil {
			v.own = append(v.own, own.Addr().Unmap())
		}
	}
	all, err := dump()
	for _, r := range all {
		destination, main := prefix(r.Dst), r.Table == unix.RT_TABLE_MAIN
		if r.Protocol == Protocol {
			if main {
				v.ours[destination] = append(v.ours[destination], r)
			}
			continue
		}
		for _, hop := range nextHops(r) {
			if seen[hop] {
				continue
			}
			seen[hop] = true
			for network := range networks(hop) {
				if destinations[network] {
					v.hops[network] = fmt.Sprintf("%s, the next hop of the route %s", hop, describe(r))
				}
			}
		}
		isDesired, isWatched := destinations[destination]
		if !main || !isWatched {
			continue
		}
		if isDesired && v.theirs[destination] == "" {
			v.theirs[destination] = describe(r) + " proto " + r.Protocol.String()
		}
		if best, known := v.covering[destination]; r.Tos == 0 && (!known || r.Priority < best.Priority) {
			v.covering[destination] = r
		}
	}
	return v, err
}

func nextHops(r netlink.Route) (hops []netip.Addr) {
	for _, one := range append([]*netlink.NexthopInfo{{Gw: r.Gw, Via: r.Via}}, r.MultiPath...) {
		gateway := one.Gw
		if via, is := one.Via.(*netlink.Via); is {
			gateway = via.Addr
		}
		if hop, ok := netip.AddrFromSlice(gateway); ok {
			hops = append(hops, hop.Unmap())
		}
	}
	return hops
}

// networks yields the networks that contain an address, from the narrowest to the widest, without the default route:
// one without a router, as on a dial-up line or a tunnel, does not identify the other end.
func networks(addr netip.Addr) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for bits := addr.BitLen(); bits > 0; bits-- {
			if network, err := addr.Prefix(bits); err != nil || !yield(network) {
				return
			}
		}
	}
}

// nexthop returns that of a desired route, or a short reason why there is none.
func (v *view) nexthop(route Route) (to nexthop, reason string) {
	var reasons []string
	for _, gateway := range route.Gateways {
		link, reason := v.link(gateway)
		if reason == "" {
			to = nexthop{route.Node, gateway, link}
			break
		}
		reasons = append(reasons, reason)
	}
	other, taken := v.theirs[route.Destination]
	held := slices.IndexFunc(v.own, route.Destination.Contains)
	hop, holds := v.hops[route.Destination]
	switch {
	case !to.gateway.IsValid():
		return to, "left out: " + strings.Join(reasons, ", ")
	case held >= 0: // R7
		return to, fmt.Sprintf("left out: it contains %s, an address of this host, which it would cut off", v.own[held])
	case holds: // R7
		return to, fmt.Sprintf("left out: it contains %s, which it would cut off", hop)
	case taken:
		return to, "left to the route that is there and not ours: " + other
	}
	return to, ""
}

// link returns the index of the interface on whose network an address is, or a short reason why there is none.
func (v *view) link(gateway netip.Addr) (index int, reason string) {
	if slices.Contains(v.own, gateway) {
		return 0, fmt.Sprintf("%s is this host itself", gateway)
	}
	for network := range networks(gateway) {
		r, found := v.covering[network]
		if !found {
			continue
		}
		if r.Type == unix.RTN_UNICAST && r.Gw == nil && r.Via == nil && len(r.MultiPath) == 0 && r.LinkIndex != 0 {
			return r.LinkIndex, ""
		}
		break // a router, or a route that rejects: unreachable, prohibit, blackhole
	}
	return 0, fmt.Sprintf("%s is on no network of this host", gateway)
}
