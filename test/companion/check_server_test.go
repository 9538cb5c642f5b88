package companion_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// expectServers compares the DNS server with the sound cluster, and others that differ from it.
func expectServers(t *testing.T, c *cluster.Cluster, dnsAccount string) {
	t.Helper()
	// A server that knows another namespace alone is not one for this cluster.
	other := harness.StartCoreDNS(t, ".:PORT {\nbind 127.0.0.1\nminilb minilb {\nkubeconfig "+dnsAccount+"\nnamespaces other\n}\nREADY\n}\n")
	other.WaitReady(t)
	want := map[string][]string{}
	for _, name := range []string{"web.shop.minilb", "mqtt.ex.org", "*.w.ex.org", "ingress.ex.org", "route.ex.org"} {
		want["error Name "+name+" AnswerDiffers"] = []string{other.Addr + " is asked for A", "its log"}
	}
	// Two families are one finding each.
	stdout, stderr, status := check(t, c.Kubeconfig, "-server", other.Addr, "-o", "json")
	findings := decodeChecked(t, stdout)
	for _, f := range findings.Findings {
		delete(want, "error "+f.Kind+" "+f.Name+" "+f.Reason)
	}
	if len(want) > 0 || len(findings.Findings) != 10 || status != 1 || stderr != "" {
		t.Errorf("a server for another namespace: got exit status %d, %q and\n%s\nnot found: %v", status, stderr, stdout, want)
	}

	// The Corefile says what the server is told; one that reads less has less to compare.
	_, _, status = check(t, c.Kubeconfig, "-server", other.Addr, "-corefile", writeCorefile(t, ". {\nminilb minilb {\nnamespaces other\n}\n}\n"))
	if status != 0 {
		t.Errorf("by the server's own Corefile: got exit status %d", status)
	}
	nobody := harness.FreePorts(t, 1)[0]
	expectFindings(t, c.Kubeconfig, []string{"-server", nobody}, map[string][]string{"error DNSServer " + nobody + " NotAnswering": {"it does not answer: ", "connection refused"}})
}

// expectRollOut checks a server again and again while pods come and go: that is not a finding.
func expectRollOut(t *testing.T, c *cluster.Cluster, s *harness.CoreDNS) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		defer close(ended)
		for n := 0; ctx.Err() == nil; n++ {
			name := []string{"web", "spare"}[n%2]
			for _, ready := range []bool{false, true} {
				if err := c.SetReady(t.Context(), "shop", name, ready); err != nil {
					ended <- err
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
	}()
	rounds := 3
	if harness.Full {
		rounds = 50
	}
	for range rounds {
		if stdout, stderr, status := check(t, c.Kubeconfig, "-server", s.Addr); status != 0 {
			t.Errorf("while pods come and go: got exit status %d, %q and\n%s", status, stderr, stdout)
		}
	}
	stop()
	harness.Must(t, <-ended)
}

func writeCorefile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "Corefile")
	harness.Must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}
