//go:build linux

package realcluster_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/realcluster"
	"github.com/minilb/minilb/test/shipped"
)

// Under flannel, which sets the routes between nodes and translates what pods send elsewhere: each node answers, pods are
// reached by the routes of "minilb routes", and a node comes back that was off.
func TestFlannel(t *testing.T) {
	inFull(t)
	needNodes(t)
	l, err := startLab(realcluster.Options{Nodes: 3, Flannel: true})
	harness.Must(t, err)
	t.Cleanup(func() { harness.Must(t, l.Stop()) })
	upstream, err := startUpstream(t.Context(), l.Router, "9.9.9.9", "149.112.112.112")
	t.Cleanup(func() { harness.Must(t, upstream.stop()) })
	harness.Must(t, err)
	manifest, err := shipped.Base()
	harness.Must(t, err)
	install(t, l, manifest)
	web(t, l)
	awaitReady(t, l, shipped.Namespace)
	answersFromEachNode(t, l, nodePort)
	routesOfFlannel(t, l)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	harness.Must(t, l.WriteLANKubeconfig(l.Cluster.Kubeconfig, kubeconfig))
	reachedByPrintedRoutes(t, l, kubeconfig)
	noTrouble(t, l)

	node := l.Nodes[2]
	node.PowerOff()
	harness.Must(t, node.IP("link del cni0")) // as a machine forgets it, and routes
	for _, other := range l.Nodes[:2] {
		for _, cidr := range other.PodCIDRs {
			harness.Must(t, node.IP("route del "+cidr.String()))
		}
	}
	harness.Must(t, node.PowerOn())
	comesBack(t, l, node)
	routesOfFlannel(t, l)
}

// routesOfFlannel waits until each node leads to the pods of each other one directly, and not through the router.
func routesOfFlannel(t *testing.T, l *realcluster.Lab) {
	t.Helper()
	for _, from := range l.Nodes {
		for _, to := range l.Nodes {
			for i, cidr := range to.PodCIDRs {
				if from == to {
					continue
				}
				via := fmt.Sprintf(" via %s ", []any{to.Host.V4, to.Host.V6}[i])
				cluster.Eventually(t, 30*time.Second, func() error {
					route, err := from.Output(t.Context(), "ip", "route", "get", cidr.Addr().Next().String())
					if err == nil && !strings.Contains(route, via) {
						err = fmt.Errorf("%s has the route %q", from.Name, route)
					}
					return err
				})
			}
		}
	}
}
