package faults_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestFaultReload reloads the server again and again under load, and CoreDNS without the plugin beside it:
// nothing is answered wrongly, no more questions are lost than there, and what the server holds does not
// grow, by loads that fail included: goroutines, open files, watches as the API server logs them, and memory.
func TestFaultReload(t *testing.T) {
	t.Parallel()
	rate, reloads, byPlugin := 100, 20, 2
	if harness.Full {
		rate, reloads, byPlugin = 500, 200, 20
	}
	const warmUp = 5
	c := cluster.New(t, cluster.Options{Audit: true})
	known := state{addr: stockAddress, only: "known", gateways: &harness.NewestGateways}
	known.make(t, c)
	profiler := harness.FreePorts(t, 1)[0]
	s := harness.StartFastCoreDNS(t, strings.Replace(harness.ResolverFor(harness.ShippedAccounts(t, c).DNS, harness.StartUpstream(t), "max_answers 0"), "errors\n", "errors\nreload 2s 1s\npprof "+profiler+"\n", 1))
	s.WaitReady(t)
	cluster.Eventually(t, convergence, func() error { return known.answered(s) })
	stock := startStock(t, "web.world.minilb", "web.ingress.example", "known.world.minilb")

	answer := []string{"NOERROR " + stockAddress}
	others := expected{{"web.world.minilb", dns.TypeA}: answer, {"web.ingress.example", dns.TypeA}: answer, {"known.world.minilb", dns.TypeA}: answer}
	ours := maps.Clone(others)
	ours[asked{"known.ex.org", dns.TypeA}] = []string{"NOERROR " + harness.GatewayPod}
	ours[asked{"nobody.world.minilb", dns.TypeA}] = []string{"NXDOMAIN"}
	load, reference := startLoad(t, s.Addr, rate, ours), startLoad(t, stock.Addr, rate, others)

	var first, last holding
	// CoreDNS forgets about plugin reload at the first signal.
	for n := range byPlugin {
		reload(s, t, func() {
			s.Edit(t, fmt.Sprintf("max_answers %d\n", n), fmt.Sprintf("max_answers %d\n", n+1))
		})
	}
	for n := range reloads {
		if n == warmUp {
			cluster.Eventually(t, time.Minute, func() error { return holds(s, c, profiler, &first, nil) })
		}
		reload(s, t, func() { s.Cmd.Process.Signal(syscall.SIGUSR1) })
		reload(stock, t, func() { stock.Cmd.Process.Signal(syscall.SIGUSR1) })
	}
	if err := errors.Join(load.stop(), reference.stop()); err != nil {
		t.Errorf("answers were wrong: %v", err)
	}
	if err := load.lostBeyond(reference); err != nil {
		t.Error(err)
	}
	cluster.Eventually(t, time.Minute, func() error { return holds(s, c, profiler, &last, &first) })

	// The plugin has started by the time such a load fails: the address is not this machine's.
	corefile, err := os.ReadFile(s.Corefile())
	harness.Must(t, err)
	s.Rewrite(t, string(corefile)+".:"+harness.PortOf(s.Addr)+" {\nbind 192.0.2.77\n}\n")
	const failures = 3
	for n := range failures {
		harness.Must(t, s.Cmd.Process.Signal(syscall.SIGUSR1))
		cluster.Eventually(t, 30*time.Second, func() error {
			if len(s.Log.Lines("Restart failed")) <= n {
				return fmt.Errorf("no failed reload yet:\n%s", s.Log)
			}
			return nil
		})
	}
	allowed := last
	allowed.goroutines += failures // listeners of pprof, which outlive such a load
	allowed.files += failures
	cluster.Eventually(t, time.Minute, func() error { return holds(s, c, profiler, &last, &allowed) })

	harness.Must(t, known.answered(s))
	harness.Must(t, c.Apply(t.Context(), exposed("world", "late", "10.244.0.9")))
	cluster.Eventually(t, convergence, func() error { return s.Expect("late.world.minilb", dns.TypeA, "10.244.0.9") })
	t.Logf("%d reloads by signal, %d by plugin reload; lost %d of %d questions, CoreDNS without the plugin %d of %d; held %v after %d reloads, %v in the end",
		reloads, byPlugin, load.lost.Load(), load.sent.Load(), reference.lost.Load(), reference.sent.Load(), first, warmUp, last)
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

// holds sets what the server holds at present. It returns an error if that is more than before,
// of memory a quarter and some megabytes, which is what one garbage collection may differ from
// the other.
func holds(s *harness.CoreDNS, c *cluster.Cluster, profiler string, now, before *holding) error {
	f, err := heldBy(s, profiler)
	if err != nil {
		return err
	}
	*now = holding{goroutines: f.Goroutines, files: f.Files, kilobytes: int(f.Memory >> 10)}
	if now.watches, err = openWatches(c); err != nil {
		return err
	}
	if now.watches == 0 {
		return fmt.Errorf("held %v, which is not all known", now)
	}
	if before != nil && (now.goroutines > before.goroutines || now.files > before.files || now.watches > before.watches || now.kilobytes > before.kilobytes*5/4+8000) {
		return fmt.Errorf("held %v, and before %v", now, before)
	}
	return nil
}

// heldBy is FootprintOf a server with plugin pprof, but that the memory is what is in use: how much is
// resident would tell when garbage was collected last, and not what is held.
func heldBy(s *harness.CoreDNS, profiler string) (harness.Footprint, error) {
	if code, _ := harness.Get("http://" + profiler + "/debug/pprof/heap?gc=1"); code != http.StatusOK {
		return harness.Footprint{}, fmt.Errorf("pprof: status %d", code)
	}
	f, err := harness.FootprintOf(s)
	_, metrics := harness.Get(s.Prom)
	f.Memory = int64(harness.Sum(metrics, "go_memstats_heap_inuse_bytes ") + harness.Sum(metrics, "go_memstats_stack_inuse_bytes "))
	if err == nil && f.Memory == 0 {
		err = fmt.Errorf("the metrics do not tell of the memory")
	}
	return f, err
}

// openWatches returns how many watches of the server's account have begun and not ended.
func openWatches(c *cluster.Cluster) (int, error) {
	requests, err := c.Requests()
	open := 0
	for _, r := range requests {
		if r.Verb != "watch" || r.User != "system:serviceaccount:"+harness.ShippedNamespace+":"+harness.DNSAccount {
			continue
		}
		switch r.Stage {
		case "ResponseStarted":
			open++
		case "ResponseComplete":
			if r.Code == http.StatusOK {
				open--
			}
		}
	}
	return open, err
}

// holding is what a server holds.
type holding struct{ goroutines, files, watches, kilobytes int }

func (h holding) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %d watches and %.1f MB", h.goroutines, h.files, h.watches, float64(h.kilobytes)/1000)
}
