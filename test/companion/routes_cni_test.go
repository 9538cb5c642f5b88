package companion_test

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/shipped"
)

// R4, R5, R20, R21: the pod networks of a CNI's own IPAM take the right that its component gives to the shipped accounts. Without
// it they say which is missing.
func TestRoutesOfCNIs(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	ctx := t.Context()
	controller := harness.ShippedAccounts(t, c).Controller
	routes, err := shipped.ApplyRoutes(ctx, c)
	harness.Must(t, err)
	for i, name := range []string{"node1", "node2"} {
		harness.Must(t, c.Node(ctx, name, fmt.Sprintf("192.168.1.3%d", i+1)))
	}
	run := func(kubeconfig string, args ...string) (string, string, error) {
		var stdout, stderr strings.Builder
		cmd := harness.Minilb(t, append([]string{"routes", "-kubeconfig", kubeconfig}, args...)...)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		if _, is := err.(*exec.ExitError); err != nil && !is {
			t.Fatal(err)
		}
		return stdout.String(), stderr.String(), err
	}
	harness.CreateService(t, c, "default", "web", "", func(*corev1.Service) {})
	v3 := func(manifest string) string {
		return strings.NewReplacer("crd.projectcalico.org/v1", "projectcalico.org/v3", `deleted: "false"`, "deleted: false").Replace(manifest)
	}
	ciliumNodes, err := cluster.CiliumNodes(ctx)
	harness.Must(t, err)
	affinities := harness.BlockAffinity("node1", "10.8.0.0/26") + "---" + harness.BlockAffinity("node2", "10.8.0.64/26") + "---" + harness.IPAMBlock("node1", "10.8.0.0/26", 7, "node2", "web")
	const blocks = "ip route replace 10.8.0.0/26 via 192.168.1.31\nip route replace 10.8.0.7/32 via 192.168.1.32\nip route replace 10.8.0.64/26 via 192.168.1.32\n"
	for _, tc := range []struct {
		name, component, definitions, objects string
		pod                                   string // of node2
		resources                             []string
		want                                  string // routes to the networks
		stale                                 bool
	}{
		{"Cilium", "cilium", ciliumNodes, harness.CiliumNode("node1", "192.168.1.31", "10.0.0.0/24") + "---" + harness.CiliumNode("node2", "192.168.1.32", "10.0.1.0/24"),
			"10.0.1.7", []string{"ciliumnodes"}, "ip route replace 10.0.0.0/24 via 192.168.1.31\nip route replace 10.0.1.0/24 via 192.168.1.32\n", false},
		{"Calico", "calico", cluster.CalicoBlocks("crd.projectcalico.org", "v1"), affinities, "10.8.0.7", []string{"blockaffinities", "ipamblocks"}, blocks, true},
		{"Calico without its API server", "calico", cluster.CalicoBlocks("projectcalico.org", "v3"), v3(affinities), "10.8.0.7", []string{"blockaffinities", "ipamblocks"}, blocks, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			harness.Must(t, c.Pod(ctx, cluster.PodSpec{Name: "web", Node: "node2", Labels: map[string]string{"app": "web"}, IPs: []string{tc.pod}}))
			t.Cleanup(func() { harness.Must(t, c.RemovePod(context.Background(), "", "web")) })
			harness.Must(t, c.Apply(ctx, tc.definitions))
			t.Cleanup(func() { harness.DeleteDefinitions(t, c, tc.resources...) })
			harness.Must(t, c.Apply(ctx, tc.objects))
			component, err := shipped.Component(tc.component)
			harness.Must(t, err)
			for _, kubeconfig := range []string{controller, routes} {
				cluster.Eventually(t, 20*time.Second, func() error { // the slice, and the definition in all that the API server has
					_, stderr, _ := run(kubeconfig)
					if !strings.Contains(stderr, "0 of 1 pod IPs are in its networks of their nodes, and this account may not list "+tc.resources[0]+".") {
						return fmt.Errorf("without the component: %s", stderr)
					}
					return nil
				})
				stdout, stderr, err := run(kubeconfig, "-pods", tc.component)
				if err == nil || stdout != "" || !strings.HasPrefix(stderr, "minilb: "+tc.resources[0]+".") || !strings.Contains(stderr, ": list is forbidden: apply deploy/kustomize, or grant list on ") {
					t.Errorf("-pods %s without the component: got %q and %q, %v", tc.component, stdout, stderr, err)
				}
			}
			watched := startRoutesWatch(t, routes)
			harness.Must(t, c.Apply(ctx, component))
			t.Cleanup(func() { harness.Must(t, c.Delete(context.Background(), component)) })
			for _, kubeconfig := range []string{controller, routes} {
				for _, flags := range [][]string{nil, {"-pods", tc.component}} {
					cluster.Eventually(t, 20*time.Second, func() error { // the API server knows the binding
						stdout, stderr, err := run(kubeconfig, flags...)
						if err != nil || stdout != tc.want || !strings.Contains(stderr, "minilb: pod networks: "+tc.component) || strings.Contains(stderr, "warning: ") ||
							strings.Contains(stderr, "stale") != tc.stale {
							return fmt.Errorf("%v: got %v,\n%s%swant\n%s", flags, err, stdout, stderr, tc.want)
						}
						return nil
					})
				}
			}
			// What has been running without the right takes it up.
			cluster.Eventually(t, 30*time.Second, func() error {
				for line := range strings.Lines(tc.want) {
					if !strings.Contains(watched.rest(), line) {
						return fmt.Errorf("-watch has not printed %s but\n%s%s", line, watched.rest(), watched.stderr)
					}
				}
				return nil
			})
		})
	}
}
