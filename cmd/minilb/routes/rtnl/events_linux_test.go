package rtnl

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Of all that happens to routes, only what is to the destinations that are kept is looked at.
func TestRelevant(t *testing.T) {
	route := func(destination string) []byte {
		message := nl.NewRtMsg()
		data := message.Serialize()
		if destination == "" {
			return append(data, nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(1)).Serialize()...) // a default route
		}
		to := netip.MustParsePrefix(destination)
		message.Dst_len = uint8(to.Bits())
		data = append(message.Serialize(), nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(1)).Serialize()...)
		return append(data, nl.NewRtAttr(unix.RTA_DST, to.Addr().AsSlice()).Serialize()...)
	}
	by := func(gateway string) []byte {
		return append(route(""), nl.NewRtAttr(unix.RTA_GATEWAY, netip.MustParseAddr(gateway).AsSlice()).Serialize()...)
	}
	e := &events{C: make(chan struct{}, 1)}
	e.watch(routes("one 10.244.0.0/24 192.168.1.30", "one fd00:244::/64 fd00:192:168:1::30"))
	for _, tc := range []struct {
		name string
		kind uint16
		data []byte
		want bool
	}{
		{"a link", unix.RTM_NEWLINK, nil, true},
		{"an address", unix.RTM_DELADDR, nil, true},
		{"a route of ours", unix.RTM_NEWROUTE, route("10.244.0.0/24"), true},
		{"a route of ours that goes", unix.RTM_DELROUTE, route("10.244.0.0/24"), true},
		{"a route of ours over IPv6", unix.RTM_DELROUTE, route("fd00:244::/64"), true},
		{"another prefix of ours", unix.RTM_NEWROUTE, route("10.244.0.0/25"), false},
		{"another route", unix.RTM_NEWROUTE, route("10.244.1.0/24"), false},
		{"a default route", unix.RTM_NEWROUTE, route(""), false},
		{"a router in a destination", unix.RTM_NEWROUTE, by("10.244.0.1"), true},
		{"a router in one over IPv6", unix.RTM_DELROUTE, by("fd00:244::1"), true},
		{"a router beside the nodes", unix.RTM_NEWROUTE, by("192.168.1.254"), false},
		{"nothing", unix.RTM_NEWROUTE, nil, false},
		{"a part", unix.RTM_NEWROUTE, route("10.244.0.0/24")[:unix.SizeofRtMsg-1], false},
		{"a broken attribute", unix.RTM_DELROUTE, append(route(""), 1, 0, 1, 0), false},
	} {
		if got := e.relevant(tc.kind, tc.data); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
	e.watch(nil)
	if e.relevant(unix.RTM_NEWROUTE, route("10.244.0.0/24")) {
		t.Error("what is not kept any longer is looked at")
	}
}
