package faults_test

import (
	"github.com/minilb/minilb/test/harness"

	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
)

// kill ends the controller as the kernel does that is out of memory.
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

// TestFaultControllerKilled kills controllers at any instant while Services come and change: in
// the end the status of each is right, and none was written more often than there were
// controllers to find it unwritten.
func TestFaultControllerKilled(t *testing.T) {
	t.Parallel()
	services, kills := 150, 8
	if harness.Full {
		services, kills = 2000, 100
	}
	c := cluster.New(t, cluster.Options{Audit: true})
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
			case <-time.After(time.Duration(rand.IntN(40)) * time.Millisecond):
			}
		}
	})
	running := []*harness.Controller{start().WaitReady(t), start().WaitReady(t)}
	for n := range kills {
		time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
		killController(running[n%2])
		running[n%2] = start()
	}
	close(killed)
	working.Wait()
	cluster.Eventually(t, convergence, func() error {
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
	time.Sleep(2 * time.Second) // they may yet write again
	total := 0
	for name, writes := range statusWrites(t, c, namespace) {
		if total += writes; writes > 4 { // the two, and the one or two that were started meanwhile
			t.Errorf("the status of %s was written %d times", name, writes)
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

// TestFaultControllerHostile lets somebody overwrite a status ten times a second: two controllers
// give way (S12), serve the other Services meanwhile, and one that knows nothing of it puts the
// status right once that is over.
func TestFaultControllerHostile(t *testing.T) {
	t.Parallel()
	hostility := 10 * time.Second
	if harness.Full {
		hostility = 5 * time.Minute
	}
	c := cluster.New(t, cluster.Options{Audit: true})
	namespace := harness.NewNamespace(t, c)
	kubeconfig := harness.ShippedAccounts(t, c).Controller
	start := func() *harness.Controller {
		return harness.StartController(t, kubeconfig, "-class", namespace, "-resync", "1").WaitReady(t)
	}
	running := []*harness.Controller{start(), start()}
	wins := watchWins(t, c, harness.CreateService(t, c, namespace, "contested", namespace), "contested."+namespace+".minilb")
	harness.ExpectStatus(t, c, namespace, "contested", "contested."+namespace+".minilb")

	overwrites, others := 0, 0
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for began := time.Now(); time.Since(began) < hostility; overwrites++ {
		<-ticker.C
		harness.Overwrite(t, c, namespace, "contested", corev1.LoadBalancerIngress{IP: fmt.Sprintf("192.0.2.%d", overwrites%250)})
		if overwrites%20 == 0 {
			name := fmt.Sprintf("other-%d", others)
			others++
			harness.CreateService(t, c, namespace, name, namespace)
			harness.ExpectStatus(t, c, namespace, name, name+"."+namespace+".minilb")
		}
	}
	writes := statusWrites(t, c, namespace)
	// The first write, and five overwrites put right by each. A write of what is there already, by one
	// that has not yet seen the event of its last, is none.
	won := wins()
	if won < 1 || won > 1+2*5 {
		t.Errorf("%d overwrites were put right %d times, want 11 at most", overwrites, won)
	}
	for n := range others {
		// Once by each, and again by one that has not seen the event of its write before it looks again.
		if got := writes[fmt.Sprintf("other-%d", n)]; got < 1 || got > 4 {
			t.Errorf("a Service that nobody contests was written %d times", got)
		}
	}
	warnings := 0
	for _, p := range running {
		for _, line := range p.Troubles() {
			if warnings++; !strings.Contains(line, "other=rival paused=10m0s") {
				t.Errorf("got %q", line)
			}
		}
	}
	if warnings < 1 || warnings > 2 {
		t.Errorf("got %d warnings, want one by each controller at most", warnings)
	}
	for _, p := range running {
		p.Stop(t)
	}
	start()
	harness.ExpectStatus(t, c, namespace, "contested", "contested."+namespace+".minilb")
	t.Logf("%d overwrites, put right %d times with %d writes by two controllers", overwrites, won, writes["contested"])
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
