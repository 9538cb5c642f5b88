package kernel

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

// events tells of what happens in this host's network and may have made our routes wrong.
type events struct {
	// C has a value if anything has happened since it was last read.
	C chan struct{}
	// destinations are those whose routes are looked at, of all that may change in the table: those that
	// are wanted, and what their gateways are in.
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

// watch has what decides about these routes looked at from now on.
func (e *events) watch(routes []Route) {
	destinations := make(map[netip.Prefix]bool, len(routes))
	for _, route := range routes {
		destinations[route.Destination] = true
		for _, gateway := range route.Gateways {
			for network := range networks(gateway) {
				destinations[network] = true
			}
		}
	}
	e.destinations.Store(&destinations)
}

// relevant reports whether a message is about a link, an address or one of the destinations.
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
	for _, attribute := range attributes {
		if attribute.Attr.Type != unix.RTA_DST {
			continue
		}
		addr, ok := netip.AddrFromSlice(attribute.Value)
		return ok && (*e.destinations.Load())[netip.PrefixFrom(addr, int(message.Dst_len))]
	}
	return false
}
