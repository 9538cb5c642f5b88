//go:build linux

package realcluster_test

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/realcluster"
	"github.com/minilb/minilb/test/shipped"
)

// Moving from kustomize to Helm and back, word for word as the chart's README says, loses no question.
func TestMove(t *testing.T) {
	inFull(t)
	l := theLab(t)
	toHelm, toKustomize := documentedMoves(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), readyTimeout)
		defer cancel()
		manifest, err := shipped.Base()
		harness.Must(t, err)
		harness.Must(t, l.Cluster.Delete(ctx, manifest))
		harness.Must(t, cluster.Wait(ctx, readyTimeout, func() error { return gone(ctx, l) }))
	})
	command(t, l, "kubectl apply -k deploy/kustomize/base")
	web(t, l)
	awaitReady(t, l, shipped.Namespace)
	answersFromEachNode(t, l, nodePort)
	var streams []*stream
	for i, network := range []string{"udp", "tcp"} {
		for j, keep := range []bool{false, true} {
			node := l.Nodes[(2*i+j)%len(l.Nodes)]
			streams = append(streams, startStream(t, l.Client, network, keep, webName, netip.AddrPortFrom(node.Host.V4, nodePort)))
		}
	}
	for _, move := range [][]string{toHelm, toKustomize} {
		for _, line := range move {
			command(t, l, line)
		}
		awaitReady(t, l, shipped.Namespace)
	}
	for _, s := range streams {
		if lost := s.finish(t); lost > 0 {
			t.Errorf("%s: %d lost", s.what, lost)
		}
	}
	noTrouble(t, l)
}

// documentedMoves returns the commands of the chart's README, those to Helm and those to kustomize.
func documentedMoves(t *testing.T) (toHelm, toKustomize []string) {
	t.Helper()
	blocks := harness.Recipe(t, "../helm/minilb/README.md", "Beside kustomize")
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of commands, want two", len(blocks))
	}
	lines := func(block string) []string { return strings.Split(strings.TrimSpace(block), "\n") }
	return lines(blocks[0]), lines(blocks[1])
}

// command runs kubectl or Helm as an administrator in the repository's root.
func command(t *testing.T, l *realcluster.Lab, line string) {
	t.Helper()
	if args, is := strings.CutPrefix(line, "helm "); is {
		_, err := shipped.Helm(t.Context(), append(strings.Fields(args), "--kubeconfig", l.Cluster.Kubeconfig)...)
		harness.Must(t, err)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), readyTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "KUBECONFIG="+l.Cluster.Kubeconfig, "HOME="+t.TempDir())
	harness.WithKubectl(t, cmd)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", line, err, said, state(t, l, shipped.Namespace))
	}
}
