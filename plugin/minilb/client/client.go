// Package client finds out whose question a query is: the network's in its EDNS client subnet (RFC 7871), or its sender's.
package client

import (
	"net"
	"net/netip"

	"github.com/miekg/dns"
)

// Of returns the network of the client (L4): that of the query's client subnet, else the address that the query comes from. A
// client subnet without bits names nobody (RFC 7871 §7.1.2). The network is invalid if the sender has no IP address. The
// subnet is nil if the query has none. ok is false if it is malformed (RFC 7871 §6, §7.2.1).
func Of(from net.Addr, query *dns.Msg) (network netip.Prefix, subnet *dns.EDNS0_SUBNET, ok bool) {
	if subnet = subnetOf(query); subnet != nil {
		if network, ok = networkOf(subnet); !ok || network.IsValid() {
			return network, subnet, ok
		}
	}
	return sender(from), subnet, true
}

func subnetOf(query *dns.Msg) *dns.EDNS0_SUBNET {
	if opt := query.IsEdns0(); opt != nil {
		for _, option := range opt.Option {
			if subnet, is := option.(*dns.EDNS0_SUBNET); is {
				return subnet
			}
		}
	}
	return nil
}

// networkOf returns the network that a client subnet names, an invalid one if it has no bits. An unknown family, a prefix that is
// too long and an address of another length never get here: package dns refuses the first two and the whole message with them, and
// cuts or fills up the third.
func networkOf(subnet *dns.EDNS0_SUBNET) (network netip.Prefix, ok bool) {
	if subnet.SourceScope != 0 { // RFC 7871 §6: it is for replies
		return network, false
	}
	ip := subnet.Address.To16()
	if subnet.Family == 1 {
		ip = ip.To4()
	}
	addr, valid := netip.AddrFromSlice(ip)
	network = netip.PrefixFrom(addr, int(subnet.SourceNetmask))
	switch {
	case subnet.Family == 0:
		return netip.Prefix{}, subnet.SourceNetmask == 0
	case !valid || network != network.Masked(): // bits beyond the prefix, or a prefix beyond the address
		return netip.Prefix{}, false
	case network.Bits() == 0:
		return netip.Prefix{}, true
	}
	return network, true
}

func sender(from net.Addr) netip.Prefix {
	var at netip.AddrPort
	switch from := from.(type) {
	case *net.UDPAddr:
		at = from.AddrPort()
	case *net.TCPAddr:
		at = from.AddrPort()
	default:
		at, _ = netip.ParseAddrPort(from.String())
	}
	addr := at.Addr().Unmap().WithZone("")
	return netip.PrefixFrom(addr, addr.BitLen())
}

// Tailored returns the client subnet of a reply: that of the query, with a scope of all its bits if the answer depends on the
// client, so that resolvers keep it for that network alone, else of none (RFC 7871 §7.2.1).
func Tailored(subnet *dns.EDNS0_SUBNET, depends bool) *dns.EDNS0_SUBNET {
	own := *subnet
	if own.SourceScope = 0; depends {
		own.SourceScope = own.SourceNetmask
	}
	return &own
}
