//go:build linux

package e2e_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minilb/minilb/test/netns"
)

// ethARP is the EtherType of ARP in network byte order, as sockets take it.
var ethARP = binary.NativeEndian.Uint16([]byte{unix.ETH_P_ARP >> 8, unix.ETH_P_ARP & 0xff})

// answerers returns the hardware addresses, sorted, of all who answer a host's ARP request for an address within a second (RFC 826).
func answerers(n *netns.Namespace, from, to netip.Addr) (all []string, err error) {
	err = n.Do(func() error {
		lan, err := net.InterfaceByName("lan")
		if err != nil {
			return err
		}
		socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, int(ethARP))
		if err != nil {
			return err
		}
		defer unix.Close(socket)
		broadcast := &unix.SockaddrLinklayer{Protocol: ethARP, Ifindex: lan.Index, Halen: 6, Addr: [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
		if err := unix.Bind(socket, broadcast); err != nil {
			return err
		}
		request := []byte{0, 1, 8, 0, 6, 4, 0, 1} // Ethernet, IPv4, the lengths of their addresses, request
		request = append(append(request, lan.HardwareAddr...), from.AsSlice()...)
		request = append(append(request, make([]byte, 6)...), to.AsSlice()...)
		if err := unix.Sendto(socket, request, 0, broadcast); err != nil {
			return err
		}
		for end := time.Now().Add(time.Second); time.Now().Before(end); {
			ready, err := unix.Poll([]unix.PollFd{{Fd: int32(socket), Events: unix.POLLIN}}, int(time.Until(end)/time.Millisecond)+1)
			if err == unix.EINTR || ready == 0 {
				continue
			}
			packet := make([]byte, 64)
			length, _, err := unix.Recvfrom(socket, packet, 0)
			if err != nil {
				return err
			}
			const operation, sender, senderIP, size = 6, 8, 14, 28
			if length < size {
				return fmt.Errorf("an ARP packet of %d bytes", length)
			}
			if ip := netip.AddrFrom4([4]byte(packet[senderIP:])); packet[operation+1] == 2 && ip == to { // a reply
				all = append(all, net.HardwareAddr(packet[sender:sender+6]).String())
			}
		}
		slices.Sort(all)
		all = slices.Compact(all)
		return nil
	})
	return all, err
}

// mac returns the hardware address of a host in the LAN.
func mac(n *netns.Namespace) (text string, err error) {
	err = n.Do(func() error {
		lan, err := net.InterfaceByName("lan")
		if err == nil {
			text = lan.HardwareAddr.String()
		}
		return err
	})
	return text, err
}
