package integration_test

import (
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
	kubeconfig := shippedAccounts(t, c).dns
	path := filepath.Join(t.TempDir(), "Corefile")
	ports := freePorts(t, 4)
	_, port, _ := net.SplitHostPort(ports[0])
	write := func(ttl int, more string) {
		corefile := fmt.Sprintf(".:%s {\nbind 127.0.0.1\nready %s\nprometheus %s\npprof %s\nreload 2s 1s\nminilb minilb {\nkubeconfig %s\nttl %d\n}\n%s}\n", port, ports[1], ports[2], ports[3], kubeconfig, ttl, more)
		must(t, os.WriteFile(path, []byte(corefile), 0o600))
	}
	write(1, "")
	s := launchCoreDNS(t, corednsBinary, "import "+path+"\n")
	s.addr, s.ready = ports[0], "http://"+ports[1]+"/ready"
	s.waitListening(t)
	s.waitReady(t)
	ttl := func() (uint32, error) {
		reply, err := s.ask("udp", "minilb", dns.TypeSOA)
		if err != nil || len(reply.Answer) != 1 {
			return 0, fmt.Errorf("got %v, %v", reply, err)
		}
		return reply.Answer[0].Header().Ttl, nil
	}
	goroutines := func() int {
		code, body := get("http://" + ports[3] + "/debug/pprof/goroutine?debug=1")
		var n int
		if _, err := fmt.Sscanf(body, "goroutine profile: total %d", &n); code != http.StatusOK || err != nil {
			t.Fatalf("pprof: %d %s", code, body)
		}
		return n
	}
	reloadTo := func(want int, more string) {
		write(want, more)
		cluster.Eventually(t, 20*time.Second, func() error {
			if got, err := ttl(); err != nil || got != uint32(want) {
				return fmt.Errorf("TTL %d, %v, want %d\n%s", got, err, want, s.log)
			}
			return nil
		})
	}
	reloadTo(2, "")
	time.Sleep(time.Second)
	before := goroutines()
	// pprof's own listeners outlive the loads that fail; one may be a query's.
	noneLeft := func(reloads string) {
		cluster.Eventually(t, 10*time.Second, func() error {
			if after := goroutines(); after > before+len(s.log.lines("Restart failed"))+1 {
				_, profile := get("http://" + ports[3] + "/debug/pprof/goroutine?debug=1")
				return fmt.Errorf("%d goroutines before %s reloads, %d after:\n%s", before, reloads, after, profile)
			}
			return nil
		})
	}
	for i := range 4 {
		reloadTo(3+i, "")
	}
	noneLeft("four") // by themselves, before one fails and may tidy up
	// A load that fails after the plugin has started: the address is not this machine's.
	failures := len(s.log.lines("Restart failed"))
	write(9, "}\n.:"+port+" {\nbind 192.0.2.77\n")
	cluster.Eventually(t, 20*time.Second, func() error {
		if len(s.log.lines("Restart failed")) == failures {
			return fmt.Errorf("no failed reload yet:\n%s", s.log)
		}
		return nil
	})
	// The load before it goes on, and still follows the cluster.
	must(t, c.Apply(t.Context(), "{apiVersion: v1, kind: Service, metadata: {name: after, namespace: default}, spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}}"))
	cluster.Eventually(t, 10*time.Second, func() error { return s.expectRcode("after.default.minilb", dns.TypeA, dns.RcodeSuccess) })
	write(10, "")
	reloadTo(10, "")
	// D78: without the API server, a load that would know nothing does not take the place of
	// one that does.
	must(t, c.StopAPIServer())
	failures = len(s.log.lines("Restart failed"))
	write(11, "")
	cluster.Eventually(t, 30*time.Second, func() error {
		if len(s.log.lines("Restart failed")) == failures {
			return fmt.Errorf("no failed reload yet:\n%s", s.log)
		}
		return nil
	})
	if lines := s.log.lines("which serves the last known state, stays"); len(lines) == 0 {
		t.Errorf("no line says why the reload failed:\n%s", s.log)
	}
	if got, err := ttl(); err != nil || got != 10 {
		t.Errorf("after a reload without the API server: TTL %d, %v, want 10 as before", got, err)
	}
	must(t, c.StartAPIServer(t.Context()))
	write(12, "")
	reloadTo(12, "")
	noneLeft("all")
	if _, metrics := get("http://" + ports[2] + "/metrics"); !strings.Contains(metrics, `coredns_minilb_synced{source="service"} 1`) {
		t.Errorf("metrics after reloads:\n%s", grep(metrics, "coredns_minilb"))
	}
}
