//go:build linux

package realcluster_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/realcluster"
	"github.com/minilb/minilb/test/shipped"
)

// R21: host-local with blocks that are not in podCIDRs stands for Calico's own IPAM. A block that moves to another node is routed
// there within a second, and a pod of it is reached there; a connection to a pod of another block sees nothing.
func TestMovingBlock(t *testing.T) {
	l, ctx := theLab(t), t.Context()
	kubeconfig := outside(t, l, shipped.RoutesAccount)
	component, err := shipped.Component("calico")
	harness.Must(t, err)
	t.Cleanup(func() {
		harness.DeleteDefinitions(t, l.Cluster, "blockaffinities", "ipamblocks")
		harness.Must(t, l.Cluster.Delete(context.WithoutCancel(ctx), component))
	})
	harness.Must(t, l.Cluster.Apply(ctx, cluster.CalicoBlocks("crd.projectcalico.org", "v1")))
	harness.Must(t, l.Cluster.Apply(ctx, component))
	l.StartDaemon(t, l.Router, "env", harness.Minilb(t).Path, "routes", "-apply", "-pods", "calico", "-kubeconfig", kubeconfig)

	moving, staying := netip.MustParsePrefix("10.245.0.0/26"), netip.MustParsePrefix("10.245.0.64/26")
	first, second, other := l.Nodes[0], l.Nodes[1], l.Nodes[2]
	for node, block := range map[*realcluster.Node]netip.Prefix{first: moving, other: staying} {
		useBlock(t, node, block)
		harness.Must(t, l.Cluster.Apply(ctx, harness.BlockAffinity(node.Name, block.String())))
		expectRoute(t, l, block, node)
	}
	moves := podOn(t, l, "moves", first, moving)
	stays := podOn(t, l, "stays", other, staying)
	exchanges, stop := talk(t, l, stays)

	harness.Must(t, l.Cluster.Client.CoreV1().Pods("default").Delete(ctx, "moves", metav1.DeleteOptions{GracePeriodSeconds: new(int64)}))
	cluster.Eventually(t, readyTimeout, func() error {
		if text, err := page(l, moves); err == nil {
			return fmt.Errorf("the pod that was deleted has the page %q", text)
		}
		return nil
	})
	harness.Must(t, l.Cluster.Delete(ctx, harness.BlockAffinity(first.Name, moving.String())))
	harness.Must(t, first.ConfigureCNI(true))
	useBlock(t, second, moving)
	began := time.Now()
	harness.Must(t, l.Cluster.Apply(ctx, harness.BlockAffinity(second.Name, moving.String())))
	expectRoute(t, l, moving, second)
	took := time.Since(began)
	podOn(t, l, "moved", second, moving)
	before, after := exchanges.Load(), int64(0)
	cluster.Eventually(t, 30*time.Second, func() error {
		if after = exchanges.Load(); after < before+5 {
			return fmt.Errorf("%d exchanges with a pod of the other block, and %d before", after, before)
		}
		return nil
	})
	if err := stop(); err != nil {
		t.Errorf("a connection to a pod of the other block, after %d exchanges: %v", after, err)
	}
	t.Logf("the route follows the block after %v; %d exchanges over one connection to the other block", took, after)
	if took > time.Second {
		t.Error("want a second at most")
	}
}

// useBlock has new pods of a node get addresses of a block until the test ends.
func useBlock(t *testing.T, n *realcluster.Node, block netip.Prefix) {
	t.Helper()
	t.Cleanup(func() {
		harness.Must(t, n.ConfigureCNI(true))
		_, err := n.Run(context.WithoutCancel(t.Context()), "ip link del block0")
		harness.Must(t, err)
	})
	harness.Must(t, n.ConfigureBlock(block))
}

// podOn runs a pod on a node and returns its address, which is of the block and at which the client reaches it.
func podOn(t *testing.T, l *realcluster.Lab, name string, n *realcluster.Node, block netip.Prefix) netip.Addr {
	t.Helper()
	with(t, l, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: default, labels: {app: %[1]s}}
spec:
  nodeName: %s
  terminationGracePeriodSeconds: 0
  containers: [{name: web, IMAGE}]
`, name, n.Name))
	addr, err := netip.ParseAddr(podsOf(t, l, name, 1)[0].Status.PodIP)
	harness.Must(t, err)
	if !block.Contains(addr) {
		t.Fatalf("%s has the address %s, which is not in %s", name, addr, block)
	}
	cluster.Eventually(t, readyTimeout, func() error {
		text, err := page(l, addr)
		if err == nil && !strings.HasPrefix(text, name) {
			err = fmt.Errorf("%s has the page %q, want that of %s", addr, text, name)
		}
		return err
	})
	return addr
}

// expectRoute waits until the router has a route to a block by way of a node.
func expectRoute(t *testing.T, l *realcluster.Lab, block netip.Prefix, n *realcluster.Node) {
	t.Helper()
	cluster.Eventually(t, 30*time.Second, func() error {
		route, err := l.Router.Output(t.Context(), "ip", "route", "show", block.String())
		if want := fmt.Sprintf("via %s ", n.Host.V4); err == nil && !strings.Contains(route, want) {
			err = fmt.Errorf("the route to %s is %q, want %q", block, route, want)
		}
		return err
	})
}

// talk exchanges a page each 100 ms with a pod, over one connection of the client's, and counts them, until stop, which returns
// the first failure.
func talk(t *testing.T, l *realcluster.Lab, addr netip.Addr) (exchanges *atomic.Int64, stop func() error) {
	t.Helper()
	conn, err := l.Client.Dial(t.Context(), "tcp", netip.AddrPortFrom(addr, 8080).String())
	harness.Must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	exchanges = &atomic.Int64{}
	failed := make(chan error, 1)
	go func() {
		defer conn.Close()
		answers := bufio.NewReader(conn)
		for ; ctx.Err() == nil; exchanges.Add(1) {
			if err := fetchOver(conn, answers); err != nil {
				failed <- err
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		failed <- nil
	}()
	return exchanges, func() error {
		cancel()
		return <-failed
	}
}

// fetchOver fetches a page over a connection that stays open.
func fetchOver(conn net.Conn, answers *bufio.Reader) error {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: pod\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
