package faults_test

import (
	"github.com/minilb/minilb/test/harness"

	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
)

// TestReload checks that a reload, one that fails included, ends what the load before it started.
func TestReload(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	profiler := harness.FreePorts(t, 1)[0]
	// Not by way of import: CoreDNS takes for loaded what is in that file when a load is done.
	s := harness.StartCoreDNS(t, ".:PORT {\nbind 127.0.0.1\nREADY\nPROM\npprof "+profiler+"\nreload 2s 1s\nminilb minilb {\nkubeconfig "+kubeconfig+"\nttl 1\n}\n}\n")
	s.WaitReady(t)
	original, err := os.ReadFile(s.Corefile())
	harness.Must(t, err)
	write := func(ttl int, more string) {
		s.Rewrite(t, strings.Replace(string(original), "ttl 1\n", fmt.Sprintf("ttl %d\n", ttl), 1)+more)
	}
	ttl := func() (uint32, error) {
		reply, err := s.Ask("udp", "minilb", dns.TypeSOA)
		if err != nil || len(reply.Answer) != 1 {
			return 0, fmt.Errorf("got %v, %v", reply, err)
		}
		return reply.Answer[0].Header().Ttl, nil
	}
	goroutines := func() int {
		code, body := harness.Get("http://" + profiler + "/debug/pprof/goroutine?debug=1")
		var n int
		if _, err := fmt.Sscanf(body, "goroutine profile: total %d", &n); code != http.StatusOK || err != nil {
			t.Fatalf("pprof: %d %s", code, body)
		}
		return n
	}
	reloadTo := func(want int) {
		write(want, "")
		cluster.Eventually(t, 20*time.Second, func() error {
			if got, err := ttl(); err != nil || got != uint32(want) {
				return fmt.Errorf("TTL %d, %v, want %d\n%s", got, err, want, s.Log)
			}
			return nil
		})
	}
	reloadTo(2)
	before := 0
	cluster.Eventually(t, 30*time.Second, func() error { // it has begun what it does
		last := before
		time.Sleep(2 * time.Second)
		if before = goroutines(); before != last {
			return fmt.Errorf("%d goroutines, and two seconds before %d", before, last)
		}
		return nil
	})
	// pprof's own listeners outlive the loads that fail; one may be a query's.
	noneLeft := func(reloads string) {
		cluster.Eventually(t, 10*time.Second, func() error {
			if after := goroutines(); after > before+len(s.Log.Lines("Restart failed"))+1 {
				_, profile := harness.Get("http://" + profiler + "/debug/pprof/goroutine?debug=1")
				return fmt.Errorf("%d goroutines before %s reloads, %d after:\n%s", before, reloads, after, profile)
			}
			return nil
		})
	}
	for i := range 4 {
		reloadTo(3 + i)
	}
	noneLeft("four") // by themselves, before one fails and may tidy up
	// A load that fails after the plugin has started: the address is not this machine's.
	failures := len(s.Log.Lines("Restart failed"))
	_, port, _ := net.SplitHostPort(s.Addr)
	write(9, ".:"+port+" {\nbind 192.0.2.77\n}\n")
	cluster.Eventually(t, 20*time.Second, func() error {
		if len(s.Log.Lines("Restart failed")) == failures {
			return fmt.Errorf("no failed reload yet:\n%s", s.Log)
		}
		return nil
	})
	// The load before it goes on, and still follows the cluster.
	harness.Must(t, c.Apply(t.Context(), "{apiVersion: v1, kind: Service, metadata: {name: after, namespace: default}, spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}}"))
	cluster.Eventually(t, 10*time.Second, func() error { return s.ExpectRcode("after.default.minilb", dns.TypeA, dns.RcodeSuccess) })
	reloadTo(10)
	// D78: without the API server, a load that would know nothing does not take the place of
	// one that does.
	harness.Must(t, c.StopAPIServer())
	const reason = "which serves the last known state, stays: change the Corefile again, or restart, once the API server answers"
	failing := func(what string, reload func()) {
		failures, reasons := len(s.Log.Lines("Restart failed")), len(s.Log.Lines(reason))
		reload()
		cluster.Eventually(t, 30*time.Second, func() error {
			if len(s.Log.Lines("Restart failed")) == failures {
				return fmt.Errorf("%s: no failed reload yet:\n%s", what, s.Log)
			}
			return nil
		})
		if lines := s.Log.Lines(reason); len(lines) == reasons {
			t.Errorf("%s: no line says why the reload failed:\n%s", what, s.Log)
		}
		if got, err := ttl(); err != nil || got != 10 {
			t.Errorf("%s: TTL %d, %v, want 10 as before", what, got, err)
		}
	}
	failing("a reload without the API server", func() { write(11, "") })
	failing("another kubeconfig without the API server", func() {
		content, err := os.ReadFile(kubeconfig)
		harness.Must(t, err)
		elsewhere := filepath.Join(t.TempDir(), "kubeconfig")
		harness.Must(t, os.WriteFile(elsewhere, content, 0o600))
		s.Edit(t, kubeconfig, elsewhere)
	})
	harness.Must(t, c.StartAPIServer(t.Context()))
	reloadTo(12)
	noneLeft("all")
	if _, metrics := harness.Get(s.Prom); !strings.Contains(metrics, `coredns_minilb_synced{source="service"} 1`) {
		t.Errorf("metrics after reloads:\n%s", harness.Grep(metrics, "coredns_minilb"))
	}
}

// reload has the server reloaded, and waits until it has.
func reload(s *harness.CoreDNS, t *testing.T, do func()) {
	t.Helper()
	const complete = "Reloading complete"
	before := len(s.Log.Lines(complete))
	do()
	cluster.Eventually(t, 30*time.Second, func() error {
		if len(s.Log.Lines(complete)) <= before {
			return fmt.Errorf("it is not reloaded:\n%s", s.Log)
		}
		return nil
	})
}
