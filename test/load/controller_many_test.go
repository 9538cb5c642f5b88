package load_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestControllerManyServices creates many Services at once, a thousand with MINILB_FULL=1: all have their
// hostname within ten seconds (S12).
func TestControllerManyServices(t *testing.T) {
	const creators, writers = 16, 8 // as many writers as a controller has
	services := size(300, 1000)
	c := harness.Shared(t)
	namespace := harness.NewNamespace(t, c)
	kubeconfig := harness.ShippedAccounts(t, c).Controller
	p := harness.StartController(t, kubeconfig, "-class", namespace).WaitReady(t)

	began := time.Now()
	var creating sync.WaitGroup
	for first := range creators {
		creating.Go(func() {
			for n := first; n < services; n += creators {
				service := harness.NewService(namespace, fmt.Sprintf("web-%d", n), namespace)
				if _, err := c.Client.CoreV1().Services(namespace).Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	creating.Wait()
	created := time.Now()
	written := func(domain string, within time.Duration) {
		t.Helper()
		cluster.Eventually(t, within, func() error {
			list, err := c.Client.CoreV1().Services(namespace).List(t.Context(), metav1.ListOptions{ResourceVersion: "0"})
			harness.Must(t, err)
			missing := services
			for _, service := range list.Items {
				want := service.Name + "." + namespace + "." + domain
				if ingress := service.Status.LoadBalancer.Ingress; len(ingress) == 1 && ingress[0].Hostname == want {
					missing--
				}
			}
			if missing > 0 {
				time.Sleep(500 * time.Millisecond) // such a list takes the processor from those who write
				return fmt.Errorf("%d of %d Services have no hostname under %s", missing, services, domain)
			}
			return nil
		})
	}
	written("minilb", 10*time.Second)
	t.Logf("created %d Services in %v; the last had its hostname %v later",
		services, created.Sub(began).Round(time.Millisecond), time.Since(created).Round(time.Millisecond))
	p.Untroubled(t)
	p.Stop(t)

	// S13: all at once. How long the API server takes for as many is told beside it.
	began = time.Now()
	var writing sync.WaitGroup
	for first := range writers {
		writing.Go(func() {
			for n := first; n < services; n += writers {
				name := fmt.Sprintf("web-%d", n)
				status := applycorev1.ServiceStatus().WithLoadBalancer(applycorev1.LoadBalancerStatus().WithIngress(applycorev1.LoadBalancerIngress().WithHostname(name + ".example.net")))
				if _, err := c.Client.CoreV1().Services(namespace).ApplyStatus(t.Context(), applycorev1.Service(name, namespace).WithStatus(status), metav1.ApplyOptions{FieldManager: "minilb", Force: true}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	reference := time.Since(began)
	_, err := harness.FastMinilb()
	harness.Must(t, err)
	began = time.Now()
	renaming := harness.LaunchController(t, harness.FastMinilb, kubeconfig, "-class", namespace, "-domain", "example.org")
	counted := fmt.Sprintf("minilb_status_writes_total{result=\"success\"} %d\n", services)
	cluster.Eventually(t, 2*time.Minute, func() error { // which costs the API server nothing
		if _, metrics := harness.Get(renaming.URL + "/metrics"); !strings.Contains(metrics, counted) {
			return fmt.Errorf("want %d writes for as many Services:\n%s\n%s", services, harness.Grep(metrics, "status_writes"), renaming.Stderr)
		}
		return nil
	})
	took := time.Since(began)
	written("example.org", 10*time.Second)
	renaming.Untroubled(t)
	renaming.Stop(t)
	cpu := renaming.Cmd.ProcessState.UserTime() + renaming.Cmd.ProcessState.SystemTime()
	t.Logf("renamed them %v after the start of a controller with another domain, for which it took %v of CPU; the same writes without it took %v",
		took.Round(time.Millisecond), cpu, reference.Round(time.Millisecond))
	if took > 10*time.Second && took > 2*reference { // the latter where the API server takes as long by itself
		t.Errorf("renamed them after %v, and the same writes without it took %v", took, reference)
	}
	if cpu > time.Duration(services)*size(20*time.Millisecond, 3*time.Millisecond) { // all else is what the API server takes for them, which depends on what else the machine does
		t.Errorf("renaming took %v of CPU", cpu)
	}
}
