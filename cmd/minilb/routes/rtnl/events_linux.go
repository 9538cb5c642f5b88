package rtnl

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// events are changes of this host's network that may have made our routes wrong.
type events struct {
	C            chan struct{} // holds a token if there was one since it was last read
	destinations atomic.Pointer[map[netip.Prefix]bool]
}

// listen subscribes to the events until ctx ends, in a goroutine of running's.
func listen(ctx context.Context, running *sync.WaitGroup) (*events, error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE,
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("listen to changes of the routing table: %w", err)
	}
	e := &events{C: make(chan struct{}, 1)}
	e.watch(nil)
	running.Go(func() {
		defer socket.Close()
		defer context.AfterFunc(ctx, socket.Close)() // ends Receive
		for ctx.Err() == nil {
			messages, _, err := socket.Receive()
			if errors.Is(err, os.ErrClosed) {
				return
			}
			// Whatever else is wrong, events have been lost, as with ENOBUFS.
			relevant := err != nil
			for _, message := range messages {
				relevant = relevant || e.relevant(message.Header.Type, message.Data)
			}
			if relevant {
				select {
				case e.C <- struct{}{}:
				default:
				}
			}
		}
	})
	return e, nil
}

// watch makes what decides about these routes relevant from now on.
func (e *events) watch(routes []Route) {
	destinations := watched(routes)
	e.destinations.Store(&destinations)
}

// watched returns the destinations whose routes matter: true for desired ones, false for networks that contain their gateways.
func watched(routes []Route) map[netip.Prefix]bool {
	destinations := make(map[netip.Prefix]bool, len(routes))
	for _, route := range routes {
		for _, gateway := range route.Gateways {
			for network := range networks(gateway) {
				destinations[network] = false
			}
		}
	}
	for _, route := range routes {
		destinations[route.Destination] = true
	}
	return destinations
}

// relevant reports whether a message is about a link, an address, one of the destinations, or a next hop
// in a desired one (R7). Routes with several next hops are read with the rest, every resync.
func (e *events) relevant(kind uint16, data []byte) bool {
	if kind != unix.RTM_NEWROUTE && kind != unix.RTM_DELROUTE {
		return true
	}
	if len(data) < unix.SizeofRtMsg {
		return false
	}
	message := nl.DeserializeRtMsg(data)
	attributes, err := nl.ParseRouteAttr(data[unix.SizeofRtMsg:])
	if err != nil {
		return false
	}
	destinations := *e.destinations.Load()
	for _, attribute := range attributes {
		addr, ok := netip.AddrFromSlice(attribute.Value)
		switch {
		case !ok:
		case attribute.Attr.Type == unix.RTA_DST:
			if _, watched := destinations[netip.PrefixFrom(addr, int(message.Dst_len))]; watched {
				return true
			}
		case attribute.Attr.Type == unix.RTA_GATEWAY:
			for network := range networks(addr) {
				if destinations[network] {
					return true
				}
			}
		}
	}
	return false
}
