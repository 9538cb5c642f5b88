//go:build linux

package realcluster_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/realcluster"
	"github.com/minilb/minilb/test/shipped"
)

// restart rolls the DNS servers, as "kubectl rollout restart" does, and waits until they have rolled out.
func restart(t *testing.T, l *realcluster.Lab) {
	t.Helper()
	began := time.Now()
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{"kubectl.kubernetes.io/restartedAt": time.Now().Format(time.RFC3339Nano)}}}}})
	harness.Must(t, err)
	_, err = l.Cluster.Client.AppsV1().DaemonSets(shipped.Namespace).Patch(t.Context(), "minilb-dns", types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	harness.Must(t, err)
	awaitReady(t, l, shipped.Namespace)
	t.Logf("rolled out within %v", time.Since(began).Round(time.Second))
}

// A rollout loses no question: not of clients that keep their ports, whose flows kube-proxy leads to the old pod
// until it is not ready any more.
func TestRolloutNodePort(t *testing.T) {
	l := theLab(t)
	manifest, err := shipped.Base()
	harness.Must(t, err)
	roll(t, l, manifest, nodePort, func(i int) []*realcluster.Node { return l.Nodes[i%len(l.Nodes):][:1] })
}

// With port 53 of the nodes one node at a time has no server, and clients know the others.
func TestRolloutHostPort(t *testing.T) {
	inFull(t)
	l := theLab(t)
	manifest, err := shipped.DaemonSet()
	harness.Must(t, err)
	roll(t, l, manifest, 53, func(i int) []*realcluster.Node { return slices.Concat(l.Nodes[i%len(l.Nodes):], l.Nodes)[:2] })
}

// roll installs a manifest, and rolls its DNS servers, twice in full, while four clients ask the nodes that known gives
// to each of them.
func roll(t *testing.T, l *realcluster.Lab, manifest string, port uint16, known func(i int) []*realcluster.Node) {
	t.Helper()
	serve(t, l, manifest, port)
	streams := askNodes(t, l, port, known)
	restart(t, l)
	if harness.Full {
		restart(t, l)
	}
	for _, s := range streams {
		if lost := s.finish(t); lost > 0 {
			t.Errorf("%s: %d lost", s.what, lost)
		}
	}
	noTrouble(t, l)
}

// askNodes starts four clients, over UDP and TCP, that keep their ports and that do not, of the nodes that known gives
// to each of them.
func askNodes(t *testing.T, l *realcluster.Lab, port uint16, known func(i int) []*realcluster.Node) (streams []*stream) {
	t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		for _, keep := range []bool{false, true} {
			var servers []netip.AddrPort
			for _, node := range known(len(streams)) {
				servers = append(servers, netip.AddrPortFrom(node.Host.V4, port))
			}
			streams = append(streams, startStream(t, l.Client, network, keep, webName, servers...))
		}
	}
	return streams
}
