//go:build linux

package e2e_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minilb/minilb/test/netns"
)

const (
	// tracePort is the first of those that traceroute uses, where nobody listens.
	tracePort = 33434
	maxHops   = 8
)

// trace returns who answers for a datagram on its way from the namespace to an address, hop by
// hop, as traceroute does. The last is the address itself, if the way leads there.
func trace(n *netns.Namespace, to netip.Addr) ([]netip.Addr, error) {
	var hops []netip.Addr
	for ttl := 1; ttl <= maxHops; ttl++ {
		hop, err := hop(n, to, ttl)
		if err != nil {
			return hops, fmt.Errorf("hop %d to %v, after %v: %w", ttl, to, hops, err)
		}
		hops = append(hops, hop)
		if hop == to {
			break
		}
	}
	return hops, nil
}

// hop returns who sends the ICMP error about a datagram that may pass ttl-1 routers.
func hop(n *netns.Namespace, to netip.Addr, ttl int) (from netip.Addr, err error) {
	err = n.Do(func() error {
		var socket int
		var addr unix.Sockaddr
		var options [][3]int // level, name, value
		if to.Is4() {
			addr = &unix.SockaddrInet4{Port: tracePort + ttl, Addr: to.As4()}
			socket, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
			options = [][3]int{{unix.IPPROTO_IP, unix.IP_TTL, ttl}, {unix.IPPROTO_IP, unix.IP_RECVERR, 1}}
		} else {
			addr = &unix.SockaddrInet6{Port: tracePort + ttl, Addr: to.As16()}
			socket, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)
			options = [][3]int{{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, ttl}, {unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1}}
		}
		if err != nil {
			return err
		}
		defer unix.Close(socket)
		for _, o := range options {
			if err := unix.SetsockoptInt(socket, o[0], o[1], o[2]); err != nil {
				return err
			}
		}
		// The kernel limits how many ICMP errors it sends in a second.
		for range 5 {
			if err := unix.Sendto(socket, []byte("trace"), 0, addr); err != nil {
				return err
			}
			ready, err := unix.Poll([]unix.PollFd{{Fd: int32(socket), Events: unix.POLLERR}}, int(time.Second/time.Millisecond))
			if err != nil && err != unix.EINTR {
				return err
			}
			if ready > 0 {
				from, err = offender(socket)
				return err
			}
		}
		return fmt.Errorf("no answer")
	})
	return from, err
}

// offender reads a socket's error queue, ip(7): who sent the ICMP error.
func offender(socket int) (netip.Addr, error) {
	control := make([]byte, 512)
	_, length, _, _, err := unix.Recvmsg(socket, make([]byte, 512), control, unix.MSG_ERRQUEUE)
	if err != nil {
		return netip.Addr{}, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:length])
	if err != nil {
		return netip.Addr{}, err
	}
	// A sock_extended_err of 16 octets stands before the sender's sockaddr.
	const address = 16
	for _, message := range messages {
		if len(message.Data) < address+2 {
			continue
		}
		switch data := message.Data[address:]; binary.NativeEndian.Uint16(data) {
		case unix.AF_INET:
			return netip.AddrFrom4([4]byte(data[4:8])), nil
		case unix.AF_INET6:
			return netip.AddrFrom16([16]byte(data[8:24])), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("an error without a sender")
}

// forwarded is how many packets of each family a namespace has passed on from one host to another.
type forwarded struct{ v4, v6 uint64 }

// of returns the number of a family, "4" or "6".
func (f forwarded) of(family string) uint64 {
	if family == "6" {
		return f.v6
	}
	return f.v4
}

func forwardedBy(n *netns.Namespace) (f forwarded, err error) {
	err = n.Do(func() error {
		// Of IPv4 there is a line of names above a line of numbers.
		text, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		var names []string
		for lines := bufio.NewScanner(strings.NewReader(string(text))); lines.Scan() && f.v4 == 0; {
			fields := strings.Fields(lines.Text())
			if fields[0] != "Ip:" {
				continue
			}
			if names == nil {
				names = fields
				continue
			}
			for i, name := range names {
				if name == "ForwDatagrams" {
					if f.v4, err = strconv.ParseUint(fields[i], 10, 64); err != nil {
						return err
					}
				}
			}
		}
		if text, err = os.ReadFile("/proc/thread-self/net/snmp6"); err != nil {
			return err
		}
		for lines := bufio.NewScanner(strings.NewReader(string(text))); lines.Scan(); {
			if fields := strings.Fields(lines.Text()); fields[0] == "Ip6OutForwDatagrams" {
				f.v6, err = strconv.ParseUint(fields[1], 10, 64)
				return err
			}
		}
		return fmt.Errorf("no counter of forwarded IPv6 packets")
	})
	return f, err
}

// translations returns the tables of iptables in a namespace, where the kernel knows of any.
func translations(n *netns.Namespace) (tables string, err error) {
	err = n.Do(func() error {
		for _, file := range []string{"ip_tables_names", "ip6_tables_names"} {
			text, err := os.ReadFile("/proc/thread-self/net/" + file)
			if err != nil && !os.IsNotExist(err) {
				return err
			}
			tables += string(text)
		}
		return nil
	})
	return tables, err
}
