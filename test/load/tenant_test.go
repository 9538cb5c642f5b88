package load_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// The bounds within which a tenant's changes are answered, whatever another one does.
var addressBound = size(10*time.Second, 2*time.Second) // of its pods: they wait for no name, and for no large Service's endpoints

const (
	nameBound   = 30 * time.Second // of its names: they wait for two looks at all claims, and a namespace's are bounded
	memoryBound = 512 << 20        // bytes, the limit of the container in deploy/
	memoryLimit = "460MiB"         // that of Go's runtime there
)

// A tenant makes everything that its role lets it as large and as often new as it can, and what it
// would need more rights for as well. The other tenants' changes are answered in time, and so are
// questions; memory and the log are bounded.
func TestTenantLoad(t *testing.T) {
	c := cluster.New(t, cluster.Options{})
	n := harness.NewTenants(t, c)
	ctx, e := t.Context(), n.Evil.Namespace
	services := n.Evil.Client.CoreV1().Services(e)
	s := harness.LaunchCoreDNS(t, harness.FastBinary, harness.ResolverFor(harness.ShippedAccounts(t, c).DNS, n.Up, "https"), "GOMEMLIMIT="+memoryLimit)
	s.WaitReady(t)
	n.Guard(t, s)
	measure(n, t, s, "at rest")

	// 10,000 hosts in each annotation of many Services, all good, or all bad, or all another's.
	manyHosts := func(i int) string {
		var hosts strings.Builder
		for j := range 10_000 {
			format := []string{"h%04d.s%03d.org,", "h_%04d.s%03d,", "h%04d.%[3]s.minilb,"}[i%8%3]
			if i%8 > 2 {
				format = "h%04d.s%03d.org,"
			}
			hosts.WriteString(strings.Split(fmt.Sprintf(format, j, i, n.Victim), "%!")[0])
		}
		return strings.TrimSuffix(hosts.String(), ",")
	}
	hosted := func(name, hosts string) error {
		service := harness.LoadService(name)
		service.Annotations = map[string]string{"minilb/host": hosts}
		_, err := services.Create(ctx, service, metav1.CreateOptions{})
		return err
	}
	harness.Parallel(t, size(8, 300), func(i int) error { return hosted(fmt.Sprintf("hosts%03d", i), manyHosts(i)) })
	measure(n, t, s, fmt.Sprintf("%d Services with 10,000 hosts each", size(8, 300)))

	// Objects of a megabyte, wildcards of all depths, and as many Services as there are.
	for i := range size(3, 20) {
		ingress := loadIngress(fmt.Sprintf("large%03d", i))
		ingress.Annotations = map[string]string{"minilb/service": "hosts000"}
		backend := ingress.Spec.Rules[0].HTTP.Paths[0]
		backend.Path = "/" + strings.Repeat("path/", 200)
		ingress.Spec.Rules = nil
		for j := range 1000 {
			ingress.Spec.Rules = append(ingress.Spec.Rules, networkingv1.IngressRule{
				Host:             fmt.Sprintf("%sl%04d.i%03d.org", strings.Repeat("l.", 28), j, i),
				IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{backend}}},
			})
		}
		ingress, err := n.Evil.Client.NetworkingV1().Ingresses(e).Create(ctx, ingress, metav1.CreateOptions{})
		harness.Must(t, err)
		if size := ingress.Size(); size < 1_000_000 {
			t.Errorf("an Ingress has %d bytes", size)
		}
	}
	var wildcards []string
	for depth := range 125 {
		wildcards = append(wildcards, "*."+strings.Repeat("a.", depth)+"deep.org")
	}
	harness.Must(t, hosted("wildcards", strings.Join(wildcards, ",")))
	harness.Parallel(t, size(450, 10_000), func(i int) error {
		_, err := services.Create(ctx, harness.LoadService(fmt.Sprintf("s%05d", i)), metav1.CreateOptions{})
		return err
	})
	measure(n, t, s, fmt.Sprintf("%d Ingresses of a megabyte, wildcards of 125 depths, %d Services more", size(3, 20), size(450, 10_000)))

	// Aliases in a chain of a hundred, and in a loop; slices with 1,000 endpoints that have the same
	// hostname and 1,000 ports. These take more than the role's rights.
	harness.Parallel(t, 110, func(i int) error {
		ingress := loadIngress(fmt.Sprintf("alias%03d", i))
		ingress.Spec.Rules[0].Host = fmt.Sprintf("a%03d.chain.org", i)
		ingress, err := n.Evil.Client.NetworkingV1().Ingresses(e).Create(ctx, ingress, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		next := fmt.Sprintf("a%03d.chain.org", i+1)
		if i >= 100 {
			next = fmt.Sprintf("a%03d.chain.org", 100+(i+1)%10)
		}
		ingress.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: next}}
		_, err = c.Client.NetworkingV1().Ingresses(e).UpdateStatus(ctx, ingress, metav1.UpdateOptions{})
		return err
	})
	harness.Parallel(t, size(8, 100), func(i int) error {
		_, err := c.Client.DiscoveryV1().EndpointSlices(e).Create(ctx, largeSlice(i, 0), metav1.CreateOptions{})
		return err
	})
	cluster.Eventually(t, 30*time.Second, func() error {
		reply, err := s.Ask("udp", "s00000."+e+".minilb", dns.TypeA)
		if err == nil && len(reply.Answer) == 0 {
			err = fmt.Errorf("no address of the slices")
		}
		return err
	})
	for _, name := range []string{"a050.chain.org", "a105.chain.org"} {
		if err := s.Expect(name, dns.TypeA); err != nil {
			t.Error(err)
		}
	}
	measure(n, t, s, fmt.Sprintf("%d slices of 1,000 endpoints, a chain and a loop of aliases", size(8, 100)))

	// All of it in motion, as fast as the API server lets it.
	moving, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	writes := make([]int, 3)
	for i, write := range []func(round int) error{
		func(round int) error {
			service := harness.LoadService("hosts000")
			service.Annotations = map[string]string{"minilb/host": manyHosts(round)}
			_, err := services.Update(moving, service, metav1.UpdateOptions{})
			return err
		},
		func(round int) error {
			_, err := c.Client.DiscoveryV1().EndpointSlices(e).Update(moving, largeSlice(0, round), metav1.UpdateOptions{})
			return err
		},
		func(round int) error {
			name := fmt.Sprintf("s%05d", 1+round/2%400)
			if round%2 == 0 {
				return services.Delete(moving, name, metav1.DeleteOptions{})
			}
			_, err := services.Create(moving, harness.LoadService(name), metav1.CreateOptions{})
			return err
		},
	} {
		wg.Go(func() {
			for ; moving.Err() == nil; writes[i]++ {
				if err := write(writes[i]); err != nil && moving.Err() == nil {
					t.Errorf("write %d of kind %d: %v", writes[i], i, err)
					return
				}
			}
		})
	}
	began := time.Now()
	measure(n, t, s, "all of it in motion")
	stop()
	wg.Wait()
	t.Logf("meanwhile there were %d changes of 10,000 hosts, %d of a slice of 1,000, %d Services that came or went, in %v",
		writes[0], writes[1], writes[2], time.Since(began).Round(time.Second))
	measure(n, t, s, "after it")

	if lines := len(s.Log.Lines("plugin/minilb")); lines > 800 {
		t.Errorf("the log has %d lines:\n%.2000s", lines, s.Log)
	} else {
		t.Logf("the log has %d lines", lines)
	}
}

// largeSlice is a slice of Service s00000 with 1,000 endpoints, all of one hostname, and 1,000 ports.
func largeSlice(number, round int) *discoveryv1.EndpointSlice {
	slice := harness.LoadSlice("s00000", 1)
	slice.Name = fmt.Sprintf("large%03d", number)
	slice.Endpoints = nil
	hostname := "same"
	for i := range 1000 {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Hostname: &hostname, Addresses: []string{fmt.Sprintf("10.%d.%d.%d", 100+number%100, i/250+4*(round%50), i%250)}})
	}
	for i := range 1000 {
		name, port := fmt.Sprintf("p%d-%d", number, i), int32(i+1)
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &name, Port: &port})
	}
	return slice
}

// measure changes the victim's endpoints, Services and hosts, asks for a name meanwhile, and checks
// all of that, and the server's memory, against the bounds.
func measure(n *harness.Tenants, t *testing.T, s *harness.CoreDNS, state string) {
	t.Helper()
	ctx, c := t.Context(), n.Cluster
	report := func(what string, took []time.Duration, bound time.Duration) string {
		slices.Sort(took)
		if worst := took[len(took)-1]; worst > bound {
			t.Errorf("%s: %s takes %v, want %v at most", state, what, worst, bound)
		}
		return fmt.Sprintf("%s %v (worst %v)", what, took[len(took)/2].Round(10*time.Microsecond), took[len(took)-1].Round(10*time.Microsecond))
	}
	name := fmt.Sprintf("m%d", time.Now().UnixNano())
	_, err := c.Client.CoreV1().Services(n.Victim).Create(ctx, harness.LoadService("moved-"+name), metav1.CreateOptions{})
	harness.Must(t, err)
	slice := harness.LoadSlice("moved-"+name, 1)
	slice, err = c.Client.DiscoveryV1().EndpointSlices(n.Victim).Create(ctx, slice, metav1.CreateOptions{})
	harness.Must(t, err)
	cluster.Eventually(t, 30*time.Second, func() error { return s.Expect("moved-"+name+"."+n.Victim+".minilb", dns.TypeA, "10.244.0.1") })
	var addresses, names, hosts, questions []time.Duration
	for i := range 10 {
		slice.Endpoints[0].Addresses[0] = fmt.Sprintf("10.244.1.%d", i)
		slice, err = c.Client.DiscoveryV1().EndpointSlices(n.Victim).Update(ctx, slice, metav1.UpdateOptions{})
		harness.Must(t, err)
		addresses = append(addresses, since(t, nameBound, func() error {
			return s.Expect("moved-"+name+"."+n.Victim+".minilb", dns.TypeA, fmt.Sprintf("10.244.1.%d", i))
		}))
	}
	for i := range 3 {
		service := harness.LoadService(fmt.Sprintf("%s-%d", name, i))
		service, err = c.Client.CoreV1().Services(n.Victim).Create(ctx, service, metav1.CreateOptions{})
		harness.Must(t, err)
		names = append(names, since(t, 2*nameBound, func() error { return s.ExpectRcode(service.Name+"."+n.Victim+".minilb", dns.TypeA, dns.RcodeSuccess) }))
		service.Annotations = map[string]string{"minilb/host": service.Name + ".victim.org"}
		_, err = c.Client.CoreV1().Services(n.Victim).Update(ctx, service, metav1.UpdateOptions{})
		harness.Must(t, err)
		hosts = append(hosts, since(t, 2*nameBound, func() error {
			reply, err := s.Ask("udp", service.Name+".victim.org", dns.TypeA)
			if err == nil && !reply.Authoritative {
				err = fmt.Errorf("%s is not known yet", service.Name)
			}
			return err
		}))
	}
	for range 300 {
		began := time.Now()
		if err := s.Expect("web."+n.Victim+".minilb", dns.TypeA, harness.VictimPod); err != nil {
			t.Error(err)
		}
		questions = append(questions, time.Since(began))
	}
	memory := memoryOf(s, t)
	if memory > memoryBound {
		t.Errorf("%s: %d MB of memory", state, memory>>20)
	}
	t.Logf("%s: %s, %s, %s, %s, %d MB", state, report("a pod's change", addresses, addressBound), report("a Service's name", names, nameBound),
		report("a host", hosts, nameBound), report("a question", questions, addressBound), memory>>20)
}

// since waits until check holds, as long as limit, and returns how long that took.
func since(t *testing.T, limit time.Duration, check func() error) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		err := check()
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > limit {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}

// memoryOf returns the anonymous memory of the server, in bytes.
func memoryOf(s *harness.CoreDNS, t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Cmd.Process.Pid))
	harness.Must(t, err)
	kilobytes := 0
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "RssAnon:") {
			fmt.Sscanf(strings.TrimPrefix(line, "RssAnon:"), "%d", &kilobytes)
		}
	}
	return kilobytes << 10
}
