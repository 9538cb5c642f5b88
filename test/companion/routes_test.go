package companion_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
	"github.com/minilb/minilb/cmd/minilb/wordwrap"
	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// R1, R2, R3, M8: the routes of real nodes, as both commands print them.
func TestRoutes(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	ctx := t.Context()
	kubeconfig := harness.ShippedAccounts(t, c).Controller
	run := func(args ...string) (stdout, stderr string) {
		t.Helper()
		cmd := harness.Minilb(t, append([]string{"routes", "-kubeconfig", kubeconfig}, args...)...)
		var out, log bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &log
		if err := cmd.Run(); err != nil {
			t.Fatalf("minilb routes: %v\n%s", err, &log)
		}
		return out.String(), log.String()
	}
	var out, log bytes.Buffer
	without := harness.Minilb(t, "routes", "-kubeconfig", kubeconfig)
	without.Stdout, without.Stderr = &out, &log
	const noNodes = "minilb: no routes: the cluster has no nodes, or all have the label minilb/ignore\n"
	if err := without.Run(); err == nil || out.String() != "" || log.String() != noNodes {
		t.Errorf("without nodes: got %v, %q and %q", err, &out, &log)
	}

	type addresses struct{ v4, v6 string }
	nodes := map[string]addresses{}
	for n := range 3 {
		name := fmt.Sprintf("node%d", 3-n)
		nodes[name] = addresses{fmt.Sprintf("192.168.1.3%d", n), fmt.Sprintf("2001:db8::3%d", n)}
		harness.Must(t, c.Node(ctx, name, nodes[name].v4, nodes[name].v6, "10.99.0.1"))
	}
	var add, replace strings.Builder
	cidrs := map[string][]netip.Prefix{}
	for _, name := range []string{"node1", "node2", "node3"} {
		var err error
		cidrs[name], err = c.NodePodCIDRs(ctx, name)
		harness.Must(t, err)
		for verb, lines := range map[string]*strings.Builder{"add": &add, "replace": &replace} {
			fmt.Fprintf(lines, "ip route %s %s via %s\nip -6 route %s %s via %s\n", verb, cidrs[name][0], nodes[name].v4, verb, cidrs[name][1], nodes[name].v6)
		}
	}
	hint := wordwrap.Wrap("hint: ", "      ", routes.FirewallHint)                              // R14
	const chosen = "minilb: pod networks: podcidrs: nothing else says which networks pods have" // R20
	if stdout, stderr := run(); stdout != replace.String() || stderr != hint+chosen+", and there is no pod to compare\n" {
		t.Errorf("got\n%s%swant\n%s", stdout, stderr, &replace)
	}
	p := harness.StartController(t, kubeconfig).WaitReady(t)
	expectBanner := func(p *harness.Controller, want string) {
		t.Helper()
		cluster.Eventually(t, 10*time.Second, func() error {
			if got := p.Stdout.String(); got != "Add the following routes to your default gateway (router):\n"+want {
				return fmt.Errorf("the controller prints\n%swant\n%s", got, want)
			}
			return nil
		})
	}
	expectBanner(p, add.String())
	p.Untroubled(t)

	stdout, _ := run("-o", "json")
	var document struct {
		Routes []struct {
			Node, Family string
			Destination  netip.Prefix
			Gateway      netip.Addr
		}
		Skipped []struct{ Node, Reason string }
	}
	harness.Must(t, json.Unmarshal([]byte(stdout), &document))
	if len(document.Routes) != 6 || document.Skipped == nil || len(document.Skipped) != 0 ||
		document.Routes[1].Node != "node1" || document.Routes[1].Family != "ipv6" ||
		document.Routes[1].Destination != cidrs["node1"][1] || document.Routes[1].Gateway.String() != nodes["node1"].v6 {
		t.Errorf("got %s", stdout)
	}

	// R3: a pod inside, one on the host's network, one that is not ready, and one outside.
	for name, pod := range map[string]cluster.PodSpec{
		"inside":  {IPs: []string{cidrs["node1"][0].Addr().Next().String(), cidrs["node1"][1].Addr().Next().String()}},
		"host":    {IPs: []string{nodes["node1"].v4}},
		"unready": {IPs: []string{"10.0.0.8"}, Unready: true},
	} {
		pod.Name, pod.Node, pod.Labels = name, "node1", map[string]string{"app": "web"}
		harness.Must(t, c.Pod(ctx, pod))
	}
	harness.CreateService(t, c, "default", "web", "", func(s *corev1.Service) {
		both := corev1.IPFamilyPolicyPreferDualStack
		s.Spec.IPFamilyPolicy = &both
	})
	endpoints := func(n int) {
		t.Helper()
		cluster.Eventually(t, 20*time.Second, func() error {
			slices, err := c.Client.DiscoveryV1().EndpointSlices("default").List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=web"})
			harness.Must(t, err)
			got := 0
			for _, slice := range slices.Items {
				got += len(slice.Endpoints)
			}
			if got != n {
				return fmt.Errorf("%d endpoints, want %d", got, n)
			}
			return nil
		})
	}
	endpoints(4)
	if _, stderr := run(); stderr != hint+chosen+"; 2 of 2 pod IPs are in its networks of their nodes\n" {
		t.Errorf("pods that the routes reach: got\n%s", stderr)
	}
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Name: "outside", Node: "node1", Labels: map[string]string{"app": "web"}, IPs: []string{"10.0.0.7"}}))
	endpoints(5)
	warning := fmt.Sprintf("pod IP outside podCIDRs; routes printed will not work: node node1: 1 of 4 pod IPs are outside %s and %s, for example 10.0.0.7",
		cidrs["node1"][0], cidrs["node1"][1])
	stdout, stderr := run()
	hint += chosen + "; 2 of 3 pod IPs are in its networks of their nodes\n" + wordwrap.Wrap("warning: ", "         ", warning) +
		wordwrap.Wrap("hint: ", "      ", routes.OutsideHint(podnetworks.Choice{Provider: podnetworks.PodCIDRs}))
	if stdout != replace.String() || stderr != hint {
		t.Errorf("got\n%swant\n%s", stderr, hint)
	}
	second := harness.StartController(t, kubeconfig, "-class", "example.org/idle")
	expectBanner(second, add.String())
	cluster.Eventually(t, 10*time.Second, func() error {
		if len(second.Stderr.Lines(warning)) != 1 {
			return errors.New("the controller does not warn")
		}
		return nil
	})

	// R1, M8: a node without addresses of a family, one without podCIDRs, one that is ignored.
	harness.Must(t, c.Node(ctx, "node2", nodes["node2"].v4))
	_, err := c.Client.CoreV1().Nodes().Patch(ctx, "node3", types.MergePatchType, []byte(`{"metadata":{"labels":{"minilb/ignore":"true"}}}`), metav1.PatchOptions{})
	harness.Must(t, err)
	stdout, _ = run()
	lines := slices.Collect(strings.Lines(replace.String()))
	if want := strings.Join(lines[:3], "") + fmt.Sprintf("# node node2: no IPv6 InternalIP for %s\n", cidrs["node2"][1]); stdout != want {
		t.Errorf("got\n%swant\n%s", stdout, want)
	}
}
