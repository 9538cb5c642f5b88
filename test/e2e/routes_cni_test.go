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
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/netns"
	"github.com/minilb/minilb/test/shipped"
)

// cni assigns pod networks to nodes beside their podCIDRs.
type cni struct {
	name, component string
	definitions     func(context.Context) (string, error)
	resources       []string
	v4, v6          string // of a node, by its number
	// assign is the manifest of what gives a node networks.
	assign func(n string, addresses netns.Host, networks ...string) string
}

var cnis = []cni{
	{
		name: "Cilium", component: "cilium", definitions: cluster.CiliumNodes, resources: []string{"ciliumnodes"}, v4: "10.9.%d.0/24", v6: "fd00:9:%d::/64",
		assign: func(n string, addresses netns.Host, networks ...string) string {
			return harness.CiliumNode(n, addresses.V4.String(), networks...)
		},
	},
	{
		name: "Calico", component: "calico", resources: []string{"blockaffinities", "ipamblocks"}, v4: "10.8.%d.0/24", v6: "fd00:8::%d00/120",
		definitions: func(context.Context) (string, error) { return cluster.CalicoBlocks("crd.projectcalico.org", "v1"), nil },
		assign: func(n string, _ netns.Host, networks ...string) string {
			var all []string
			for _, network := range networks {
				all = append(all, harness.BlockAffinity(n, network))
			}
			return strings.Join(all, "---")
		},
	},
}

func (c *cni) networks(number int) []string {
	return []string{fmt.Sprintf(c.v4, number), fmt.Sprintf(c.v6, number)}
}

// install makes the CNI's address management that of the nodes, with the rights that its component gives, until the test ends.
func (c *cni) install(t *testing.T, l *lab) {
	t.Helper()
	definitions, err := c.definitions(t.Context())
	must(t, err)
	component, err := shipped.Component(c.component)
	must(t, err)
	t.Cleanup(func() {
		harness.DeleteDefinitions(t, l.cluster, c.resources...)
		must(t, l.cluster.Delete(context.Background(), component))
	})
	must(t, l.cluster.Apply(t.Context(), definitions))
	must(t, l.cluster.Apply(t.Context(), component))
	for i, name := range []string{"node1", "node2", "node3"} {
		n, networks := l.nodes[name], c.networks(i+1)
		must(t, l.cluster.Apply(t.Context(), c.assign(name, n.addresses, networks...)))
		cidrs, gateway := n.podCIDRs, n.gateway
		n.podCIDRs = []netip.Prefix{netip.MustParsePrefix(networks[0]), netip.MustParsePrefix(networks[1])}
		n.gateway = n.address(1)
		addresses := []string{fmt.Sprintf("%s/%d dev cni0", n.gateway.V4, n.podCIDRs[0].Bits()), fmt.Sprintf("%s/%d dev cni0", n.gateway.V6, n.podCIDRs[1].Bits())}
		must(t, n.IP("addr add "+addresses[0], "addr add "+addresses[1]))
		t.Cleanup(func() {
			must(t, n.IP("addr del "+addresses[0], "addr del "+addresses[1]))
			n.podCIDRs, n.gateway = cidrs, gateway
		})
	}
}

// R20: where a CNI assigns the pods' addresses, the routes are its networks', as they are printed, and the client reaches the pods.
func TestRoutesOfCNIs(t *testing.T) {
	for _, c := range cnis {
		t.Run(c.name, func(t *testing.T) {
			l := theLab(t)
			c.install(t, l)
			name, pods, _ := l.startWeb(t)
			hostname := strings.TrimSuffix(name, ".")
			for _, family := range families {
				if out, err := l.curl(t, family, hostname); err == nil {
					t.Fatalf("without routes: got %v", out)
				}
			}
			lines := l.addRoutes(t, l.Router)
			if strings.Count(lines, "\n") != 6 || strings.Count(lines, "replace "+pods[0].node.podCIDRs[0].String()+" via ") != 1 {
				t.Fatalf("got routes\n%swant one of each family for three nodes", lines)
			}
			for _, family := range families {
				for _, p := range pods {
					l.expectDirect(t, family, p, hostname)
					l.expectTrace(t, family, p, routerHost, p.node.addresses)
				}
			}
			l.expectNoTranslation(t, pods)
		})
	}
}

// R21: "minilb routes -apply" follows nodes, and networks that move between them, within a second, and what goes elsewhere does
// not notice.
func TestRoutesApplyOfCNIs(t *testing.T) {
	for _, c := range cnis {
		t.Run(c.name, func(t *testing.T) {
			l, ctx := theLab(t), t.Context()
			c.install(t, l)
			name, pods, _ := l.startWeb(t)
			kubeconfig, err := shipped.ApplyRoutes(ctx, l.cluster)
			must(t, err)
			must(t, l.lanKubeconfig(kubeconfig))
			t.Cleanup(func() {
				_, err := l.Router.Output(context.WithoutCancel(ctx), l.minilb, "routes", "-cleanup")
				must(t, err)
			})
			d := l.startDaemon(t, l.Router, l.minilb, "routes", "-apply", "-kubeconfig", kubeconfig)
			var want []string
			for _, node := range l.nodes {
				want = append(want, routeLines(node.podCIDRs, node.addresses)...)
			}
			l.expectRoutes(t, want)
			for _, family := range families {
				l.expectDirect(t, family, pods[0], strings.TrimSuffix(name, "."))
			}

			// A node comes, with networks of its own, and goes.
			four := hostOf(34)
			must(t, l.cluster.Node(ctx, "node4", four.V4.String(), four.V6.String()))
			t.Cleanup(func() {
				_ = l.cluster.Client.CoreV1().Nodes().Delete(context.WithoutCancel(ctx), "node4", metav1.DeleteOptions{}) // it may have gone
			})
			networks := []netip.Prefix{netip.MustParsePrefix(c.networks(4)[0]), netip.MustParsePrefix(c.networks(4)[1])}
			assigned := c.assign("node4", four, c.networks(4)...)
			must(t, l.cluster.Apply(ctx, assigned))
			l.expectRoutes(t, append(slices.Clone(want), routeLines(networks, four)...))
			must(t, l.cluster.Client.CoreV1().Nodes().Delete(ctx, "node4", metav1.DeleteOptions{}))
			must(t, l.cluster.Delete(ctx, assigned))
			l.expectRoutes(t, want)

			// A network without pods moves from one node to another and back, while a client goes on talking to pods of both.
			victim := c.networks(7)
			first, second := l.nodes["node1"], l.nodes["node2"]
			talking, stop := context.WithCancel(ctx)
			defer stop()
			failed := make(chan error, 1)
			go func() {
				defer close(failed)
				for n := 0; talking.Err() == nil; n++ {
					if _, err := l.fetch(ctx, pods[n%len(pods)].addresses.Of(families[n%2]), patience); err != nil {
						failed <- err
						return
					}
				}
			}()
			var took []time.Duration
			move := func(from, to *node) {
				t.Helper()
				if from != nil {
					c.release(t, l, from, victim)
				}
				must(t, l.cluster.Apply(ctx, c.assign(to.role, to.addresses, append(c.kept(to), victim...)...)))
				began := time.Now()
				moved := routeLines([]netip.Prefix{netip.MustParsePrefix(victim[0]), netip.MustParsePrefix(victim[1])}, to.addresses)
				for !slices.Contains(l.showRoutes(t), moved[0]) || !slices.Contains(l.showRoutes(t), moved[1]) {
					if time.Since(began) > 20*time.Second {
						t.Fatalf("the network has not moved to %s:\n%s", to.role, strings.Join(l.showRoutes(t), "\n"))
					}
					time.Sleep(5 * time.Millisecond)
				}
				took = append(took, time.Since(began))
			}
			move(nil, first)
			for range 2 {
				time.Sleep(5 * time.Second) // ten changes are followed at once, and then one a second (R7b)
				move(first, second)
				time.Sleep(5 * time.Second)
				move(second, first)
			}
			stop()
			if err := <-failed; err != nil {
				t.Errorf("while another network moves: %v", err)
			}
			t.Logf("a network's routes follow it after %v", took)
			if slowest := slices.Max(took); slowest > time.Second {
				t.Errorf("the slowest takes %v, want a second at most", slowest)
			}
			c.release(t, l, first, victim)
			l.expectRoutes(t, want)
			d.Stop()
			log, err := os.ReadFile(d.Log)
			must(t, err)
			if !strings.Contains(string(log), "minilb: pod networks: "+c.component+": 6 of 6 pod IPs are in its networks of their nodes (podcidrs 0)\n") {
				t.Errorf("it does not say what it has chosen:\n%s", log)
			}
		})
	}
}

// kept returns what the node's object has to say beside another network: nothing where each network has an object.
func (c *cni) kept(n *node) []string {
	if c.component != "cilium" {
		return nil
	}
	return []string{n.podCIDRs[0].String(), n.podCIDRs[1].String()}
}

// release takes networks away from a node.
func (c *cni) release(t *testing.T, l *lab, from *node, networks []string) {
	t.Helper()
	if kept := c.kept(from); kept != nil {
		must(t, l.cluster.Apply(t.Context(), c.assign(from.role, from.addresses, kept...)))
		return
	}
	must(t, l.cluster.Delete(t.Context(), c.assign(from.role, from.addresses, networks...)))
}
