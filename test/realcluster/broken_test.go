//go:build linux

package realcluster_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/realcluster"
	"github.com/minilb/minilb/test/shipped"
)

// The first node has another program at port 53: only that node is without a server.
func TestPortTaken(t *testing.T) {
	inFull(t)
	l := theLab(t)
	web(t, l)
	t.Run("by a pod", func(t *testing.T) { testTakenByPod(t, l) })
	t.Run("by a program of the node", func(t *testing.T) { testTakenByProgram(t, l) })
}

// othersAnswer waits until all nodes but the first answer on port 53.
func othersAnswer(t *testing.T, l *realcluster.Lab) {
	t.Helper()
	for _, node := range l.Nodes[1:] {
		answersAt(t, l, netip.AddrPortFrom(node.Host.V4, 53), dns.TypeA)
	}
}

func testTakenByPod(t *testing.T, l *realcluster.Lab) {
	taken := `
apiVersion: v1
kind: Pod
metadata: {name: other, namespace: default}
spec:
  nodeName: node1
  priorityClassName: system-node-critical # a lesser one would have to go
  containers:
  - {name: other, IMAGE, ports: [{containerPort: 8080, hostPort: 53, protocol: UDP}]}
`
	with(t, l, taken)
	manifest, err := shipped.DaemonSet()
	harness.Must(t, err)
	install(t, l, manifest)
	othersAnswer(t, l)
	cluster.Eventually(t, time.Minute, func() error {
		pods, err := l.Cluster.Client.CoreV1().Pods(shipped.Namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, pod := range pods.Items {
			for _, c := range pod.Status.Conditions {
				if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && strings.Contains(c.Message, "free ports") {
					return nil
				}
			}
		}
		return errors.New("no pod says that the port is not free")
	})
	harness.Must(t, l.Cluster.Delete(t.Context(), taken))
	awaitReady(t, l, shipped.Namespace)
	answersFromEachNode(t, l, 53)
}

// In the node's network the server itself says that it cannot have the port.
func testTakenByProgram(t *testing.T, l *realcluster.Lab) {
	node := l.Nodes[0]
	addr := netip.AddrPortFrom(node.Host.V4, 53).String()
	var packets net.PacketConn
	harness.Must(t, node.Do(func() (err error) {
		packets, err = net.ListenPacket("udp", addr)
		return err
	}))
	defer packets.Close()
	namespace(t, l, "privileged")
	do(t, l, helmInstall+" --set dns.hostNetwork=true,dns.ports.dns=53")
	t.Cleanup(func() { do(t, l, "helm uninstall minilb --namespace minilb --wait") })
	othersAnswer(t, l)
	cluster.Eventually(t, time.Minute, func() error { return says(t, l, "listen udp "+addr+": bind: address already in use") })
	packets.Close()
	awaitReady(t, l, shipped.Namespace)
	answersAt(t, l, netip.MustParseAddrPort(addr), dns.TypeA)
}

// The first node's container runtime has no plugin portmap: only that node is without a server on port 53, and its
// other pods go on.
func TestPortmapMissing(t *testing.T) {
	inFull(t)
	l := theLab(t)
	node := l.Nodes[0]
	web(t, l)
	manifest, err := shipped.DaemonSet()
	harness.Must(t, err)
	server := netip.AddrPortFrom(node.Host.V4, 53)
	// The pod is ready, as nothing in Kubernetes knows: whoever asks the node sees that it does not answer.
	t.Run("in the list", func(t *testing.T) {
		harness.Must(t, node.ConfigureCNI(false))
		t.Cleanup(func() { harness.Must(t, node.ConfigureCNI(true)) }) // also of a test that has failed
		install(t, l, manifest)
		awaitReady(t, l, shipped.Namespace)
		othersAnswer(t, l)
		kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
		harness.Must(t, l.WriteLANKubeconfig(l.Cluster.Kubeconfig, kubeconfig))
		out, err := l.Client.Output(t.Context(), harness.Minilb(t).Path, "check", "-kubeconfig", kubeconfig, "-server", server.String())
		if want := "DNSServer " + server.String() + "  NotAnswering"; err == nil || !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s%v", want, out, err)
		}
		harness.Must(t, node.ConfigureCNI(true))
		do(t, l, "kubectl -n minilb delete pod "+dnsPod(t, l, node).Name)
		answersFromEachNode(t, l, 53)
	})
	// Without the program no pod of the node starts, and each says why.
	t.Run("as a program", func(t *testing.T) {
		path, err := node.Run(t.Context(), "command -v portmap")
		harness.Must(t, err)
		_, err = node.Run(t.Context(), "mount --bind /dev/null", path)
		harness.Must(t, err)
		restore := sync.OnceFunc(func() {
			_, err := node.Run(context.WithoutCancel(t.Context()), "umount", path)
			harness.Must(t, err)
		})
		defer restore() // also of a test that has failed
		install(t, l, manifest)
		othersAnswer(t, l)
		cluster.Eventually(t, time.Minute, func() error {
			shown := do(t, l, "kubectl -n minilb describe pod "+dnsPod(t, l, node).Name)
			if !strings.Contains(shown, "FailedCreatePodSandBox") || !strings.Contains(shown, `failed to find plugin "portmap"`) {
				return errors.New(shown)
			}
			return nil
		})
		pagesOf(t, l, answersAt(t, l, netip.AddrPortFrom(l.Nodes[1].Host.V4, 53), dns.TypeA))
		restore()
		awaitReady(t, l, shipped.Namespace)
		answersFromEachNode(t, l, 53)
	})
}
