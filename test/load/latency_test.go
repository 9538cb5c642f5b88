package load_test

import (
	"github.com/minilb/minilb/test/harness"

	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
)

// TestLatency measures, with 1,000 Services and 1,000 Ingresses, how long after the API
// server has acknowledged a write the answer follows it; and that no query makes an API call.
func TestLatency(t *testing.T) {
	c := cluster.New(t, cluster.Options{Audit: true})
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	ctx := t.Context()
	const n = 1000
	harness.Must(t, c.Apply(ctx, "{apiVersion: v1, kind: Namespace, metadata: {name: load}}"))
	harness.Parallel(t, n, func(i int) error {
		name := fmt.Sprintf("s%04d", i)
		if _, err := c.Client.CoreV1().Services("load").Create(ctx, harness.LoadService(name), metav1.CreateOptions{}); err != nil {
			return err
		}
		if _, err := c.Client.DiscoveryV1().EndpointSlices("load").Create(ctx, harness.LoadSlice(name, 1), metav1.CreateOptions{}); err != nil {
			return err
		}
		ingress, err := c.Client.NetworkingV1().Ingresses("load").Create(ctx, loadIngress(name), metav1.CreateOptions{})
		if err != nil {
			return err
		}
		ingress.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: name + ".load.minilb"}}
		_, err = c.Client.NetworkingV1().Ingresses("load").UpdateStatus(ctx, ingress, metav1.UpdateOptions{})
		return err
	})
	s := harness.StartFastCoreDNS(t, `.:PORT {
		bind 127.0.0.1
		HEALTH
		READY
		PROM
		errors
		minilb minilb {
			kubeconfig `+kubeconfig+`
		}
	}`)
	s.WaitReady(t)
	for _, name := range []string{"s0000.load.minilb", "s0999.load.minilb", "s0000.ex.org", "s0999.ex.org"} {
		cluster.Eventually(t, 10*time.Second, func() error { return s.Expect(name, dns.TypeA, "10.244.0.1") })
	}

	t.Run("slice", func(t *testing.T) {
		var took []time.Duration
		for i := range 100 {
			name := fmt.Sprintf("s%04d", i*7)
			want := fmt.Sprintf("10.244.0.%d", i%200+2)
			_, err := c.Client.DiscoveryV1().EndpointSlices("load").Update(ctx, harness.LoadSlice(name, i%200+2), metav1.UpdateOptions{})
			harness.Must(t, err)
			host := []string{name + ".load.minilb", name + ".ex.org"}[i%2]
			took = append(took, until(t, func() error { return s.Expect(host, dns.TypeA, want) }))
		}
		assertMedian(t, "a slice's change", took, 5*time.Millisecond)
	})
	t.Run("name", func(t *testing.T) {
		var created, changed, deleted []time.Duration
		for i := range 40 {
			name := fmt.Sprintf("new%02d", i)
			service, err := c.Client.CoreV1().Services("load").Create(ctx, harness.LoadService(name), metav1.CreateOptions{})
			harness.Must(t, err)
			created = append(created, until(t, func() error { return s.ExpectRcode(name+".load.minilb", dns.TypeA, dns.RcodeSuccess) }))

			service.Annotations = map[string]string{"minilb/host": name + ".example.net"}
			_, err = c.Client.CoreV1().Services("load").Update(ctx, service, metav1.UpdateOptions{})
			harness.Must(t, err)
			changed = append(changed, until(t, func() error { return s.ExpectRcode(name+".example.net", dns.TypeA, dns.RcodeSuccess) }))

			harness.Must(t, c.Client.CoreV1().Services("load").Delete(ctx, name, metav1.DeleteOptions{}))
			deleted = append(deleted, until(t, func() error { return s.ExpectRcode(name+".load.minilb", dns.TypeA, dns.RcodeNameError) }))
		}
		assertMedian(t, "a new name", created, 20*time.Millisecond)
		assertMedian(t, "a changed name", changed, 20*time.Millisecond)
		assertMedian(t, "a deleted name", deleted, 20*time.Millisecond)
	})
	t.Run("no API call per query", func(t *testing.T) {
		count := func() int {
			requests, err := c.Requests()
			harness.Must(t, err)
			n := 0
			for _, r := range requests {
				if strings.HasPrefix(r.UserAgent, "minilb") && r.Verb != "watch" && r.Resource != "" { // which discovery has none of
					n++
				}
			}
			return n
		}
		before := count()
		for i := range 5000 {
			name := []string{"s0001.load.minilb", "s0002.ex.org", "nope.load.minilb", "load.minilb", "minilb"}[i%5]
			if _, err := s.Ask("udp", name, dns.TypeA); err != nil {
				t.Fatal(err)
			}
		}
		if after := count(); after != before {
			t.Errorf("5000 queries made %d API calls", after-before)
		}
	})
	code, metrics := harness.Get(s.Prom)
	if code != 200 || !strings.Contains(metrics, `coredns_minilb_programming_duration_seconds_count{kind="endpointslice"} 100`) {
		t.Errorf("metrics: %d, want 100 observed changes in\n%s", code, harness.Grep(metrics, "minilb"))
	}
	for _, want := range []string{`coredns_minilb_names{kind="ingress"} 1000`, `coredns_minilb_names{kind="service"} 1000`, `coredns_minilb_endpoints{state="ready"} 1000`, `coredns_minilb_synced{source="ingress"} 1`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics have no %s:\n%s", want, harness.Grep(metrics, "coredns_minilb"))
		}
	}
}

func loadIngress(name string) *networkingv1.Ingress {
	pathType := networkingv1.PathTypePrefix
	backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: name, Port: networkingv1.ServiceBackendPort{Number: 80}}}
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{
			Host:             name + ".ex.org",
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &pathType, Backend: backend}}}},
		}}},
	}
}

// until asks without pause until check holds, and returns how long that took.
func until(t *testing.T, check func() error) time.Duration {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return time.Since(start)
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

func assertMedian(t *testing.T, what string, took []time.Duration, limit time.Duration) {
	t.Helper()
	slices.Sort(took)
	median := took[len(took)/2]
	t.Logf("%s is answered after %v at the median, %v at most, of %d", what, median, took[len(took)-1], len(took))
	if median > limit {
		t.Errorf("%s is answered after %v at the median, want at most %v", what, median, limit)
	}
}
