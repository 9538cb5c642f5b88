package companion_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/shipped"
)

// R23: the lines for the LAN's resolver are of the nodes whose DNS server is ready, as the API server's own controllers see it,
// for the Services of the manifests; the account for routes may read what that takes. The controller's log names the nodes.
func TestDNSServers(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	ctx := t.Context()
	accounts := harness.ShippedAccounts(t, c)
	kubeconfig := routesKubeconfig(t, c)
	run := func(args ...string) (stdout, stderr string, code int) {
		t.Helper()
		cmd := harness.Minilb(t, append([]string{"routes", "-kubeconfig", kubeconfig}, args...)...)
		var out, log bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &log
		_ = cmd.Run() // its exit status is looked at
		return out.String(), log.String(), cmd.ProcessState.ExitCode()
	}
	expect := func(want, stderr string, code int, args ...string) {
		t.Helper()
		cluster.Eventually(t, 20*time.Second, func() error {
			if got, log, status := run(args...); got != want || log != stderr || status != code {
				return fmt.Errorf("%q: got exit status %d and\n%s%swant %d and\n%s%s", args, status, got, log, code, want, stderr)
			}
			return nil
		})
	}
	expect("", "minilb: no DNS server: namespace minilb has no Service with the label app.kubernetes.io/component=dns and a UDP port named dns: name it with -dns-service namespace/name\n",
		1, "-o", "dnsmasq-server")

	for i := range 3 {
		name := fmt.Sprintf("node%d", i+1)
		harness.Must(t, c.Node(ctx, name, fmt.Sprintf("192.168.1.3%d", i+1), fmt.Sprintf("2001:db8::3%d", i+1)))
	}
	daemonSet := harness.Rendered(t, harness.Daemonset)
	harness.Must(t, c.Apply(ctx, harness.OfKinds(t, daemonSet, "Namespace"))) // which takes any pod
	harness.Must(t, c.Apply(ctx, harness.OfKinds(t, harness.Rendered(t, harness.Base), "Service")))
	labels := map[string]string{"app.kubernetes.io/name": "minilb", "app.kubernetes.io/component": "dns"}
	ports := []corev1.ContainerPort{{Name: "dns", ContainerPort: 1053, Protocol: corev1.ProtocolUDP}, {Name: "dns-tcp", ContainerPort: 1053}}
	server := func(node string, unready bool) {
		t.Helper()
		n := node[len(node)-1:]
		harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: shipped.Namespace, Name: "dns-" + node, Node: node, Labels: labels,
			IPs: []string{"10.244.9." + n, "fd00:10:244:9::" + n}, Unready: unready, Ports: ports}))
	}
	const none = "minilb: no node has a ready DNS server of Service minilb/minilb-dns: see kubectl -n minilb get pods -l app.kubernetes.io/component=dns -o wide\n"
	server("node1", true)
	expect("", "minilb: node node1: its DNS server is not ready\n"+none, 1, "-o", "unbound-server")
	server("node1", false)
	server("node2", true)
	server("node3", false)
	p := harness.StartController(t, accounts.Controller)
	const unready = "minilb: node node2: its DNS server is not ready\n"
	line := func(node, port string) string {
		return fmt.Sprintf("server=/minilb/192.168.1.3%[1]s#%[2]s\nserver=/minilb/2001:db8::3%[1]s#%[2]s\n", node, port)
	}
	const rebind = "rebind-domain-ok=/minilb/\n"
	expect(line("1", "30053")+line("3", "30053")+rebind, unready, 0, "-o", "dnsmasq-server")
	four, _, _ := run("-o", "coredns-server", "-domain", "minilb,Example.org.", "-dns-service", "minilb/minilb-dns")
	for _, zone := range []string{"minilb", "example.org"} {
		if want := zone + " {\n    forward . 192.168.1.31:30053 [2001:db8::31]:30053 192.168.1.33:30053 [2001:db8::33]:30053\n}\n"; !strings.Contains(four, want) {
			t.Errorf("got\n%s", four)
		}
	}
	// CoreDNS starts with it, on another port.
	harness.StartCoreDNS(t, strings.NewReplacer(" {\n", ":PORT {\n    bind 127.0.0.1\n").Replace(four))
	cluster.Eventually(t, 20*time.Second, func() error {
		if len(p.Stderr.Lines("DNS servers are ready on ")) == 0 {
			return fmt.Errorf("the controller says\n%s", p.Stderr)
		}
		return nil
	})

	// Pods with a port of their nodes.
	harness.Must(t, c.Apply(ctx, harness.OfKinds(t, daemonSet, "Service")))
	server("node2", false)
	expect(line("1", "53")+line("2", "53")+line("3", "53")+rebind, "", 0, "-o", "dnsmasq-server")
}
