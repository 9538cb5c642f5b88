package companion_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/shipped"
)

// "minilb routes -watch" with the account that is shipped for it: nodes come, move and go, and an
// outage in which one goes withdraws nothing before its end (R1, R2).
func TestRoutesWatch(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	ctx := t.Context()
	harness.ShippedAccounts(t, c)
	r := harness.StartRelay(t, c)
	kubeconfig := harness.KubeconfigVia(t, routesKubeconfig(t, c), r.URL, nil)

	harness.Must(t, c.Node(ctx, "node1", "192.168.1.31", "2001:db8::31"))
	harness.Must(t, c.Node(ctx, "node2", "192.168.1.32", "2001:db8::32"))
	cidrs := map[string][]netip.Prefix{}
	for _, name := range []string{"node1", "node2"} {
		var err error
		cidrs[name], err = c.NodePodCIDRs(ctx, name)
		harness.Must(t, err)
	}
	ip := startRoutesWatch(t, kubeconfig)
	json := startRoutesWatch(t, kubeconfig, "-o", "json")
	replace4 := func(cidr netip.Prefix, via string) string {
		return fmt.Sprintf("ip route replace %s via %s\n", cidr, via)
	}
	replace6 := func(cidr netip.Prefix, via string) string {
		return fmt.Sprintf("ip -6 route replace %s via %s\n", cidr, via)
	}
	line := func(event, node, family string, cidr netip.Prefix, via string) string {
		return fmt.Sprintf(`{"event":%q,"node":%q,"family":%q,"destination":%q,"gateway":%q}`+"\n", event, node, family, cidr, via)
	}
	one, two := cidrs["node1"], cidrs["node2"]
	ip.expect(t, replace4(one[0], "192.168.1.31")+replace6(one[1], "2001:db8::31")+replace4(two[0], "192.168.1.32")+replace6(two[1], "2001:db8::32"))
	json.expect(t, line("add", "node1", "ipv4", one[0], "192.168.1.31")+line("add", "node1", "ipv6", one[1], "2001:db8::31")+
		line("add", "node2", "ipv4", two[0], "192.168.1.32")+line("add", "node2", "ipv6", two[1], "2001:db8::32"))

	// Another next hop is one line, and what does not concern the routes is none.
	_, err := c.Client.CoreV1().Nodes().Patch(ctx, "node1", types.MergePatchType, []byte(`{"metadata":{"labels":{"example.org/new":"yes"}}}`), metav1.PatchOptions{})
	harness.Must(t, err)
	harness.Must(t, c.Node(ctx, "node1", "192.168.1.41", "2001:db8::31"))
	ip.expect(t, replace4(one[0], "192.168.1.41"))
	json.expect(t, line("replace", "node1", "ipv4", one[0], "192.168.1.41"))

	// M8, a node that comes without podCIDRs at first, and one that goes.
	_, err = c.Client.CoreV1().Nodes().Patch(ctx, "node2", types.MergePatchType, []byte(`{"metadata":{"labels":{"minilb/ignore":"true"}}}`), metav1.PatchOptions{})
	harness.Must(t, err)
	withdrawn := fmt.Sprintf("ip route del %s via 192.168.1.32\nip -6 route del %s via 2001:db8::32\n", two[0], two[1])
	ip.expect(t, withdrawn)
	gone := line("delete", "node2", "ipv4", two[0], "192.168.1.32") + line("delete", "node2", "ipv6", two[1], "2001:db8::32")
	json.expect(t, gone) // each prints what has changed since it last did
	_, err = c.Client.CoreV1().Nodes().Patch(ctx, "node2", types.MergePatchType, []byte(`{"metadata":{"labels":{"minilb/ignore":null}}}`), metav1.PatchOptions{})
	harness.Must(t, err)
	ip.expect(t, replace4(two[0], "192.168.1.32")+replace6(two[1], "2001:db8::32"))
	json.expect(t, line("add", "node2", "ipv4", two[0], "192.168.1.32")+line("add", "node2", "ipv6", two[1], "2001:db8::32"))

	// The API server is away, and a node goes meanwhile.
	r.Refuse()
	const lost = "; retrying, and the routes stay as they are\n"
	const chosen = "minilb: pod networks: podcidrs: nothing else says which networks pods have, and there is no pod to compare\n" // R20
	ip.expectStderr(t, func(log string) bool {
		return strings.HasPrefix(log, chosen+"minilb: cannot reach the API server at "+r.Addr+": ") && strings.HasSuffix(log, lost) && strings.Count(log, "\n") == 2
	})
	harness.Must(t, c.Client.CoreV1().Nodes().Delete(ctx, "node2", metav1.DeleteOptions{}))
	refuseTwice(t, r.Addr)
	if got := ip.rest(); got != "" {
		t.Errorf("while the API server is away: got\n%s", got)
	}
	r.Lead(t, c)
	ip.expect(t, withdrawn)
	ip.expectStderr(t, func(log string) bool {
		return strings.HasSuffix(log, lost+"minilb: The API server answers again\n") && strings.Count(log, "\n") == 3
	})
	json.expect(t, gone)
	// An idle connection that breaks is no outage.
	r.Cut()
	_, err = c.Client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node3"}, Spec: corev1.NodeSpec{PodCIDR: "10.199.0.0/24", PodCIDRs: []string{"10.199.0.0/24"}}}, metav1.CreateOptions{})
	harness.Must(t, err)
	ip.expect(t, "# node node3: no IPv4 InternalIP for 10.199.0.0/24\n")
}

// refuseTwice waits until each of two programs, which pause for the same time after a failure, has tried
// twice to reach an address that refuses connections.
func refuseTwice(t *testing.T, addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", addr)
	harness.Must(t, err)
	defer listener.Close()
	harness.Must(t, listener.(*net.TCPListener).SetDeadline(time.Now().Add(20*time.Second)))
	for range 4 {
		conn, err := listener.Accept()
		harness.Must(t, err)
		conn.Close()
	}
}

// routesKubeconfig makes the kubeconfig of "minilb routes" with the commands of the README beside its
// account or, without kubectl, by itself.
func routesKubeconfig(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	readme, err := os.ReadFile("../../deploy/kustomize/components/routes/README.md")
	harness.Must(t, err)
	_, script, _ := strings.Cut(string(readme), "```sh\n")
	script, _, found := strings.Cut(script, "```")
	if !found {
		t.Fatal("the README has no block of sh")
	}
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Log("kubectl is not installed, the README's commands are not tried: https://kubernetes.io/docs/tasks/tools")
		kubeconfig, err := shipped.ApplyRoutes(t.Context(), c)
		harness.Must(t, err)
		return kubeconfig
	}
	dir := t.TempDir()
	deploy, err := filepath.Abs("../../deploy")
	harness.Must(t, err)
	harness.Must(t, os.Symlink(deploy, filepath.Join(dir, "deploy")))
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "HOME="+dir) // kubectl caches there
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	return filepath.Join(dir, "routes.kubeconfig")
}

// routesWatch is a running "minilb routes -watch".
type routesWatch struct {
	stdout, stderr *harness.LogBuffer
	read           int // bytes of stdout that were expected
}

func startRoutesWatch(t *testing.T, kubeconfig string, flags ...string) *routesWatch {
	t.Helper()
	w := &routesWatch{stdout: &harness.LogBuffer{}, stderr: &harness.LogBuffer{}}
	cmd := harness.Minilb(t, append([]string{"routes", "-watch", "-kubeconfig", kubeconfig}, flags...)...)
	cmd.Stdout, cmd.Stderr = w.stdout, w.stderr
	harness.Must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		defer timer.Stop()
		if err := cmd.Wait(); err != nil || strings.Contains(w.stderr.String(), "DATA RACE") {
			t.Errorf("minilb routes -watch: %v\n%s", err, w.stderr)
		}
	})
	return w
}

// rest returns what has been printed since it was last expected.
func (w *routesWatch) rest() string { return w.stdout.String()[w.read:] }

// expect waits for these lines and no others.
func (w *routesWatch) expect(t *testing.T, want string) {
	t.Helper()
	cluster.Eventually(t, 20*time.Second, func() error {
		if got := w.rest(); got != want {
			return fmt.Errorf("got\n%swant\n%s%s", got, want, w.stderr)
		}
		return nil
	})
	w.read += len(want)
}

func (w *routesWatch) expectStderr(t *testing.T, right func(string) bool) {
	t.Helper()
	cluster.Eventually(t, 20*time.Second, func() error {
		if log := w.stderr.String(); !right(log) {
			return fmt.Errorf("on standard error:\n%s", log)
		}
		return nil
	})
}
