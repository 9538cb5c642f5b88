package faults_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// testReload reloads the server in ways that fail: the load before goes on, follows the cluster, and
// is replaced once a load can succeed.
func testReload(t *testing.T, c *cluster.Cluster, kubeconfig string) {
	// Not by way of import: CoreDNS takes for loaded what is in that file when a load is done.
	s := harness.StartCoreDNS(t, ".:PORT {\nbind 127.0.0.1\nREADY\nPROM\nreload 2s 1s\nminilb minilb {\nkubeconfig "+kubeconfig+"\nttl 1\n}\n}\n")
	s.WaitReady(t)
	original, err := os.ReadFile(s.Corefile())
	harness.Must(t, err)
	// write gives the server a Corefile with properties in place of the first one's TTL, which plugin reload finds
	// within three seconds. A signal races with that plugin, within Caddy.
	write := func(properties, more string) {
		t.Helper()
		s.Rewrite(t, strings.Replace(string(original), "ttl 1\n", properties+"\n", 1)+more)
	}
	expectTTL := func(want uint32) error {
		reply, err := s.Ask("udp", "minilb", dns.TypeSOA)
		if err != nil || len(reply.Answer) != 1 {
			return fmt.Errorf("got %v, %v", reply, err)
		}
		if got := reply.Answer[0].Header().Ttl; got != want {
			return fmt.Errorf("TTL %d, want %d\n%s", got, want, s.Log)
		}
		return nil
	}
	reloadTo := func(ttl int) {
		t.Helper()
		write(fmt.Sprintf("ttl %d", ttl), "")
		cluster.Eventually(t, 20*time.Second, func() error { return expectTTL(uint32(ttl)) })
	}
	failing := func(what string, change func()) {
		t.Helper()
		failures := len(s.Log.Lines("Restart failed"))
		change()
		cluster.Eventually(t, 30*time.Second, func() error {
			if len(s.Log.Lines("Restart failed")) == failures {
				return fmt.Errorf("%s: no failed reload yet:\n%s", what, s.Log)
			}
			return nil
		})
	}

	reloadTo(2)
	// The plugin has started by the time the load fails: the address is not this machine's.
	failing("an address that cannot be had", func() { write("ttl 9", ".:"+harness.PortOf(s.Addr)+" {\nbind 192.0.2.77\n}\n") })
	harness.Must(t, c.Apply(t.Context(), "{apiVersion: v1, kind: Service, metadata: {name: after, namespace: default}, spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}}"))
	cluster.Eventually(t, 10*time.Second, func() error { return s.ExpectRcode("after.default.minilb", dns.TypeA, dns.RcodeSuccess) })
	reloadTo(10)

	// D78: without the API server, a load that would know nothing does not take the place of
	// one that does.
	harness.Must(t, c.StopAPIServer())
	refused := func(what string, change func()) {
		t.Helper()
		const reason = "the previous configuration stays, which serves the last known state: change the Corefile again, or restart, once the API server answers"
		reasons := len(s.Log.Lines(reason))
		failing(what, change)
		if lines := s.Log.Lines(reason); len(lines) == reasons {
			t.Errorf("%s: no line says why the reload failed:\n%s", what, s.Log)
		}
		if err := expectTTL(10); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("a reload without the API server", func() { write("ttl 11\nstartup_timeout 1s", "") })
	refused("another kubeconfig without the API server", func() {
		content, err := os.ReadFile(kubeconfig)
		harness.Must(t, err)
		elsewhere := filepath.Join(t.TempDir(), "kubeconfig")
		harness.Must(t, os.WriteFile(elsewhere, content, 0o600))
		s.Edit(t, kubeconfig, elsewhere)
	})
	harness.Must(t, c.StartAPIServer(t.Context()))
	reloadTo(12)
	if _, metrics := harness.Get(s.Prom); !strings.Contains(metrics, `coredns_minilb_synced{source="service"} 1`) {
		t.Errorf("metrics after reloads:\n%s", harness.Grep(metrics, "coredns_minilb"))
	}
}
