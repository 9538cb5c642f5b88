package controller_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestControllerFaults shares a control plane of its own between what takes its audit log and what,
// at the end, stops its API server.
func TestControllerFaults(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{Audit: true})
	t.Run("writers", func(t *testing.T) {
		t.Run("killed", func(t *testing.T) { t.Parallel(); testKilled(t, c) })
		t.Run("hostile", func(t *testing.T) { t.Parallel(); testHostile(t, c) })
	})
	t.Run("outage", func(t *testing.T) { testOutage(t, c) })
}

// testKilled kills controllers at any instant while Services come and change: in
// the end the status of each is right, and none was written more often than there were
// controllers to find it unwritten.
func testKilled(t *testing.T, c *cluster.Cluster) {
	// Two generators, for two goroutines.
	const seed = 1
	t.Logf("seed %d", seed)
	coming, killing := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
	services, kills := 150, 8
	if harness.Full {
		services, kills = 2000, 100
	}
	namespace := harness.NewNamespace(t, c)
	kubeconfig := harness.ShippedAccounts(t, c).Controller
	start := func() *harness.Controller { return harness.StartController(t, kubeconfig, "-class", namespace) }

	var working sync.WaitGroup
	killed := make(chan struct{})
	working.Go(func() {
		for n := range services {
			service := harness.NewService(namespace, fmt.Sprintf("web-%d", n), namespace)
			if _, err := c.Client.CoreV1().Services(namespace).Create(context.Background(), service, metav1.CreateOptions{}); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-killed: // the rest at once
			case <-time.After(time.Duration(coming.IntN(40)) * time.Millisecond):
			}
		}
	})
	running := []*harness.Controller{start().WaitReady(t), start().WaitReady(t)}
	for n := range kills {
		time.Sleep(time.Duration(killing.IntN(1000)) * time.Millisecond)
		killController(running[n%2])
		running[n%2] = start()
	}
	close(killed)
	working.Wait()
	cluster.Eventually(t, 10*time.Second, func() error {
		list, err := c.Client.CoreV1().Services(namespace).List(t.Context(), metav1.ListOptions{})
		harness.Must(t, err)
		if len(list.Items) != services {
			return fmt.Errorf("%d Services, want %d", len(list.Items), services)
		}
		for _, service := range list.Items {
			if ingress := service.Status.LoadBalancer.Ingress; len(ingress) != 1 || ingress[0].Hostname != service.Name+"."+namespace+".minilb" {
				return fmt.Errorf("%s: got status %+v", service.Name, ingress)
			}
		}
		return nil
	})
	writes := statusWrites(t, c, namespace)
	for { // they may yet write again
		time.Sleep(500 * time.Millisecond)
		now := statusWrites(t, c, namespace)
		if maps.Equal(now, writes) {
			break
		}
		writes = now
	}
	total := 0
	for name, n := range writes {
		if total += n; n > 4 { // the two, and the one or two that were started meanwhile
			t.Errorf("the status of %s was written %d times", name, n)
		}
	}
	if total < services || total > 2*services+8*kills { // each that is killed has eight writes on their way
		t.Errorf("%d writes for %d Services, with %d kills", total, services, kills)
	}
	for _, p := range running {
		p.Untroubled(t)
	}
	t.Logf("%d Services, %d kills of one of two controllers, %d writes", services, kills, total)
}

// killController ends the controller as the kernel does that is out of memory.
func killController(p *harness.Controller) {
	p.Once.Do(func() {
		p.Cmd.Process.Kill()
		<-p.Exited
	})
}

// statusWrites returns how often a controller has written the status of each Service, by name.
func statusWrites(t *testing.T, c *cluster.Cluster, namespace string) map[string]int {
	t.Helper()
	requests, err := c.Requests()
	harness.Must(t, err)
	writes := map[string]int{}
	for _, r := range requests {
		rest, ours := strings.CutPrefix(r.URI, "/api/v1/namespaces/"+namespace+"/services/")
		name, status, _ := strings.Cut(rest, "/")
		if ours && r.Verb == "patch" && strings.HasPrefix(status, "status") && strings.HasPrefix(r.User, "system:serviceaccount:") {
			writes[name]++
		}
	}
	return writes
}

// testHostile lets somebody overwrite a status, in each form five times and then ten times a second: two
// controllers put it right until they give way (S12), say so in an Event (S17), serve the other Services
// meanwhile, and one that knows nothing of it puts the status right once that is over.
func testHostile(t *testing.T, c *cluster.Cluster) {
	hostility := 60 // overwrites
	if harness.Full {
		hostility = 3000
	}
	namespace := harness.NewNamespace(t, c)
	kubeconfig := harness.ShippedAccounts(t, c).Controller
	start := func() *harness.Controller {
		return harness.StartController(t, kubeconfig, "-class", namespace, "-resync", "1").WaitReady(t)
	}
	running := []*harness.Controller{start(), start()}
	hostname := "contested." + namespace + ".minilb"
	wins := watchWins(t, c, harness.CreateService(t, c, namespace, "contested", namespace), hostname)
	harness.ExpectStatus(t, c, namespace, "contested", hostname)

	// Five times in ten minutes it is put right, and nobody is warned.
	vip := corev1.LoadBalancerIngress{IP: "192.0.2.7"}
	for _, ingress := range [][]corev1.LoadBalancerIngress{{vip}, {}, {{Hostname: hostname}, vip}, {{Hostname: "x.example.org"}}, {vip}} {
		harness.Overwrite(t, c, namespace, "contested", ingress...)
		harness.ExpectStatus(t, c, namespace, "contested", hostname)
	}
	for _, p := range running {
		p.Untroubled(t)
	}

	others := 0
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for n := range hostility {
		<-ticker.C
		harness.Overwrite(t, c, namespace, "contested", corev1.LoadBalancerIngress{IP: fmt.Sprintf("192.0.2.%d", n%250)})
		if n%20 == 0 {
			name := fmt.Sprintf("other-%d", others)
			others++
			harness.CreateService(t, c, namespace, name, namespace)
			harness.ExpectStatus(t, c, namespace, name, name+"."+namespace+".minilb")
		}
	}
	// The pause is that Service's alone.
	harness.Overwrite(t, c, namespace, "other-0", vip)
	harness.ExpectStatus(t, c, namespace, "other-0", "other-0."+namespace+".minilb")
	writes := statusWrites(t, c, namespace)
	// By each a first write, which may put right an overwrite before any counts, and five overwrites. A
	// write of what is there already, by one that has not yet seen the event of its last, is none.
	won := wins()
	if won < 6 || won > 2*(1+5) {
		t.Errorf("%d overwrites were put right %d times, want 6 to 12", 5+hostility, won)
	}
	for n := range others {
		// Once by each, and again by one that has not seen the event of its write before it looks again.
		most := 4
		if n == 0 { // and so it is for its overwrite
			most = 8
		}
		if got := writes[fmt.Sprintf("other-%d", n)]; got < 1 || got > most {
			t.Errorf("other-%d, which nobody contests, was written %d times, want %d at most", n, got, most)
		}
	}
	warnings := 0
	for _, p := range running {
		for _, line := range p.Troubles() {
			if warnings++; !strings.Contains(line, "service="+namespace+"/contested other=rival paused=10m0s") {
				t.Errorf("got %q", line)
			}
		}
	}
	if warnings < 1 || warnings > 2 {
		t.Errorf("got %d warnings, want one by each controller at most", warnings)
	}
	// Both would write the same Event.
	events := []string{
		"Normal StatusUpdated minilb.io/controller The Service is reached as " + hostname + ", which its status has now",
		`Warning StatusConflict minilb.io/controller Field manager "rival" keeps overwriting the status: give the Service a loadBalancerClass that is not its, or turn it off for this Service; the status is left alone for 10m0s`,
	}
	expectEvents := func() error {
		if got := described(t, c, "Service", namespace, "contested"); !slices.Equal(got, events) {
			return fmt.Errorf("got events\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(events, "\n"))
		}
		return nil
	}
	cluster.Eventually(t, 20*time.Second, expectEvents)
	for _, p := range running {
		p.Stop(t)
	}
	start()
	harness.ExpectStatus(t, c, namespace, "contested", hostname)
	if err := expectEvents(); err != nil {
		t.Error(err)
	}
	t.Logf("%d overwrites, put right %d times with %d writes by two controllers", 5+hostility, won, writes["contested"])
}

// watchWins watches a Service from its creation on. The function it returns tells how often its
// status came to be this hostname alone.
func watchWins(t *testing.T, c *cluster.Cluster, service *corev1.Service, hostname string) func() int {
	t.Helper()
	services := c.Client.CoreV1().Services(service.Namespace)
	events, err := services.Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + service.Name, ResourceVersion: service.ResourceVersion})
	harness.Must(t, err)
	type seen struct {
		wins int
		last string // the resource version
	}
	var now atomic.Pointer[seen]
	now.Store(&seen{})
	go func() {
		wins, ours := 0, false
		for event := range events.ResultChan() {
			changed, ok := event.Object.(*corev1.Service)
			if !ok {
				continue
			}
			ingress := changed.Status.LoadBalancer.Ingress
			was := ours
			if ours = len(ingress) == 1 && ingress[0].Hostname == hostname; ours && !was {
				wins++
			}
			now.Store(&seen{wins, changed.ResourceVersion})
		}
	}()
	t.Cleanup(events.Stop)
	return func() int {
		t.Helper()
		cluster.Eventually(t, 10*time.Second, func() error {
			last := harness.GetService(t, c, service.Namespace, service.Name).ResourceVersion
			if got := now.Load().last; got != last {
				return fmt.Errorf("the watch is at %q of %q", got, last)
			}
			return nil
		})
		return now.Load().wins
	}
}

// testOutage: an API server that is absent is waited for, quietly, and its return is noticed.
func testOutage(t *testing.T, c *cluster.Cluster) {
	ctx := t.Context()
	kubeconfig := harness.ShippedAccounts(t, c).Controller
	harness.Must(t, c.Node(ctx, "node1", "192.168.1.31"))
	_, err := c.NodePodCIDRs(ctx, "node1")
	harness.Must(t, err)
	harness.CreateService(t, c, "default", "web", "minilb")
	harness.Must(t, c.StopAPIServer())

	p := harness.StartController(t, kubeconfig)
	waitLive(p, t)
	lost := "cannot reach the API server at " + strings.TrimPrefix(c.URL, "https://")
	waitSaid(p, t, lost)
	expectHealth(p, t, http.StatusOK, http.StatusServiceUnavailable, "cannot reach the API server")
	expectTroubles(p, t, lost)

	harness.Must(t, c.StartAPIServer(ctx))
	began := time.Now()
	cluster.Eventually(t, 5*time.Second, func() error {
		if code, body := harness.Get(p.URL + "/readyz"); code != http.StatusOK {
			return fmt.Errorf("/readyz: %d %s\n%s", code, body, p.Stderr)
		}
		return nil
	})
	t.Logf("ready %v after the API server", time.Since(began).Round(time.Millisecond))
	harness.ExpectStatus(t, c, "default", "web", "web.default.minilb")
	cluster.Eventually(t, 10*time.Second, func() error { // R1
		if !strings.Contains(p.Stdout.String(), "ip route add ") {
			return fmt.Errorf("no routes printed: %q\n%s", p.Stdout, p.Stderr)
		}
		return nil
	})
	if lines := p.Stderr.Lines(lost); len(lines) != 1 { // however often it tried
		t.Errorf("%d lines of the outage, want 1:\n%s", len(lines), p.Stderr)
	}

	// The next outage takes nothing away, and what happened meanwhile is put right.
	harness.Overwrite(t, c, "default", "web", corev1.LoadBalancerIngress{IP: "192.0.2.7"})
	harness.ExpectStatus(t, c, "default", "web", "web.default.minilb")
	harness.Must(t, c.StopAPIServer())
	cluster.Eventually(t, 10*time.Second, func() error {
		if len(p.Stderr.Lines(lost)) < 2 {
			return errors.New("the outage is not noticed")
		}
		return nil
	})
	expectHealth(p, t, http.StatusOK, http.StatusOK, "")
	harness.Must(t, c.StartAPIServer(ctx))
	began = time.Now()
	harness.CreateService(t, c, "default", "api", "minilb")
	harness.ExpectStatus(t, c, "default", "api", "api.default.minilb")
	t.Logf("at work %v after the API server's return", time.Since(began).Round(time.Millisecond))
	expectHealth(p, t, http.StatusOK, http.StatusOK, "")
	if lines := p.Stderr.Lines(lost); len(lines) != 2 {
		t.Errorf("%d lines of two outages, want 2:\n%s", len(lines), p.Stderr)
	}
	if n := len(p.Stderr.Lines("")); n > 20 {
		t.Errorf("%d lines of log in two outages:\n%s", n, p.Stderr)
	}
}
