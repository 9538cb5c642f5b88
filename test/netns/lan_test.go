//go:build linux

package netns

import (
	"errors"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The client reaches the control plane's host, and has the router for all else, in each family that the LAN has.
func TestLAN(t *testing.T) {
	if _, err := exec.LookPath("ip"); err != nil || unix.Geteuid() != 0 || unix.Access("/run", unix.W_OK) != nil {
		t.Skip("this takes root, iproute2 and a /run that can be written to")
	}
	v4, v6 := netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("fd00:192:168:1::/64")
	for name, tc := range map[string]struct {
		Subnets
		addresses []string // of the control plane's host
		routes    string
	}{
		"both":      {Subnets{v4, v6}, []string{"192.168.1.2", "fd00:192:168:1::2"}, "192.168.1.1 fd00:192:168:1::1"},
		"only IPv4": {Subnets{V4: v4}, []string{"192.168.1.2"}, "192.168.1.1"},
		"only IPv6": {Subnets{V6: v6}, []string{"fd00:192:168:1::2"}, "fd00:192:168:1::1"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := New()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := set.Close(); err != nil {
					t.Error(err)
				}
			})
			l, err := set.NewLAN(tc.Subnets)
			if denied := (*DeniedError)(nil); errors.As(err, &denied) {
				t.Skip(denied)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, address := range tc.addresses {
				addr := netip.AddrPortFrom(netip.MustParseAddr(address), 80).String()
				listener, err := l.ControlPlane.Listen(t.Context(), addr)
				if err != nil {
					t.Fatal(err)
				}
				defer listener.Close()
				conn, err := l.Client.Dial(t.Context(), "tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				conn.Close()
			}
			var routers []string
			for _, family := range []string{"-4", "-6"} {
				out, err := l.Client.Output(t.Context(), "ip", family, "route", "show", "default")
				if err != nil {
					t.Fatal(err)
				}
				if fields := strings.Fields(out); len(fields) > 2 {
					routers = append(routers, fields[2]) // default via ...
				}
			}
			if got := strings.Join(routers, " "); got != tc.routes {
				t.Errorf("got default routes to %q, want %q", got, tc.routes)
			}
		})
	}
}
