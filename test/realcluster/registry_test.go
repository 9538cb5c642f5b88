//go:build linux

package realcluster_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/netns"
	"github.com/minilb/minilb/test/realcluster"
	"github.com/minilb/minilb/test/shipped"
)

// alwaysPull is a patch of all our workloads.
const alwaysPull = `patches:
- target: {kind: DaemonSet|Deployment}
  patch: |
    - {op: add, path: /spec/template/spec/containers/0/imagePullPolicy, value: Always}
`

// Images that nodes pull from a registry by their digests, and rollouts to some that are not there.
func TestRegistry(t *testing.T) {
	inFull(t)
	l := theLab(t)
	find := exec.CommandContext(t.Context(), "go", "tool", "-n", "registry")
	find.Dir = "../../deploy/image"
	registry, err := find.Output()
	harness.Must(t, err)
	addr := harness.FreePorts(t, 1)[0] // on loopback, where it listens
	harness.StartDaemon(t, func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err
	}, strings.TrimSpace(string(registry)), "-port", fmt.Sprint(netip.MustParseAddrPort(addr).Port()))
	digests, err := realcluster.PushImages(t.Context(), addr, version)
	harness.Must(t, err)
	forwarder, err := netns.Forward(t.Context(), l.Router, netip.MustParseAddrPort(l.Registry()), "http://"+addr)
	harness.Must(t, err)
	t.Cleanup(forwarder.Stop)
	repository := l.Registry() + "/minilb/"
	unknown := "sha256:" + strings.Repeat("0", 64)
	web(t, l)

	t.Run("kustomize", func(t *testing.T) {
		kustomization := harness.Recipe(t, "../image/README.md", "The images")[2]
		for _, program := range []string{"coredns", "minilb"} {
			kustomization = strings.Replace(kustomization, "sha256:...", digests[program], 1)
		}
		kustomization = strings.ReplaceAll(kustomization, "registry.example.org", l.Registry())
		manifest, err := shipped.Overlay(kustomization+alwaysPull, nil)
		harness.Must(t, err)
		install(t, l, manifest)
		pulled(t, l, digests)
		const setImage = "kubectl -n minilb set image daemonset/minilb-dns coredns="
		for _, image := range []string{repository + "coredns:v0.0.0", repository + "coredns@" + unknown} {
			missingImage(t, l, nodePort, 0, setImage+image, "kubectl -n minilb rollout undo daemonset minilb-dns")
		}
	})

	t.Run("chart", func(t *testing.T) {
		namespace(t, l, "privileged")
		values := "dns.hostPort=53"
		for of, program := range map[string]string{"dns.image": "coredns", "controller.image": "minilb"} {
			values += fmt.Sprintf(",%s.repository=%s,%[1]s.digest=%[3]s,%[1]s.pullPolicy=Always", of, repository+program, digests[program])
		}
		do(t, l, helmInstall+" --set "+values)
		t.Cleanup(func() { do(t, l, "helm uninstall minilb --namespace minilb --wait") })
		pulled(t, l, digests)
		const upgrade = "helm upgrade minilb deploy/helm/minilb --namespace minilb --reset-then-reuse-values --set "
		for _, image := range []string{"dns.image.tag=v0.0.0,dns.image.digest=", "dns.image.digest=" + unknown} {
			missingImage(t, l, 53, 1, upgrade+image, "helm rollback minilb --namespace minilb")
		}
	})
}

// pulled waits until all pods of ours run what was pulled by these digests, and answer.
func pulled(t *testing.T, l *realcluster.Lab, digests map[string]string) {
	t.Helper()
	awaitReady(t, l, shipped.Namespace)
	for _, pod := range ours(t, l) {
		image := pod.Spec.Containers[0].Image
		events := do(t, l, "kubectl -n minilb describe pod "+pod.Name)
		want := fmt.Sprintf("Successfully pulled image %q", image)
		if !strings.Contains(events, want) || !strings.HasSuffix(image, "@"+digests["coredns"]) && !strings.HasSuffix(image, "@"+digests["minilb"]) {
			t.Errorf("%s has %s, and nothing says %s:\n%s", pod.Name, image, want, events)
		}
	}
	noTrouble(t, l)
}

// missingImage has a line start a rollout to an image that is not there, of which this many servers may be unavailable, and
// another one take it back. The servers of all other nodes answer each question.
func missingImage(t *testing.T, l *realcluster.Lab, port uint16, unavailable int, line, back string) {
	t.Helper()
	answersFromEachNode(t, l, port)
	var streams []*stream
	for _, node := range l.Nodes {
		streams = append(streams, startStream(t, l.Client, "udp", false, webName, netip.AddrPortFrom(node.Host.V4, port)))
	}
	do(t, l, line)
	stuck := map[string]bool{} // nodes
	cluster.Eventually(t, readyTimeout, func() error {
		pods, err := l.Cluster.Client.CoreV1().Pods(shipped.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=dns"})
		if err != nil {
			return err
		}
		said := false
		for _, pod := range pods.Items {
			for _, s := range pod.Status.ContainerStatuses {
				if waits := s.State.Waiting; waits != nil && strings.Contains(waits.Reason, "Pull") {
					stuck[pod.Spec.NodeName] = true
					said = said || waits.Reason == "ImagePullBackOff"
				}
			}
		}
		if !said {
			return errors.New("no pod says ImagePullBackOff")
		}
		return nil
	})
	shown := do(t, l, "kubectl -n minilb get pods")
	if !strings.Contains(shown, "ImagePullBackOff") && !strings.Contains(shown, "ErrImagePull") {
		t.Errorf("kubectl get pods shows\n%s", shown)
	}
	do(t, l, back)
	awaitReady(t, l, shipped.Namespace)
	answersFromEachNode(t, l, port)
	without := 0
	for i, s := range streams {
		if s.finish(t) == 0 {
			continue
		}
		without++
		if node := l.Nodes[i].Name; !stuck[node] {
			t.Errorf("%s loses questions, and the image was missing on %v", node, stuck)
		}
	}
	if without > unavailable {
		t.Errorf("%d nodes were without a server, want %d at most", without, unavailable)
	}
}
