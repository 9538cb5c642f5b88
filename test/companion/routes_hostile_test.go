package companion_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// R7b: who may create Nodes, and has them as the API server takes them, gets no route to the Internet, to others' pods
// or to the API server; and with -within none but to the cluster's pod networks. All who speak of routes agree.
func TestRoutesHostile(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	ctx := t.Context()
	accounts := harness.ShippedAccounts(t, c)
	kubeconfig := routesKubeconfig(t, c)
	harness.Must(t, c.Node(ctx, "node1", "192.168.1.31", "2001:db8::31"))
	good, err := c.NodePodCIDRs(ctx, "node1")
	harness.Must(t, err)
	time.Sleep(1100 * time.Millisecond) // so that it is the older one by the API server's clock, which counts seconds
	slice, err := c.Client.DiscoveryV1().EndpointSlices("default").Get(ctx, "kubernetes", metav1.GetOptions{})
	harness.Must(t, err)
	server, err := netip.ParseAddr(slice.Endpoints[0].Addresses[0])
	harness.Must(t, err)
	around, err := server.Prefix(24)
	harness.Must(t, err)
	half := netip.PrefixFrom(good[0].Addr(), good[0].Bits()+1)
	create := func(name string, cidrs ...string) {
		t.Helper()
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDR: cidrs[0], PodCIDRs: cidrs}}
		node, err := c.Client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
		harness.Must(t, err)
		node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.168.1.66"}, {Type: corev1.NodeInternalIP, Address: "2001:db8::66"}}
		_, err = c.Client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
		harness.Must(t, err)
	}
	const public = " is not a private network: if pods have it, name all of the cluster's pod networks with -within"
	refused := map[string][]string{ // by node, sorted before node1: who comes first by name has no more than others
		"evil1": {"0.0.0.0/1", "podCIDR 0.0.0.0/1 is not a pod network: it is larger than a /8"},
		"evil2": {"9.9.9.9/32", "podCIDR 9.9.9.9/32" + public},
		"evil3": {half.String(), fmt.Sprintf("podCIDR %s overlaps %s of node node1", half, good[0])},
		"evil4": {around.String(), fmt.Sprintf("podCIDR %s contains %s, the address of the API server: a route would cut it off", around, server)},
		"evil5": {"224.0.0.0/8", "podCIDR 224.0.0.0/8 is not a pod network: 224.0.0.0/4 is multicast"},
		"evil6": {"2620:fe::/48", "podCIDR 2620:fe::/48" + public},
	}
	for name, of := range refused {
		create(name, of[0])
	}
	create("other", "10.199.0.0/24")

	run := func(args ...string) (stdout string) {
		t.Helper()
		cmd := harness.Minilb(t, append(args, "-kubeconfig", kubeconfig)...)
		var out, log bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &log
		if err := cmd.Run(); err != nil {
			t.Fatalf("minilb %q: %v\n%s", args, err, &log)
		}
		return out.String()
	}
	routes := fmt.Sprintf("ip route replace %s via 192.168.1.31\nip -6 route replace %s via 2001:db8::31\n", good[0], good[1])
	var want strings.Builder
	for i := range 6 {
		name := fmt.Sprintf("evil%d", i+1)
		fmt.Fprintf(&want, "# node %s: %s\n", name, refused[name][1])
	}
	want.WriteString(routes)
	const other = "ip route replace 10.199.0.0/24 via 192.168.1.66\n"
	if got := run("routes"); got != want.String()+other {
		t.Errorf("got\n%swant\n%s%s", got, &want, other)
	}
	startRoutesWatch(t, kubeconfig).expect(t, want.String()+other)

	// With the cluster's pod networks, as the controllers of this one have them.
	within := "-within=" + cluster.PodCIDRs
	const outside = " is in none of the networks after -within: add it there if pods have it"
	limited := strings.ReplaceAll(want.String(), public, outside) + "# node other: podCIDR 10.199.0.0/24" + outside + "\n"
	if got := run("routes", within); got != limited {
		t.Errorf("with %s: got\n%swant\n%s", within, got, limited)
	}
	startRoutesWatch(t, kubeconfig, within).expect(t, limited)
	cmd := harness.Minilb(t, "check", "-o", "json", "-kubeconfig", c.Kubeconfig, within)
	out, err := cmd.Output()
	if cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("minilb check: %v", err)
	}
	var report struct {
		Findings []struct{ Kind, Name, Reason, Text string }
	}
	harness.Must(t, json.Unmarshal(out, &report))
	found := map[string]string{}
	for _, f := range report.Findings {
		if f.Kind == "Node" {
			found[f.Name] = f.Text
		}
	}
	for line := range strings.Lines(limited) {
		if name, problem, is := strings.Cut(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "# node "), ": "); is && strings.HasPrefix(line, "#") && !strings.HasPrefix(found[name], problem) {
			t.Errorf("check says of %s %q, want %q", name, found[name], problem)
		}
	}
	p := harness.StartController(t, accounts.Controller, within).WaitReady(t)
	banner := "Add the following routes to your default gateway (router):\n" + strings.ReplaceAll(limited, " replace ", " add ")
	cluster.Eventually(t, 10*time.Second, func() error {
		if got := p.Stdout.String(); got != banner {
			return fmt.Errorf("the controller prints\n%swant\n%s", got, banner)
		}
		return nil
	})
}
