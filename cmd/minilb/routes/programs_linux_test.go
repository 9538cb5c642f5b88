package routes

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	corev1 "k8s.io/api/core/v1"
)

// sandbox runs a shell script in a network namespace and a mount namespace of its own, where the
// interface "lan" has 192.168.1.1/24 and 2001:db8::1/64, and returns what it prints.
func sandbox(t *testing.T, script string) string {
	t.Helper()
	program(t, "ip", "iproute2")
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", `
mount --make-rprivate /
export PATH=$PATH:/usr/sbin:/sbin
for knob in default/accept_dad all/accept_dad; do echo 0 >/proc/sys/net/ipv6/conf/$knob; done
ip link add lan type veth peer name far
ip link set lo up
ip link set far up
ip link set lan up
ip addr add 192.168.1.1/24 dev lan
ip addr add 2001:db8::1/64 dev lan nodad
`+script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	cmd.WaitDelay = time.Second
	timer := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer timer.Stop()
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) {
		t.Skipf("namespaces cannot be made here: %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// expectRouted looks for routes in what ip(8) shows.
func expectRouted(t *testing.T, shown string, want ...string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(shown) {
		if strings.Contains(line, " via ") && !strings.HasPrefix(line, "ip ") {
			got = append(got, strings.Join(strings.Fields(line)[:5], " "))
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q:\n%s", got, want, shown)
	}
}

// A shell takes the lines of iproute2, again and again, and those of -watch.
func TestIP(t *testing.T) {
	const show = "ip -4 route\nip -6 route\n"
	text := written(t, "ip", LAN{}.fromNodes(append(hostileNodes(), routed...)))
	expectRouted(t, sandbox(t, text+text+show), "10.244.0.0/24 via 192.168.1.30 dev lan", "10.244.1.0/24 via 192.168.1.31 dev lan", "fd00:0:0:1::/64 via 2001:db8::30 dev lan")

	format, err := FormatByName("ip")
	if err != nil {
		t.Fatal(err)
	}
	now := LAN{}.fromNodes([]*corev1.Node{node("node1", "10.244.0.0/24", "192.168.1.40"), node("node3", "", "")})
	changes, err := format.WriteChanges(Changes(LAN{}.fromNodes(routed), now))
	if err != nil {
		t.Fatal(err)
	}
	expectRouted(t, sandbox(t, text+changes+show), "10.244.0.0/24 via 192.168.1.40 dev lan")

	// ip -batch takes them without their first words.
	batch := strings.NewReplacer("\nip -6 ", "\n", "\nip ", "\n").Replace("\n" + text)
	expectRouted(t, sandbox(t, "ip -batch - <<'END'\n"+batch+"END\n"+show), "10.244.0.0/24 via 192.168.1.30 dev lan", "10.244.1.0/24 via 192.168.1.31 dev lan", "fd00:0:0:1::/64 via 2001:db8::30 dev lan")
}

// R9: of two networks of a DHCP server the one that the routes are for gets them, and the other one keeps
// its default route.
func TestDHCP(t *testing.T) {
	udhcpc := program(t, "udhcpc", "udhcpc")
	for _, tc := range []struct {
		format, program, debianPackage string
		before, after                  string // the routes, in the configuration CONF
		args                           string
	}{
		{"dnsmasq", "dnsmasq", "dnsmasq-base", "port=0\nbind-interfaces\ninterface=lan,guest\nuser=root\nleasefile-ro\nno-ping\n" +
			"dhcp-range=192.168.1.50,192.168.1.90,2m\ndhcp-range=192.168.20.50,192.168.20.90,2m\n", "", "--keep-in-foreground --conf-file=CONF"},
		{"isc", "dhcpd", "isc-dhcp-server", "ping-check false;\n", "subnet 192.168.1.0 netmask 255.255.255.0 { option routers 192.168.1.1, 192.168.1.2; range 192.168.1.50 192.168.1.90; }\n" +
			"subnet 192.168.20.0 netmask 255.255.255.0 { option routers 192.168.20.1; pool { range 192.168.20.50 192.168.20.90; } }\n",
			"-4 -f -cf CONF -lf /run/leases --no-pid lan guest"},
	} {
		t.Run(tc.format, func(t *testing.T) {
			program(t, tc.program, tc.debianPackage)
			format, err := FormatByName(tc.format)
			if err != nil {
				t.Fatal(err)
			}
			options := Options{Gateway: netip.MustParseAddr("192.168.1.1")}
			if format.Tagged {
				options.Interface = "lan"
			}
			text, err := format.Write(LAN{}.fromNodes(append(hostileNodes(), routed...)), options)
			if err != nil {
				t.Fatal(err)
			}
			conf := filepath.Join(t.TempDir(), "conf")
			write(t, conf, tc.before+text+tc.after)
			got := leased(t, udhcpc, tc.program+" "+strings.ReplaceAll(tc.args, "CONF", conf))
			if want := []string{"a default via 192.168.1.1", "a 10.244.0.0/24 via 192.168.1.30", "a 10.244.1.0/24 via 192.168.1.31", "b default via 192.168.20.1"}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// leased returns the routes of the clients of a DHCP server: of "a" in the network of the interface "lan",
// and of "b" in that of "guest", 192.168.20.1/24.
func leased(t *testing.T, udhcpc, server string) (got []string) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "bound"), `#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add $ip/24 dev $interface
[ -n "$staticroutes" ] || staticroutes="0.0.0.0/0 ${router%% *}"
set -- $staticroutes
while [ $# -gt 1 ]; do ip route add $1 via $2; shift 2; done
`)
	if err := os.Chmod(filepath.Join(dir, "bound"), 0o755); err != nil {
		t.Fatal(err)
	}
	shown := sandbox(t, `
mount -t tmpfs none /run
ip link add guest type veth peer name far2
ip link set guest up
ip addr add 192.168.20.1/24 dev guest
ip netns add a
ip netns add b
ip link set far netns a
ip link set far2 netns b
ip -n a link set far up
ip -n b link set far2 up
touch /run/leases
`+server+` >`+dir+`/log 2>&1 &
pid=$!
client() { ip netns exec $1 `+udhcpc+` -f -q -n -t 20 -T 1 -O staticroutes -s `+dir+`/bound -i $2 >>`+dir+`/log 2>&1 || cat `+dir+`/log; }
client a far
client b far2
kill $pid
for n in a b; do ip -n $n route | sed "s/^/$n /"; done
`)
	for line := range strings.Lines(shown) {
		if fields := strings.Fields(line); strings.Contains(line, " via ") {
			got = append(got, strings.Join(fields[:4], " "))
		}
	}
	t.Log(shown)
	return got
}

// systemd-networkd sets the routes of a .network file.
func TestNetworkd(t *testing.T) {
	const networkd = "/lib/systemd/systemd-networkd"
	if _, err := os.Stat(networkd); err != nil {
		program(t, networkd, "systemd")
	}
	file := filepath.Join(t.TempDir(), "lan.network")
	write(t, file, "[Match]\nName=lan\n\n[Network]\nAddress=192.168.1.1/24\nAddress=2001:db8::1/64\n\n"+written(t, "networkd", LAN{}.fromNodes(append(hostileNodes(), routed...))))
	shown := sandbox(t, `
mount -t tmpfs none /run
mkdir -p /run/systemd/network /etc/systemd/network
mount -t tmpfs none /etc/systemd/network
mount -t sysfs -o ro none /sys # or networkd waits for udev
cat `+file+` >/etc/systemd/network/10-lan.network
SYSTEMD_LOG_TARGET=console `+networkd+` >/run/log 2>&1 &
pid=$!
tries=0
until [ "$(ip -4 route show proto static | wc -l)" = 2 ] && [ "$(ip -6 route show proto static | wc -l)" = 1 ]; do
	tries=$((tries + 1))
	if [ $tries -gt 200 ]; then cat /run/log; break; fi
	sleep 0.1
done
kill $pid
ip -4 route show proto static
ip -6 route show proto static
cat /run/log >&2
`)
	expectRouted(t, shown, "10.244.0.0/24 via 192.168.1.30 dev lan", "10.244.1.0/24 via 192.168.1.31 dev lan", "fd00:0:0:1::/64 via 2001:db8::30 dev lan")
	for _, complaint := range []string{"Unknown key", "Failed to parse", "Invalid", "ignoring"} {
		if strings.Contains(shown, complaint) {
			t.Errorf("networkd complains:\n%s", shown)
		}
	}
}

// BIRD sets the routes of a file that it includes.
func TestBirdRuns(t *testing.T) {
	bird := program(t, "bird", "bird2")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "minilb.conf"), written(t, "bird", LAN{}.fromNodes(append(hostileNodes(), routed...))))
	write(t, filepath.Join(dir, "bird.conf"), "router id 192.168.1.1;\nprotocol device {}\nprotocol kernel { ipv4 { export all; }; }\nprotocol kernel { ipv6 { export all; }; }\ninclude \"minilb.conf\";\n")
	shown := sandbox(t, bird+` -f -c `+dir+`/bird.conf -s `+dir+`/bird.ctl >`+dir+`/log 2>&1 &
pid=$!
tries=0
until [ "$(ip -4 route show proto bird | wc -l)" = 2 ] && [ "$(ip -6 route show proto bird | wc -l)" = 1 ]; do
	tries=$((tries + 1))
	if [ $tries -gt 200 ]; then cat `+dir+`/log; break; fi
	sleep 0.1
done
ip -4 route show proto bird
ip -6 route show proto bird
kill $pid
`)
	expectRouted(t, shown, "10.244.0.0/24 via 192.168.1.30 dev lan", "10.244.1.0/24 via 192.168.1.31 dev lan", "fd00:0:0:1::/64 via 2001:db8::30 dev lan")
}

// wireGuardKey is a key of WireGuard's form.
const wireGuardKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// wg takes the lines for a peer. Where the kernel has no WireGuard, it says so once it has read them.
func TestWireGuard(t *testing.T) {
	wg := program(t, "wg", "wireguard-tools")
	file := filepath.Join(t.TempDir(), "wg.conf")
	peer := "[Peer]\nPublicKey = " + wireGuardKey + "\n" + written(t, "wireguard", LAN{}.fromNodes(append(hostileNodes(), routed...)))
	write(t, file, peer)
	load := "ip link add wg0 type wireguard 2>/dev/null || true\n" + wg + " setconf wg0 " + file + " 2>&1 && " + wg + " show wg0 allowed-ips || true\n"
	if shown := sandbox(t, load); !strings.Contains(shown, "10.244.0.0/24 ") && !strings.Contains(shown, "Unable to modify interface: ") {
		t.Errorf("got\n%s", shown)
	}
	write(t, file, strings.Replace(peer, "10.244.0.0/24", "10.244.0.0/99", 1))
	if shown := sandbox(t, load); !strings.Contains(shown, "Configuration parsing error") {
		t.Errorf("it takes nonsense, too:\n%s", shown)
	}
}
