//go:build linux

package realcluster_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/realcluster"
)

// resolver is one that clients ask, on the router or on the client itself, with the lines of our recipe.
type resolver struct {
	name    string        // its heading in deploy/recipes/resolvers.md, and what else is set
	program string        // and Debian's package, or "" if start looks for it
	retry   time.Duration // how soon it asks another server
	start   func(t *testing.T, l *realcluster.Lab, recipe string) (addr netip.AddrPort)
}

var resolvers = []resolver{
	// It passes the client's retry on to all servers, after five seconds by the C library's default.
	{"dnsmasq", "dnsmasq", 5 * time.Second, startDnsmasq},
	{"dnsmasq with all-servers", "dnsmasq", 0, func(t *testing.T, l *realcluster.Lab, recipe string) netip.AddrPort {
		return startDnsmasq(t, l, recipe+"all-servers\n")
	}},
	{"Unbound", "unbound", time.Second, startUnbound},
	{"systemd-resolved", "", 5 * time.Second, startResolved},
}

// ask starts the resolver, and returns what a client of it does.
func (r resolver) ask(t *testing.T, l *realcluster.Lab) lookupFunc {
	server := r.start(t, l, recipeFor(t, l, r.name))
	look := func(ctx context.Context, name string) ([]netip.Addr, error) { return stub(ctx, l.Client, server, name) }
	cluster.Eventually(t, 10*time.Second, func() error {
		addrs, err := look(t.Context(), webName)
		if err == nil && len(addrs) != 3 {
			err = fmt.Errorf("%s has the addresses %v, want three", webName, addrs)
		}
		return err
	})
	return look
}

// recipeFor returns the lines for a resolver, with the addresses of the lab's nodes.
func recipeFor(t *testing.T, l *realcluster.Lab, name string) string {
	t.Helper()
	heading, _, _ := strings.Cut(name, " with ")
	text := harness.Recipe(t, "resolvers.md", heading)[0]
	for i, node := range l.Nodes {
		text = strings.ReplaceAll(text, fmt.Sprintf("192.168.1.%d", 30+i), node.Host.V4.String())
	}
	if strings.Contains(text, "192.168.1.") || strings.Count(text, "30053") < 2 {
		t.Fatalf("the recipe for %s does not name several nodes as the others do:\n%s", name, text)
	}
	return text
}

func startDnsmasq(t *testing.T, l *realcluster.Lab, recipe string) netip.AddrPort {
	addr := netip.AddrPortFrom(l.RouterHost().V4, 53)
	config := "no-resolv\nno-hosts\nuser=root\nbind-interfaces\nlisten-address=" + addr.Addr().String() + "\n" + recipe
	l.StartDaemon(t, l.Router, "dnsmasq", "--keep-in-foreground", "--conf-file="+harness.ConfigFile(t, "dnsmasq.conf", config), "--pid-file=")
	return addr
}

func startUnbound(t *testing.T, l *realcluster.Lab, recipe string) netip.AddrPort {
	addr := netip.AddrPortFrom(l.RouterHost().V4, 53)
	config := harness.ConfigFile(t, "unbound.conf", fmt.Sprintf(`
server:
    interface: %s
    access-control: 192.168.77.0/24 allow
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    module-config: "iterator"
remote-control:
    control-enable: no
%s`, addr.Addr(), recipe))
	l.StartDaemon(t, l.Router, "unbound", "-d", "-c", config)
	return addr
}

// startResolved runs it on the client.
func startResolved(t *testing.T, l *realcluster.Lab, recipe string) netip.AddrPort {
	addr := netip.AddrPortFrom(l.ClientHost().V4, 53)
	l.StartDaemon(t, l.Client, "unshare", "--mount", "sh", harness.ResolvedScript(t, addr.Addr().String(), "DNSSEC=no\n"+recipe))
	return addr
}
