//go:build linux

package realcluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/daemon"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/realcluster"
	"github.com/minilb/minilb/test/shipped"
)

// outside applies kustomize's overlay "outside", as deploy/systemd says, and returns the path of a kubeconfig of one of its
// accounts for programs on the router.
func outside(t *testing.T, l *realcluster.Lab, account string) string {
	t.Helper()
	do(t, l, harness.Recipe(t, "../systemd/README.md", "Kubeconfigs that can only read")[0])
	t.Cleanup(func() { do(t, l, harness.Recipe(t, "../systemd/README.md", "Kubeconfigs that can only read")[3]) })
	var token string
	cluster.Eventually(t, 10*time.Second, func() error { // the cluster makes it
		secret, err := l.Cluster.Client.CoreV1().Secrets(shipped.Namespace).Get(t.Context(), account+"-token", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if token = string(secret.Data["token"]); token == "" {
			return errors.New("no token yet")
		}
		return nil
	})
	path, err := l.Cluster.TokenKubeconfig(token)
	harness.Must(t, err)
	kubeconfig := filepath.Join(t.TempDir(), account+".kubeconfig")
	harness.Must(t, l.WriteLANKubeconfig(path, kubeconfig))
	return kubeconfig
}

// webPods returns the addresses of the pods of webService as the API server has them, those of IPv4 and of IPv6, sorted.
func webPods(ctx context.Context, l *realcluster.Lab) (v4, v6 []netip.Addr, err error) {
	pods, err := l.Cluster.Client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		return nil, nil, err
	}
	for _, pod := range pods.Items {
		for _, ip := range pod.Status.PodIPs {
			if addr := netip.MustParseAddr(ip.IP); addr.Is4() {
				v4 = append(v4, addr)
			} else {
				v6 = append(v6, addr)
			}
		}
	}
	slices.SortFunc(v4, netip.Addr.Compare)
	slices.SortFunc(v6, netip.Addr.Compare)
	return v4, v6, nil
}

// The account of kustomize's overlay "outside": its "minilb routes" on the router prints routes that work.
func TestOutsideRoutes(t *testing.T) {
	l := theLab(t)
	web(t, l)
	reachedByPrintedRoutes(t, l, outside(t, l, shipped.RoutesAccount))
}

// reachedByPrintedRoutes fails if the pods of webService cannot be reached once the router has the routes, and no others,
// that "minilb routes" prints there with a kubeconfig.
func reachedByPrintedRoutes(t *testing.T, l *realcluster.Lab, kubeconfig string) {
	t.Helper()
	for _, node := range l.Nodes {
		for _, cidr := range node.PodCIDRs {
			harness.Must(t, l.Router.IP("route del "+cidr.String()))
		}
	}
	out, err := l.Router.Output(t.Context(), harness.Minilb(t).Path, "routes", "-kubeconfig", kubeconfig)
	harness.Must(t, err)
	for line := range strings.Lines(out) {
		route, found := strings.CutPrefix(strings.TrimSpace(line), "ip ")
		if !found {
			t.Fatalf("minilb routes prints %q", line)
		}
		harness.Must(t, l.Router.IP(strings.TrimPrefix(route, "-6 ")))
	}
	v4, v6, err := webPods(t.Context(), l)
	harness.Must(t, err)
	if len(v4) != 3 || len(v6) != 3 {
		t.Fatalf("the pods have the addresses %v and %v", v4, v6)
	}
	pagesOf(t, l, append(v4, v6...))
}

// All nodes and the control plane lose their power, and the router, which is back first: the server there answers as before
// from its snapshot, and with the pods' new addresses once the nodes are back.
func TestPowerCut(t *testing.T) {
	inFull(t)
	l := theLab(t)
	web(t, l)
	kubeconfig := outside(t, l, shipped.DNSAccount)
	dir := t.TempDir()
	corefile, err := os.ReadFile("../../deploy/systemd/Corefile")
	harness.Must(t, err)
	server := netip.AddrPortFrom(l.RouterHost().V4, 53)
	text := string(corefile)
	for old, here := range map[string]string{"/var/lib/minilb": dir, "# bind 192.168.1.2\n": "bind " + server.Addr().String() + "\n"} {
		if strings.Count(text, old) != 1 {
			t.Fatalf("the Corefile has not one %q", old)
		}
		text = strings.Replace(text, old, here, 1)
	}
	path := harness.ConfigFile(t, "Corefile", text)
	binary, err := harness.FastBinary()
	harness.Must(t, err)
	start := func() *daemon.Daemon {
		return l.StartDaemon(t, l.Router, "env", "KUBECONFIG="+kubeconfig, binary, "-conf", path)
	}

	running := start()
	cluster.Eventually(t, 30*time.Second, func() error { return answersAsPods(t.Context(), l, server) })
	v4, v6, err := webPods(t.Context(), l)
	harness.Must(t, err)
	known := time.Now()
	with(t, l, exposedService("later")) // so that there is something to write
	cluster.Eventually(t, 30*time.Second, func() error {
		file, err := os.Stat(filepath.Join(dir, "snapshot"))
		if err == nil && !file.ModTime().After(known) {
			err = errors.New("the snapshot has not been written again")
		}
		return err
	})

	var off sync.WaitGroup
	for _, node := range l.Nodes {
		off.Go(node.PowerOff)
	}
	off.Wait()
	powerOn := sync.OnceFunc(func() {
		for _, node := range l.Nodes {
			harness.Must(t, node.PowerOn())
		}
	})
	startAPIServer := sync.OnceFunc(func() { harness.Must(t, l.Cluster.StartAPIServer(context.WithoutCancel(t.Context()))) })
	t.Cleanup(func() { startAPIServer(); powerOn() }) // also of a test that has failed
	harness.Must(t, l.Cluster.StopAPIServer())
	running.StopSignal = syscall.SIGKILL
	running.Stop()

	began := time.Now()
	start()
	cluster.Eventually(t, 10*time.Second, func() error { return answersExactly(l, server, v4, v6) })
	t.Logf("answered from the snapshot %v after the start", time.Since(began).Round(10*time.Millisecond))

	startAPIServer()
	powerOn()
	awaitMoved(t, l, v4)
	cluster.Eventually(t, readyTimeout, func() error { return answersAsPods(t.Context(), l, server) })
	t.Logf("answered with the new addresses %v after the start", time.Since(began).Round(time.Second))
	v4, v6, err = webPods(t.Context(), l)
	harness.Must(t, err)
	pagesOf(t, l, append(v4, v6...))
}

// awaitMoved waits until the pods of webService are ready and have none of these addresses any more.
func awaitMoved(t *testing.T, l *realcluster.Lab, old []netip.Addr) {
	t.Helper()
	cluster.Eventually(t, readyTimeout, func() error {
		now, _, err := webPods(t.Context(), l)
		if err == nil && slices.ContainsFunc(now, func(addr netip.Addr) bool { return slices.Contains(old, addr) }) {
			err = fmt.Errorf("the pods have the addresses %v, and had %v", now, old)
		}
		return err
	})
	awaitReady(t, l, "default")
}

// answersAsPods returns an error unless a server answers the name of webService with the addresses of its three pods.
func answersAsPods(ctx context.Context, l *realcluster.Lab, server netip.AddrPort) error {
	v4, v6, err := webPods(ctx, l)
	if err != nil {
		return err
	}
	if len(v4) != 3 || len(v6) != 3 {
		return fmt.Errorf("the pods have the addresses %v and %v", v4, v6)
	}
	return answersExactly(l, server, v4, v6)
}

// answersExactly returns an error unless a server answers the name of webService with these addresses.
func answersExactly(l *realcluster.Lab, server netip.AddrPort, v4, v6 []netip.Addr) error {
	for qtype, want := range map[uint16][]netip.Addr{dns.TypeA: v4, dns.TypeAAAA: v6} {
		got, err := lookup(l, "udp", server, webName, qtype)
		if err != nil {
			return err
		}
		slices.SortFunc(got, netip.Addr.Compare)
		if !slices.Equal(got, want) {
			return fmt.Errorf("%s is answered with %v, want %v", webName, got, want)
		}
	}
	return nil
}
