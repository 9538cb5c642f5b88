//go:build linux

package realcluster_test

import (
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/shipped"
)

// labelCommand is what the chart's notes say where Pod Security may keep pods from ports of nodes.
var labelCommand = regexp.MustCompile(`(?m)^ +(kubectl label namespace (?:.*\\\n)*.*)\n( +(kubectl .*rollout restart .*)\n)?`)

// Pods that use ports of nodes do not fit into a namespace whose Pod Security is restricted. The DaemonSet says so, and the
// commands of the chart's notes mend it.
func TestPodSecurity(t *testing.T) {
	inFull(t)
	l := theLab(t)
	web(t, l)
	for name, v := range map[string]struct{ values, reason string }{
		"host port":    {"dns.hostPort=53", "hostPort"},
		"host network": {"dns.hostNetwork=true,dns.ports.dns=53", "host namespaces"},
	} {
		t.Run(name, func(t *testing.T) {
			namespace(t, l, "restricted")
			notes := do(t, l, helmInstall+" --set "+v.values)
			t.Cleanup(func() { do(t, l, "helm uninstall minilb --namespace minilb --wait") })
			want := `violates PodSecurity "restricted:latest": `
			cluster.Eventually(t, 30*time.Second, func() error {
				shown := do(t, l, "kubectl -n minilb describe daemonset minilb-dns")
				_, reasons, found := strings.Cut(shown, want)
				if !found || !strings.Contains(reasons, v.reason) {
					return errors.New(shown)
				}
				return nil
			})
			commands := labelCommand.FindStringSubmatch(notes)
			if commands == nil {
				t.Fatalf("Helm does not say how the namespace is labelled:\n%s", notes)
			}
			do(t, l, commands[1])
			if commands[3] != "" {
				do(t, l, commands[3])
			}
			awaitReady(t, l, shipped.Namespace)
			for _, node := range l.Nodes {
				answersAt(t, l, netip.AddrPortFrom(node.Host.V4, 53), dns.TypeA)
			}
			noTrouble(t, l)
		})
	}
	t.Run("kustomize", func(t *testing.T) {
		manifest, err := shipped.Overlay(base+`patches:
- target: {kind: DaemonSet}
  patch: |
    - {op: add, path: /spec/template/spec/containers/0/ports/0/hostPort, value: 53}
`, nil)
		harness.Must(t, err)
		install(t, l, manifest)
		said := do(t, l, "kubectl apply -f "+harness.ConfigFile(t, "base.yaml", manifest))
		if want := `Warning: would violate PodSecurity "restricted:latest": hostPort`; !strings.Contains(said, want) {
			t.Errorf("kubectl apply does not say %s:\n%s", want, said)
		}
	})
}
