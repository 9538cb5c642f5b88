//go:build linux

package netns

import (
	"fmt"
	"net/netip"
	"strings"
)

// Host is the addresses of one host, or pod.
type Host struct{ V4, V6 netip.Addr }

// Of returns the address of a family, "4" or "6".
func (h Host) Of(family string) netip.Addr {
	if family == "6" {
		return h.V6
	}
	return h.V4
}

// Subnets are the addresses of a LAN. Its hosts have none of a family whose prefix is zero.
type Subnets struct{ V4, V6 netip.Prefix }

// Host returns the addresses that end in a number below 100.
func (s Subnets) Host(number int) Host {
	numbered := func(prefix netip.Prefix) (addr netip.Addr) {
		if prefix.IsValid() {
			addr = netip.MustParseAddr(fmt.Sprintf("%s%d", strings.TrimSuffix(prefix.Addr().String(), "0"), number))
		}
		return addr
	}
	return Host{numbered(s.V4), numbered(s.V6)}
}

// each returns a line of iproute2's for each family of a host's.
func (s Subnets) each(of Host, line func(addr netip.Addr, bits int) string) (lines []string) {
	if s.V4.IsValid() {
		lines = append(lines, line(of.V4, s.V4.Bits()))
	}
	if s.V6.IsValid() {
		lines = append(lines, line(of.V6, s.V6.Bits()))
	}
	return lines
}

// The numbers of a LAN's hosts.
const (
	RouterNumber       = 1
	ControlPlaneNumber = 2
	ClientNumber       = 50
)

// LAN is hosts on one switch.
type LAN struct {
	Subnets
	Switch                       *Namespace // a host's end of its cable there has the host's name
	Router, ControlPlane, Client *Namespace

	set *Set
}

// NewLAN makes a LAN of a router, a control plane's host and a client, which has the router for all else.
func (s *Set) NewLAN(subnets Subnets) (l *LAN, err error) {
	l = &LAN{Subnets: subnets, set: s}
	if l.Switch, err = s.Add("switch"); err != nil {
		return nil, err
	}
	if err := l.Switch.IP("link add bridge type bridge mcast_snooping 0", "link set bridge up"); err != nil {
		return nil, err
	}
	if l.Router, err = l.Attach("router", l.Host(RouterNumber), "net/ipv4/ip_forward=1", "net/ipv6/conf/all/forwarding=1"); err != nil {
		return nil, err
	}
	if l.ControlPlane, err = l.Attach("core", l.Host(ControlPlaneNumber)); err != nil {
		return nil, err
	}
	// A router tells who sends it what another host of the same LAN could have been sent, by an ICMP redirect. Most hosts do
	// as it says, and where the packets go would depend on the past.
	if l.Client, err = l.Attach("client", l.Host(ClientNumber),
		"net/ipv4/conf/all/accept_redirects=0", "net/ipv4/conf/default/accept_redirects=0",
		"net/ipv6/conf/all/accept_redirects=0", "net/ipv6/conf/default/accept_redirects=0"); err != nil {
		return nil, err
	}
	return l, l.RouteToRouter(l.Client)
}

// Attach makes a host and plugs it into the switch; its interface is called "lan".
func (l *LAN) Attach(name string, addresses Host, sysctls ...string) (*Namespace, error) {
	n, err := l.set.Add(name, sysctls...)
	if err != nil {
		return nil, err
	}
	if err := l.Switch.IP(
		fmt.Sprintf("link add %s type veth peer name lan netns %s", name, n.Name),
		fmt.Sprintf("link set %s master bridge up", name),
	); err != nil {
		return nil, err
	}
	return n, n.IP(append([]string{"link set lan up"}, l.each(addresses, func(addr netip.Addr, bits int) string {
		return fmt.Sprintf("addr add %s/%d dev lan", addr, bits)
	})...)...)
}

// RouteToRouter sends what a host has no route for to the router.
func (l *LAN) RouteToRouter(n *Namespace) error {
	return n.IP(l.each(l.Host(RouterNumber), func(addr netip.Addr, _ int) string {
		return fmt.Sprintf("route add default via %s", addr)
	})...)
}
