package faults_test

import (
	"github.com/minilb/minilb/test/harness"

	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
)

// stockBinary is CoreDNS as it comes.
var stockBinary = sync.OnceValues(func() (string, error) {
	dir, err := harness.LastingDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "stock")
	cmd := exec.Command("go", "build", "-C", "../bench/stock", "-o", path, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build stock CoreDNS: %w\n%s", err, out)
	}
	return path, nil
})

// TestFaultReload reloads the server again and again under load, and stock CoreDNS beside it:
// nothing is answered wrongly, no more questions are lost than there, and what the server holds
// does not grow: goroutines, open files, watches as the API server counts them, and memory.
func TestFaultReload(t *testing.T) {
	t.Parallel()
	reloads, byPlugin := 20, 2
	if harness.Full {
		reloads, byPlugin = 200, 20
	}
	const warmUp = 5
	c := cluster.New(t, cluster.Options{})
	known := state{addr: "10.244.0.2", only: "known", gateways: &harness.NewestGateways}
	known.make(t, c)
	s := harness.StartFastCoreDNS(t, strings.Replace(harness.ResolverFor(harness.ShippedAccounts(t, c).DNS, harness.StartUpstream(t), "max_answers 0"), "errors\n", "errors\nreload 2s 1s\n", 1))
	s.WaitReady(t)
	cluster.Eventually(t, convergence, func() error { return known.answered(s) })
	stock := harness.LaunchCoreDNS(t, stockBinary, `.:PORT {
		bind 127.0.0.1
		errors
		hosts {
			10.244.0.2 web.world.minilb web.ingress.example known.world.minilb known.ex.org
			ttl 5
		}
	}`)
	stock.WaitListening(t)

	answer := []string{"NOERROR 10.244.0.2"}
	others := expected{{"web.world.minilb", dns.TypeA}: answer, {"web.ingress.example", dns.TypeA}: answer, {"known.world.minilb", dns.TypeA}: answer}
	ours := expected{
		{"web.world.minilb", dns.TypeA}: answer, {"web.ingress.example", dns.TypeA}: answer, {"known.world.minilb", dns.TypeA}: answer,
		{"known.ex.org", dns.TypeA}: {"NOERROR " + harness.GatewayPod}, {"nobody.world.minilb", dns.TypeA}: {"NXDOMAIN"},
	}
	load, reference := startLoad(t, s.Addr, 500, ours), startLoad(t, stock.Addr, 500, others)

	var first, last harness.Holding
	// CoreDNS forgets about plugin reload at the first signal.
	for n := range byPlugin {
		reload(s, t, func() {
			s.Edit(t, fmt.Sprintf("max_answers %d\n", n), fmt.Sprintf("max_answers %d\n", n+1))
		})
	}
	for n := range reloads {
		if n == warmUp {
			cluster.Eventually(t, time.Minute, func() error { return errors.Join(collecting(t, c), holds(s, t, c, &first, nil)) })
		}
		reload(s, t, func() { s.Cmd.Process.Signal(syscall.SIGUSR1) })
		reload(stock, t, func() { stock.Cmd.Process.Signal(syscall.SIGUSR1) })
	}
	wrong, wrongThere := load.stop(), reference.stop()
	if wrong != nil || wrongThere != nil {
		t.Errorf("answers were wrong: %v; those of stock CoreDNS: %v", wrong, wrongThere)
	}
	// Two counts of the same rare event differ by so much by chance.
	lost, lostThere := float64(load.lost.Load()), float64(reference.lost.Load())
	if lost > lostThere+3+3*math.Sqrt(lost+lostThere) {
		t.Errorf("%.0f questions were lost, and %.0f by stock CoreDNS", lost, lostThere)
	}
	// HTTP/2's timers hold the memory of a connection for a minute and a half after its end, and a
	// collection may be two minutes away.
	cluster.Eventually(t, 5*time.Minute, func() error {
		time.Sleep(200 * time.Millisecond)
		return holds(s, t, c, &last, &first)
	})
	harness.Must(t, known.answered(s))
	harness.Must(t, c.Apply(t.Context(), exposed("world", "late", "10.244.0.9")))
	cluster.Eventually(t, 2*time.Second, func() error { return s.Expect("late.world.minilb", dns.TypeA, "10.244.0.9") })
	t.Logf("%d reloads by signal, %d by plugin reload; lost %.0f of %d questions, stock CoreDNS %.0f of %d; held %v after %d reloads, %v in the end",
		reloads, byPlugin, lost, load.sent.Load(), lostThere, reference.sent.Load(), first, warmUp, last)
}

// holds sets what the server holds at present. It returns an error if that is more than before,
// of memory a quarter and some megabytes, which is what one garbage collection may differ from
// the other.
func holds(s *harness.CoreDNS, t *testing.T, c *cluster.Cluster, now, before *harness.Holding) error {
	t.Helper()
	_, metrics := harness.Get(s.Prom)
	now.Goroutines = int(harness.Sum(metrics, "go_goroutines "))
	now.Watches = watchesOf(t, c)
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.Cmd.Process.Pid))
	harness.Must(t, err)
	now.Files = len(files)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Cmd.Process.Pid))
	harness.Must(t, err)
	if _, after, ok := strings.Cut(string(status), "RssAnon:"); ok {
		now.Kilobytes, err = strconv.Atoi(strings.Fields(after)[0])
		harness.Must(t, err)
	}
	if now.Goroutines == 0 || now.Watches == 0 || now.Kilobytes == 0 {
		return fmt.Errorf("held %v, which is not all known", now)
	}
	if before != nil && (now.Goroutines > before.Goroutines || now.Files > before.Files || now.Watches > before.Watches || now.Kilobytes > before.Kilobytes*5/4+8000) {
		return fmt.Errorf("held %v, and before %v", now, before)
	}
	return nil
}

// watchesOf returns how many watches the API server counts whose series contain these texts.
func watchesOf(t *testing.T, c *cluster.Cluster, contain ...string) int {
	t.Helper()
	raw, err := c.Client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	harness.Must(t, err)
	return int(harness.Sum(string(raw), "apiserver_longrunning_requests{", append(contain, `verb="WATCH"`)...))
}

// collecting returns an error until the cluster's garbage collector watches the kinds of the
// Gateway API, which it looks for twice a minute: its watches are counted with all others.
func collecting(t *testing.T, c *cluster.Cluster) error {
	t.Helper()
	for _, notOurs := range []string{"backendtlspolicies", "referencegrants", "tcproutes", "udproutes"} {
		if watchesOf(t, c, fmt.Sprintf("resource=%q", notOurs)) == 0 {
			return fmt.Errorf("the garbage collector does not watch %s yet", notOurs)
		}
	}
	return nil
}
