//go:build linux

package e2e_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/netns"
	"github.com/minilb/minilb/test/shipped"
)

// "minilb routes -apply" on the router is all that it takes for a client to reach the pods: nodes
// come and go, somebody removes a route, and the API server is away.
func TestRoutesApply(t *testing.T) {
	l := theLab(t)
	ctx := t.Context()
	name, pods, _ := l.startWeb(t)
	hostname := strings.TrimSuffix(name, ".")
	kubeconfig, err := shipped.ApplyRoutes(ctx, l.cluster)
	must(t, err)
	must(t, l.lanKubeconfig(kubeconfig))
	for _, family := range families {
		if out, err := l.curl(t, family, hostname); err == nil {
			t.Fatalf("without routes: got %v", out)
		}
	}
	// A route of the router's own, to which nothing is done.
	must(t, l.Router.IP("route add 198.51.100.0/24 via 192.168.1.31"))
	t.Cleanup(func() {
		must(t, l.Router.IP("route del 198.51.100.0/24 via 192.168.1.31"))
		_, err := l.Router.Output(context.WithoutCancel(ctx), l.minilb, "routes", "-cleanup")
		must(t, err)
	})
	others := func() string { return l.otherRoutes(t) }
	before := others()

	d := l.startDaemon(t, l.Router, l.minilb, "routes", "-apply", "-kubeconfig", kubeconfig)
	var want []string
	for _, node := range l.nodes {
		want = append(want, routeLines(node.podCIDRs, node.addresses)...)
	}
	l.expectRoutes(t, want)
	for _, family := range families {
		l.expectDirect(t, family, pods[0], hostname)
	}

	// A node comes and goes.
	must(t, l.cluster.Node(ctx, "node4", hostOf(34).V4.String(), hostOf(34).V6.String()))
	t.Cleanup(func() {
		_ = l.cluster.Client.CoreV1().Nodes().Delete(context.WithoutCancel(ctx), "node4", metav1.DeleteOptions{}) // it may have gone
	})
	cidrs, err := l.cluster.NodePodCIDRs(ctx, "node4")
	must(t, err)
	l.expectRoutes(t, append(slices.Clone(want), routeLines(cidrs, hostOf(34))...))
	must(t, l.cluster.Client.CoreV1().Nodes().Delete(ctx, "node4", metav1.DeleteOptions{}))
	l.expectRoutes(t, want)

	// The API server is out of reach, and somebody removes what is there.
	must(t, l.Switch.IP("link set core down"))
	t.Cleanup(func() { must(t, l.Switch.IP("link set core up")) })
	victim := pods[0]
	for _, cidr := range victim.node.podCIDRs {
		must(t, l.Router.IP("route del "+cidr.String()))
	}
	l.expectRoutes(t, want)
	time.Sleep(1500 * time.Millisecond)
	l.expectRoutes(t, want)
	must(t, l.Switch.IP("link set core up"))
	for _, family := range families {
		l.expectDirect(t, family, victim, hostname)
	}

	// Its end leaves the routes, which are taken away on demand.
	d.Stop()
	l.expectRoutes(t, want)
	l.expectDirect(t, "4", pods[1], hostname)
	log, err := os.ReadFile(d.Log)
	must(t, err)
	for _, line := range strings.Split(strings.TrimSpace(string(log)), "\n") {
		if len(line) > 80 && !strings.HasPrefix(line, "minilb: ") {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	for verb, lines := range map[string]int{"added ": 8, "removed ": 2, "restored ": 2, "keeping ": 1} {
		if got := strings.Count("\n"+string(log), "\n"+verb); got != lines {
			t.Errorf("it says %q %d times, want %d:\n%s", verb, got, lines, log)
		}
	}
	out, err := l.Router.Output(ctx, l.minilb, "routes", "-cleanup")
	must(t, err)
	if strings.Count(out, "removed ") != len(want) {
		t.Errorf("-cleanup prints\n%s", out)
	}
	l.expectRoutes(t, nil)
	if after := others(); after != before {
		t.Errorf("the other routes were\n%sand are\n%s", before, after)
	}
	if out, err := l.curl(t, "4", hostname); err == nil {
		t.Errorf("after -cleanup: got %v", out)
	}
}

// routeLines returns how ip(8) shows the routes to podCIDRs.
func routeLines(podCIDRs []netip.Prefix, via netns.Host) (lines []string) {
	for i, family := range families {
		lines = append(lines, fmt.Sprintf("%s via %s dev lan proto 109 metric 1090", podCIDRs[i], via.Of(family)))
	}
	return lines
}

// expectRoutes waits until these are the routes of the router that are ours.
func (l *lab) expectRoutes(t *testing.T, want []string) {
	t.Helper()
	slices.Sort(want)
	cluster.Eventually(t, 20*time.Second, func() error {
		var got []string
		for _, line := range l.showRoutes(t) {
			if strings.Contains(line, " proto 109 ") {
				got = append(got, line)
			}
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("the router has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		return nil
	})
}

// otherRoutes returns those of the router that are not ours.
func (l *lab) otherRoutes(t *testing.T) string {
	t.Helper()
	return strings.Join(slices.DeleteFunc(l.showRoutes(t), func(line string) bool { return strings.Contains(line, " proto 109 ") }), "\n") + "\n"
}

// showRoutes returns the lines of the router's main tables, sorted.
func (l *lab) showRoutes(t *testing.T) (lines []string) {
	t.Helper()
	for _, family := range families {
		out, err := l.Router.Output(t.Context(), "ip", "-"+family, "route", "show")
		must(t, err)
		for line := range strings.Lines(out) {
			lines = append(lines, strings.TrimSuffix(strings.Join(strings.Fields(line), " "), " pref medium"))
		}
	}
	slices.Sort(lines)
	return lines
}
