//go:build linux

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/daemon"
	"github.com/minilb/minilb/test/netns"
)

// startDaemon runs one of our programs on a host, until the test ends.
func (l *lab) startDaemon(t *testing.T, n *netns.Namespace, binary string, args ...string) *daemon.Daemon {
	t.Helper()
	// ip(8) becomes the program.
	return l.start(t, filepath.Base(binary), "ip", append([]string{"netns", "exec", n.Name, binary}, args...)...)
}

// start runs a program until the test ends.
func (l *lab) start(t *testing.T, name, path string, args ...string) *daemon.Daemon {
	t.Helper()
	d := &daemon.Daemon{Name: name, Path: path, Args: args, Log: filepath.Join(t.TempDir(), name+".log")}
	l.spawner.Run(t, d)
	return d
}

// startCoreDNS runs the server on the router, with these properties of minilb's beside kubeconfig.
// It waits until a name, if not empty, has this number of addresses in each family.
func (l *lab) startCoreDNS(t *testing.T, properties []string, name string, addresses int) *daemon.Daemon {
	t.Helper()
	corefile := filepath.Join(t.TempDir(), "Corefile")
	must(t, os.WriteFile(corefile, []byte(fmt.Sprintf(`. {
    bind %s %s
    errors
    minilb minilb {
        kubeconfig %s
        %s
    }
}
`, routerHost.V4, routerHost.V6, l.accounts.DNS, strings.Join(properties, "\n        "))), 0o600))
	d := l.startDaemon(t, l.Router, l.coredns, "-conf", corefile)
	l.waitAddresses(t, name, addresses)
	return d
}

// waitAddresses waits until a name has a number of addresses in each family.
func (l *lab) waitAddresses(t *testing.T, name string, number int) {
	t.Helper()
	cluster.Eventually(t, 30*time.Second, func() error {
		for _, family := range families {
			answer, err := l.resolve(t.Context(), name, family)
			if err != nil {
				return err
			}
			if len(answer.addresses) != number {
				return fmt.Errorf("%s has the IPv%s addresses %v, want %d", name, family, answer.addresses, number)
			}
		}
		return nil
	})
}

// addRoutes executes the lines that "minilb routes" prints on a host, as they are, and takes the
// routes away again when the test ends.
func (l *lab) addRoutes(t *testing.T, n *netns.Namespace) string {
	t.Helper()
	lines, err := l.Router.Output(t.Context(), l.minilb, "routes", "-kubeconfig", l.accounts.Controller)
	must(t, err)
	l.execute(t, n, lines)
	return lines
}

// execute runs lines of shell on a host; what routes they add are taken away when the test ends.
func (l *lab) execute(t *testing.T, n *netns.Namespace, lines string) {
	t.Helper()
	t.Cleanup(func() {
		var errs []error
		for _, node := range l.nodes {
			for i, family := range families {
				// That there is none is no error.
				_, err := n.Output(context.WithoutCancel(t.Context()), "ip", "-"+family, "route", "flush", node.podCIDRs[i].String())
				errs = append(errs, err)
			}
		}
		must(t, errors.Join(errs...))
	})
	out, err := n.Output(t.Context(), "sh", "-e", "-c", lines)
	must(t, err)
	if out != "" {
		t.Errorf("the lines print %q", out)
	}
}
