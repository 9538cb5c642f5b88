package integration_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
)

// S12: a thousand Services that are created at once have their hostname within ten seconds.
func TestControllerManyServices(t *testing.T) {
	const services, creators = 1000, 16
	c := shared(t)
	namespace := newNamespace(t, c)
	kubeconfig := shippedAccounts(t, c).controller
	p := startController(t, kubeconfig, "-class", namespace).waitReady(t)

	began := time.Now()
	var creating sync.WaitGroup
	for first := range creators {
		creating.Go(func() {
			for n := first; n < services; n += creators {
				service := newService(namespace, fmt.Sprintf("web-%d", n), namespace)
				if _, err := c.Client.CoreV1().Services(namespace).Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	creating.Wait()
	created := time.Now()
	written := func(domain string) {
		t.Helper()
		cluster.Eventually(t, 10*time.Second, func() error {
			list, err := c.Client.CoreV1().Services(namespace).List(t.Context(), metav1.ListOptions{ResourceVersion: "0"})
			must(t, err)
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
	written("minilb")
	t.Logf("created %d Services in %v; the last had its hostname %v later",
		services, created.Sub(began).Round(time.Millisecond), time.Since(created).Round(time.Millisecond))
	p.untroubled(t)
	p.stop(t)

	// S13: all at once, none of them the API server's doing.
	began = time.Now()
	renaming := startController(t, kubeconfig, "-class", namespace, "-domain", "example.org")
	written("example.org")
	renaming.untroubled(t)
	t.Logf("renamed them %v after the start of a controller with another domain", time.Since(began).Round(time.Millisecond))
}
