//go:build linux

package realcluster_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/realcluster"
	"github.com/minilb/minilb/test/shipped"
)

// A LAN and a cluster without IPv4: names of Services are answered by the base as it is, and others by the upstreams that the
// chart's README has for such a cluster. The printed routes are those of IPv6.
func TestIPv6Only(t *testing.T) {
	inFull(t)
	needNodes(t)
	l, err := startLab(realcluster.Options{Nodes: 2, IPv6Only: true})
	harness.Must(t, err)
	t.Cleanup(func() { harness.Must(t, l.Stop()) })
	upstream, err := startUpstream(t.Context(), l.Router, "2620:fe::fe", "2620:fe::9")
	t.Cleanup(func() { harness.Must(t, upstream.stop()) })
	harness.Must(t, err)
	web(t, l)

	t.Run("base", func(t *testing.T) {
		manifest, err := shipped.Base()
		harness.Must(t, err)
		install(t, l, manifest)
		answersWithoutIPv4(t, l)
		var routes, printed []string
		for _, node := range l.Nodes {
			routes = append(routes, fmt.Sprintf("ip -6 route replace %s via %s", node.PodCIDRs[0], node.Host.V6))
		}
		for line := range strings.Lines(do(t, l, "minilb routes")) {
			if strings.HasPrefix(line, "ip ") { // and not what it says beside that
				printed = append(printed, strings.TrimSpace(line))
			}
		}
		slices.Sort(printed)
		slices.Sort(routes)
		if !slices.Equal(printed, routes) {
			t.Errorf("minilb routes prints %q, want %q", printed, routes)
		}
	})

	t.Run("chart", func(t *testing.T) {
		namespace(t, l, "restricted")
		var values string
		for _, block := range harness.Recipe(t, "../helm/minilb/README.md", "Examples") {
			if strings.Contains(block, "2620:fe::fe") {
				values = block
			}
		}
		do(t, l, helmInstall+" --values "+harness.ConfigFile(t, "values.yaml", values))
		t.Cleanup(func() { do(t, l, "helm uninstall minilb --namespace minilb --wait") })
		answersWithoutIPv4(t, l)
		for _, node := range l.Nodes {
			_, err := ask(t.Context(), l.Client, "udp", netip.AddrPortFrom(node.Host.V6, nodePort), "nowhere.example.org.")
			if err == nil || !strings.Contains(err.Error(), "NXDOMAIN") {
				t.Errorf("the upstream's answer from %s: %v, want NXDOMAIN", node.Name, err)
			}
		}
		noTrouble(t, l)
	})
}

// answersWithoutIPv4 waits until all nodes answer the name of webService with IPv6 addresses only, which have the pods' pages,
// and its status has the name.
func answersWithoutIPv4(t *testing.T, l *realcluster.Lab) {
	t.Helper()
	awaitReady(t, l, shipped.Namespace)
	for _, node := range l.Nodes {
		server := netip.AddrPortFrom(node.Host.V6, nodePort)
		pagesOf(t, l, answersAt(t, l, server, dns.TypeAAAA))
		if addrs, err := lookup(l, "udp", server, webName, dns.TypeA); err != nil || len(addrs) > 0 {
			t.Errorf("%s has the IPv4 addresses %v, %v", webName, addrs, err)
		}
	}
	harness.ExpectStatus(t, l.Cluster, "default", "web", strings.TrimSuffix(webName, "."))
}
