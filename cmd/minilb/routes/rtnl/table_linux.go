package rtnl

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Check returns an error that names the fix unless this process may change the routing table.
func Check() error {
	// The kernel checks the permission before it looks for the route, which is none: to an address for documentation (RFC 5737).
	absent := netlink.Route{Dst: ipNet(netip.MustParsePrefix("192.0.2.0/32")), Priority: Metric, Table: unix.RT_TABLE_MAIN}
	if _, err := remove(absent); errors.Is(err, errDenied) {
		return err
	}
	return nil
}

// Cleanup removes all routes that carry Protocol, in all tables, and prints a line for each. It fails while a Keep runs here.
func Cleanup(out io.Writer) error {
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	all, err := dump()
	if err != nil {
		return err
	}
	ours := slices.DeleteFunc(all, func(r netlink.Route) bool { return r.Protocol != Protocol })
	if len(ours) == 0 {
		_, err := fmt.Fprintf(out, "no routes with protocol %d\n", Protocol)
		return err
	}
	slices.SortStableFunc(ours, func(a, b netlink.Route) int { return prefix(a.Dst).Compare(prefix(b.Dst)) })
	for _, route := range ours {
		removed, err := remove(route)
		if removed {
			_, err = fmt.Fprintln(out, format("removed", route, ""))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dump returns the routes of both families in all tables. Those of one family are of one moment.
func dump() (all []netlink.Route, err error) {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		var routes []netlink.Route
		for range 10 { // a list is incomplete if routes change meanwhile
			routes, err = netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
			if !errors.Is(err, netlink.ErrDumpInterrupted) {
				break
			}
		}
		if err != nil {
			return nil, fmt.Errorf("list the routes of this host: %w", err)
		}
		all = append(all, routes...)
	}
	return all, nil
}

// remove removes a route, and nothing that differs from it. It reports false for one that is gone, as with its interface.
func remove(r netlink.Route) (removed bool, err error) {
	err = netlink.RouteDel(&netlink.Route{
		Dst: r.Dst, Gw: r.Gw, LinkIndex: r.LinkIndex, MultiPath: r.MultiPath,
		Priority: r.Priority, Tos: r.Tos, Type: r.Type, Scope: r.Scope, Table: r.Table, Protocol: Protocol,
	})
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.ENODEV):
		return false, nil
	}
	return false, refused("remove the route "+describe(r), err)
}

var errDenied = errors.New("not permitted to change the routing table: run this as root or with CAP_NET_ADMIN")

// refused returns why the kernel does not change the table.
func refused(change string, err error) error {
	if errors.Is(err, unix.EPERM) {
		return errDenied
	}
	return fmt.Errorf("%s: %w", change, err)
}

// describe returns a route as iproute2 writes it.
func describe(r netlink.Route) string {
	text := prefix(r.Dst).String()
	if r.Gw != nil {
		text += " via " + r.Gw.String()
	}
	if name := linkName(r.LinkIndex); name != "" {
		text += " dev " + name
	}
	if r.Table != unix.RT_TABLE_MAIN {
		text += fmt.Sprintf(" table %d", r.Table)
	}
	return text
}

// linkName returns the name of an interface, "" if there is none.
func linkName(index int) string {
	if link, err := net.InterfaceByIndex(index); err == nil {
		return link.Name
	}
	return ""
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func prefix(n *net.IPNet) netip.Prefix {
	addr, _ := netip.AddrFromSlice(n.IP)
	bits, width := n.Mask.Size()
	if width == 32 {
		addr = addr.Unmap() // a default route has all 16 bytes
	}
	return netip.PrefixFrom(addr, bits)
}
