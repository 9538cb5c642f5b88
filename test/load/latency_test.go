package load_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestLatency measures, with 300 Services and 300 Ingresses (1,000 with MINILB_FULL=1), how long after the
// API server has acknowledged a write the answer follows it, and how long after its start a server answers
// from its snapshot (D78). No query makes an API call.
func TestLatency(t *testing.T) {
	c := cluster.New(t, cluster.Options{Audit: true})
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	ctx := t.Context()
	n := size(300, 1000)
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
	last := fmt.Sprintf("s%04d", n-1)
	for _, name := range []string{"s0000.load.minilb", last + ".load.minilb", "s0000.ex.org", last + ".ex.org"} {
		cluster.Eventually(t, 10*time.Second, func() error { return s.Expect(name, dns.TypeA, "10.244.0.1") })
	}

	t.Run("slice", func(t *testing.T) {
		var took []time.Duration
		for i := range 100 {
			name := fmt.Sprintf("s%04d", i*n/100)
			want := fmt.Sprintf("10.244.0.%d", i%200+2)
			_, err := c.Client.DiscoveryV1().EndpointSlices("load").Update(ctx, harness.LoadSlice(name, i%200+2), metav1.UpdateOptions{})
			harness.Must(t, err)
			host := []string{name + ".load.minilb", name + ".ex.org"}[i%2]
			took = append(took, until(t, func() error { return s.Expect(host, dns.TypeA, want) }))
		}
		assertMedian(t, "a slice's change", took, size(100*time.Millisecond, 5*time.Millisecond))
	})
	t.Run("name", func(t *testing.T) {
		bound := size(500*time.Millisecond, 20*time.Millisecond)
		var created, changed, unset, deleted []time.Duration
		for i := range size(20, 40) {
			name := fmt.Sprintf("new%02d", i)
			service, err := c.Client.CoreV1().Services("load").Create(ctx, harness.LoadService(name), metav1.CreateOptions{})
			harness.Must(t, err)
			created = append(created, until(t, func() error { return s.ExpectRcode(name+".load.minilb", dns.TypeA, dns.RcodeSuccess) }))

			service.Annotations = map[string]string{"minilb/host": name + ".example.net"}
			service, err = c.Client.CoreV1().Services("load").Update(ctx, service, metav1.UpdateOptions{})
			harness.Must(t, err)
			changed = append(changed, until(t, func() error { return s.ExpectRcode(name+".example.net", dns.TypeA, dns.RcodeSuccess) }))

			service.Annotations = nil
			_, err = c.Client.CoreV1().Services("load").Update(ctx, service, metav1.UpdateOptions{})
			harness.Must(t, err)
			unset = append(unset, until(t, func() error { return s.ExpectRcode(name+".example.net", dns.TypeA, dns.RcodeRefused) }))

			harness.Must(t, c.Client.CoreV1().Services("load").Delete(ctx, name, metav1.DeleteOptions{}))
			deleted = append(deleted, until(t, func() error { return s.ExpectRcode(name+".load.minilb", dns.TypeA, dns.RcodeNameError) }))
		}
		assertMedian(t, "a new name", created, bound)
		assertMedian(t, "a host by annotation", changed, bound)
		assertMedian(t, "a host without its annotation", unset, bound)
		assertMedian(t, "a deleted name", deleted, bound)
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
		queries := size(1000, 5000)
		for i := range queries {
			name := []string{"s0001.load.minilb", "s0002.ex.org", "nope.load.minilb", "load.minilb", "minilb"}[i%5]
			if _, err := s.Ask("udp", name, dns.TypeA); err != nil {
				t.Fatal(err)
			}
		}
		if after := count(); after != before {
			t.Errorf("%d queries made %d API calls", queries, after-before)
		}
	})
	code, metrics := harness.Get(s.Prom)
	if code != 200 || !strings.Contains(metrics, `coredns_minilb_programming_duration_seconds_count{kind="endpointslice"} 100`) {
		t.Errorf("metrics: %d, want 100 observed changes in\n%s", code, harness.Grep(metrics, "minilb"))
	}
	for _, want := range []string{
		fmt.Sprintf("coredns_minilb_names{kind=\"ingress\"} %d\n", n), fmt.Sprintf("coredns_minilb_names{kind=\"service\"} %d\n", n),
		fmt.Sprintf("coredns_minilb_endpoints{state=\"ready\"} %d\n", n), "coredns_minilb_synced{source=\"ingress\"} 1\n",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics have no %s:\n%s", want, harness.Grep(metrics, "coredns_minilb"))
		}
	}
	t.Run("from a snapshot", func(t *testing.T) { testSnapshotStart(t, c, kubeconfig, last) })
}

// testSnapshotStart kills a server that keeps a snapshot and starts it while the API server takes
// connections and is silent: it answers within a second, to which its slowest start counts with MINILB_FULL=1
// and its fastest without.
func testSnapshotStart(t *testing.T, c *cluster.Cluster, kubeconfig, last string) {
	path := filepath.Join(t.TempDir(), "snapshot")
	launch := func() *harness.CoreDNS {
		return harness.LaunchCoreDNS(t, harness.FastBinary, ".:PORT {\nbind 127.0.0.1\nREADY\nerrors\nminilb minilb {\nkubeconfig "+kubeconfig+"\nsnapshot "+path+"\n}\n}\n")
	}
	answered := func(s *harness.CoreDNS) error {
		name := last + ".load.minilb"
		_, rcode, err := s.Answers(name, dns.TypeA)
		if err == nil && rcode != dns.RcodeSuccess {
			err = fmt.Errorf("%s: got %s\n%s", name, dns.RcodeToString[rcode], s.Log)
		}
		return err
	}
	s := launch()
	cluster.Eventually(t, 30*time.Second, func() error {
		if content, err := os.ReadFile(path); err != nil || !bytes.Contains(content, []byte(last)) {
			return fmt.Errorf("%s is not in the snapshot: %v\n%s", last, err, s.Log)
		}
		return nil
	})
	kill(t, s)
	harness.Must(t, c.StopAPIServer())
	hole, err := net.Listen("tcp", strings.TrimPrefix(c.URL, "https://"))
	harness.Must(t, err)
	defer hole.Close()
	var took []time.Duration
	for range size(3, 20) {
		began := time.Now()
		s := launch()
		for err := answered(s); err != nil; err = answered(s) {
			if time.Since(began) > 20*time.Second {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Millisecond)
		}
		took = append(took, time.Since(began))
		kill(t, s)
	}
	t.Logf("answered from the snapshot within %v of exec", took)
	if counts := size(slices.Min(took), slices.Max(took)); counts > time.Second {
		t.Errorf("answered from the snapshot within %v of exec, want a second at most", took)
	}
}

// kill ends a server as a power cut does.
func kill(t *testing.T, s *harness.CoreDNS) {
	t.Helper()
	harness.Must(t, s.Cmd.Process.Kill())
	<-s.Exited
	s.Exited <- nil
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
