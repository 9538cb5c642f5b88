//go:build linux

package e2e_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// A firewall on a node keeps clients from its pods, and with the recipe's lines it does not. What comes from elsewhere than the LAN
// stays outside, where the firewall says so.
func TestNodeFirewall(t *testing.T) {
	l := theLab(t)
	_, pods, _ := l.startWeb(t)
	l.addRoutes(t, l.Router)
	p := pods[0]
	reached := func() error {
		_, err := l.fetch(t.Context(), p.addresses.V4, time.Second)
		return err
	}
	for _, of := range []struct {
		name  string
		start func(*node, *testing.T) firewall
	}{{"nftables", (*node).startNFTables}, {"ufw", (*node).startUFW}, {"firewalld", (*node).startFirewalld}} {
		t.Run(of.name, func(t *testing.T) {
			must(t, reached())
			f := of.start(p.node, t)
			if reached() == nil {
				t.Fatal("the firewall keeps nobody from the pod")
			}
			f(t, harness.Recipe(t, "node-firewall.md", of.name)[0])
			must(t, reached())
			for _, network := range []string{"tcp", "udp"} { // what pods begin
				conn, err := p.Dial(t.Context(), network, netip.AddrPortFrom(routerHost.V4, 53).String())
				must(t, err)
				must(t, conn.Close())
			}
		})
	}
}

// firewall sets one that runs as lines of a shell say, or as a ruleset does.
type firewall func(t *testing.T, lines string)

// startNFTables has the recipe's chain without what it accepts.
func (n *node) startNFTables(t *testing.T) firewall {
	t.Cleanup(func() { n.flush(t) })
	set := func(t *testing.T, ruleset string) {
		t.Helper()
		cmd := n.Command(t.Context(), "nft", "-f", "-")
		cmd.Stdin = strings.NewReader("flush ruleset\n" + ruleset)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	var closed strings.Builder
	for line := range strings.Lines(harness.Recipe(t, "node-firewall.md", "nftables")[0]) {
		if !strings.Contains(line, "ip saddr ") {
			closed.WriteString(line)
		}
	}
	set(t, closed.String())
	return set
}

// startUFW has ufw as Debian ships it.
func (n *node) startUFW(t *testing.T) firewall {
	copied := withCopy(t, "/etc/ufw")
	set := func(t *testing.T, lines string) {
		t.Helper()
		_, err := n.Output(t.Context(), "sh", "-ec", copied+lines)
		must(t, err)
	}
	t.Cleanup(func() { n.flush(t) })
	set(t, "ufw --force enable")
	return set
}

// startFirewalld has firewalld as Debian ships it, on a bus of its own.
func (n *node) startFirewalld(t *testing.T) firewall {
	copied, dir := withCopy(t, "/etc/firewalld"), t.TempDir()
	bus, config := filepath.Join(dir, "bus"), filepath.Join(dir, "bus.conf")
	must(t, os.WriteFile(config, fmt.Appendf(nil, `<busconfig><type>system</type><listen>unix:path=%s</listen>
<policy context="default"><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>`, bus), 0o600))
	t.Cleanup(func() { n.flush(t) })
	n.lab.start(t, "dbus-daemon", "dbus-daemon", "--nofork", "--nopidfile", "--config-file="+config)
	copied += fmt.Sprintf("export DBUS_SYSTEM_BUS_ADDRESS=unix:path=%s\n", bus)
	n.lab.start(t, "firewalld", "ip", "netns", "exec", n.Name, "sh", "-ec", copied+"exec firewalld --nofork --nopid")
	run := func(ctx context.Context, lines string) error {
		_, err := n.Output(ctx, "sh", "-ec", copied+lines)
		return err
	}
	cluster.Eventually(t, 30*time.Second, func() error { return run(t.Context(), "firewall-cmd --state") })
	must(t, run(t.Context(), "firewall-cmd --zone=public --add-interface=lan")) // as NetworkManager does
	must(t, run(t.Context(), "firewall-cmd --runtime-to-permanent"))
	return func(t *testing.T, lines string) {
		t.Helper()
		must(t, run(t.Context(), lines))
	}
}

// withCopy returns the line of a shell that puts a copy of a directory in its place, which lasts until the test ends.
func withCopy(t *testing.T, dir string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(copied, os.DirFS(dir)))
	return fmt.Sprintf("mount --bind %s %s\n", copied, dir)
}

// flush takes all rules away.
func (n *node) flush(t *testing.T) {
	_, err := n.Output(context.WithoutCancel(t.Context()), "nft", "flush", "ruleset")
	must(t, err)
}
