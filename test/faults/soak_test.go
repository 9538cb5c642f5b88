package faults_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// The load of the soak, per second.
const (
	soakChanges   = 20
	soakAskers    = 4
	soakQuestions = 40 // of each
)

// soak is the server under test with all that is done to it.
type soak struct {
	*testing.T
	cluster  *cluster.Cluster
	corefile string
	addr     string
	s        *harness.CoreDNS
	relay    *harness.Relay
	mirror   *mirror
	judge    *judge
	profiler string // address of its plugin pprof
	pause    chan chan struct{}
	random   *rand.Rand
	begun    time.Time // of the process
	serial   uint32    // the latest that it has said
	done     map[string]int
}

// TestSoak changes random objects of a real API server and does what goes wrong to it and to the
// server, while random questions are asked. Each answer is compared with what an oracle makes of
// the objects, as long as nothing that it depends on has changed within 2 s before, or within 10 s
// after a fault that may hold changes up. It lasts for a minute, or for MINILB_SOAK, such as
// "15m". What it does follows from a seed, which it prints: the same one in each minute, so that a
// failure is of the change that is tested, another in each longer run, or MINILB_SOAK_SEED.
func TestSoak(t *testing.T) {
	t.Parallel()
	duration, seed := time.Minute, uint64(1)
	var err error
	if of := os.Getenv("MINILB_SOAK"); of != "" {
		duration, err = time.ParseDuration(of)
		harness.Must(t, err)
		seed = uint64(time.Now().UnixNano())
	}
	if of := os.Getenv("MINILB_SOAK_SEED"); of != "" {
		seed, err = strconv.ParseUint(of, 10, 64)
		harness.Must(t, err)
	}
	t.Logf("for %v with MINILB_SOAK_SEED=%d", duration, seed)

	c := cluster.New(t, cluster.Options{})
	harness.ApplyTogether(t, c, harness.NewestGateways.Definitions(t))
	relay := harness.StartRelay(t, c)
	kubeconfig := harness.KubeconfigVia(t, harness.ShippedAccounts(t, c).DNS, relay.URL, nil)

	ctx, cancel := context.WithCancel(t.Context())
	var following, changing, asking, judging sync.WaitGroup
	defer following.Wait()
	defer cancel()
	mirror := &mirror{client: c.Dynamic}
	following.Go(func() { mirror.run(ctx) })
	generator := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), cluster: c, written: map[string]int{}}
	harness.Must(t, generator.fill(ctx))

	profiler := harness.FreePorts(t, 1)[0]
	w := &soak{
		T: t, cluster: c, profiler: profiler, relay: relay, mirror: mirror, pause: make(chan chan struct{}), done: map[string]int{},
		judge:  &judge{mirror: mirror, pending: make(chan observation, 100_000), under: map[string]int{}},
		random: rand.New(rand.NewPCG(seed, 2)),
		corefile: `.:PORT {
			bind 127.0.0.1
			HEALTH
			READY
			PROM
			pprof ` + profiler + `
			errors
			minilb minilb 10.244.0.0/16 {
				kubeconfig ` + kubeconfig + `
				max_answers 0
			}
			cache
			forward . ` + harness.StartDNS(t, dns.HandlerFunc(harness.AnswerAsUpstream)) + `
		}`,
	}
	w.start()
	time.Sleep(5 * time.Second)
	before, err := heldBy(w.s, w.profiler)
	harness.Must(t, err)

	w.sweep("in the beginning")
	end := time.Now().Add(duration)
	changes, stopChanges := context.WithCancel(ctx)
	changing.Go(func() { generator.run(changes, soakChanges, w.pause) })
	questions, stopQuestions := context.WithCancel(ctx)
	for i := range soakAskers {
		inquirer := &inquirer{addr: w.addr, mirror: mirror, judge: w.judge, names: soakNames()}
		asking.Go(func() { inquirer.run(questions, rand.New(rand.NewPCG(seed, 10+uint64(i))), soakQuestions) })
	}
	judging.Go(w.judge.run)
	machine := startStock(t, soakStock)
	asking.Go(func() { w.judge.watchMachine(questions, machine.Addr) })
	w.inject(end)
	stopChanges()
	changing.Wait()
	time.Sleep(soakConvergence)
	stopQuestions()
	asking.Wait()
	close(w.judge.pending)
	judging.Wait()
	w.sweep("in the end")
	after, err := heldBy(w.s, w.profiler)
	harness.Must(t, err)

	j := w.judge
	t.Logf("%d changes (%d refused by the API server) were written: %v; %d were seen, controllers' among them", total(generator.written), generator.refused, generator.written, mirror.changes)
	t.Logf("faults: %v; the machine was too busy %d times", w.done, j.stalls)
	t.Logf("%d answers were checked, of which during faults: %v; %d were not, as what they depend on had just changed; %d were missing while the server could not answer", j.checked, j.under, j.converging, j.excused)
	t.Logf("from %v to %v", before, after)
	for _, problem := range generator.problems {
		t.Logf("the API server refused: %s", problem)
	}
	if mirror.broken != nil {
		t.Errorf("the mirror is broken: %v", mirror.broken)
	}
	if len(j.wrong) > 0 {
		t.Errorf("MINILB_SOAK_SEED=%d: %d wrong answers, the first of which are\n%s", seed, len(j.wrong), strings.Join(j.wrong[:min(5, len(j.wrong))], "\n"))
		for _, wrong := range j.wrong {
			headline, _, _ := strings.Cut(wrong, "\n")
			t.Logf("wrong: %s", headline)
		}
		t.Logf("coredns said:\n%s", w.s.Log)
	}
	// A busy machine asks less than it should.
	if least := int(duration.Seconds()) * soakAskers; j.checked < max(j.asked/4, least) {
		t.Errorf("%d of %d answers were checked, want at least a quarter and %d", j.checked, j.asked, least)
	}
	if after.Memory > before.Memory*2+32<<20 {
		t.Errorf("it has grown from %v to %v", before, after)
	}
	cluster.Eventually(t, 30*time.Second, func() error { // what has just been asked is let go of in time
		after, err := heldBy(w.s, w.profiler)
		if err == nil && (after.Goroutines > before.Goroutines+20 || after.Files > before.Files+20) {
			err = fmt.Errorf("it has grown from %v to %v", before, after)
		}
		return err
	})
}

// soakNames are the names that somebody may have at some time, and some that nobody has.
func soakNames() []string {
	names := slices.Concat(soakHosts, soakRouteHosts, soakExternal, soakChain,
		[]string{"q.w.ex.test", "p.q.w.ex.test", "x.w.ex.test", "deep.x.w.ex.test", "q.b.gw.test", "other.gw.test", "nope.minilb", "n9.minilb", "s0.n9.minilb"})
	for i := range soakNamespaces {
		names = append(names, namespaceName(i)+".minilb", "nope."+namespaceName(i)+".minilb")
		for service := range soakServices {
			name := fmt.Sprintf("s%d.%s.minilb", service, namespaceName(i))
			names = append(names, name, "_tcp."+name, "_http._tcp."+name, "web."+name, "both."+name, fmt.Sprintf("10-244-%d-1.%s", i*10+service, name))
			names = append(names, fmt.Sprintf("1.%d.244.10.in-addr.arpa", i*10+service))
		}
	}
	for i := range names {
		names[i] = dns.Fqdn(names[i])
	}
	return names
}

// start starts the server, at the address that it had before if it had one.
func (w *soak) start() {
	w.s = harness.LaunchCoreDNS(w.T, harness.CoreDNSBinary, w.corefile)
	if w.addr != "" {
		w.s.Addr = w.addr
	}
	w.s.WaitListening(w.T)
	w.s.WaitReady(w.T)
	if w.addr == "" {
		w.addr = w.s.Addr
		_, port, _ := net.SplitHostPort(w.addr)
		w.corefile = strings.Replace(w.corefile, "PORT", port, 1)
	}
	w.begun, w.serial = time.Now(), 0
}

// sweep compares all answers with what the API server lists, while nothing changes: controllers may
// go on for a while with what the generator has written, and then it compares anew.
func (w *soak) sweep(when string) {
	w.Helper()
	end := time.Now().Add(time.Minute)
	for {
		var before int
		cluster.Eventually(w.T, time.Until(end), func() (err error) {
			before, err = w.resting()
			return err
		})
		problems, summary := w.compare()
		if after, _ := w.mirror.seen(); after != before {
			if w.Logf("%s: %d changes during the comparison", when, after-before); time.Now().After(end) {
				w.Fatalf("%s: there is no end of changes", when)
			}
			continue
		}
		for _, problem := range problems {
			w.Errorf("%s: %s", when, problem)
		}
		w.Logf("%s: %s", when, summary)
		return
	}
}

// resting returns how many changes there have been, and an error unless the latest of them is to be
// answered by now and none is due.
func (w *soak) resting() (changes int, err error) {
	changes, latest := w.mirror.seen()
	if time.Since(latest) < soakConvergence {
		return changes, fmt.Errorf("something changed %v ago", time.Since(latest))
	}
	namespace, err := w.cluster.Client.CoreV1().Namespaces().Get(w.Context(), namespaceName(soakNamespaces-1), metav1.GetOptions{})
	if err == nil && namespace.DeletionTimestamp != nil {
		return changes, fmt.Errorf("namespace %s is being deleted", namespace.Name)
	}
	if apierrors.IsNotFound(err) {
		return changes, nil
	}
	return changes, err
}

// compare asks for all names that there are or might be, and returns what is wrong.
func (w *soak) compare() (problems []string, summary string) {
	listed, err := listObjects(w.Context(), w.cluster.Dynamic)
	harness.Must(w.T, err)
	w.mirror.mu.Lock()
	mirrored := w.mirror.now.versions()
	w.mirror.mu.Unlock()
	if !maps.Equal(mirrored, listed.versions()) {
		problems = append(problems, "the mirror has other objects than the API server")
	}
	oracle := newOracle(listed)
	names := once(slices.Concat(soakNames(), oracle.names()))
	wrong, asked, last := 0, 0, ""
	for _, name := range names {
		for _, qtype := range once(soakTypes) {
			if qtype == dns.TypeNS && name == soakReverse {
				continue
			}
			asked++
			o := observe(w.addr, "tcp", name, qtype)
			if want := oracle.verdict(name, qtype); o.said != want {
				if wrong++; wrong <= 20 && name != last {
					last = name
					problems = append(problems, fmt.Sprintf("%s\n\tgot  %s\n\twant %s\n\t%s", &o, o.said, want, strings.Join(w.mirror.about(name), "\n\t")))
				}
			}
		}
	}
	return problems, fmt.Sprintf("%d names exist, %d questions were asked, %d answers were wrong", len(oracle.names()), asked, wrong)
}

func total(counts map[string]int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}
