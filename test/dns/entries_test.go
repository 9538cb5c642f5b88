package dns_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// entriesState are Services whose pods, which the test makes, share addresses.
const entriesState = `
apiVersion: v1
kind: Service
metadata: {name: roll, namespace: NS}
spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: roll}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: twin, namespace: NS}
spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: twin}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: reuse, namespace: NS}
spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: reuse}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: dual, namespace: NS}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ipFamilyPolicy: RequireDualStack, selector: {app: dual}, ports: [{name: http, port: 80, targetPort: http}]}
`

// TestEntries lets the EndpointSlice controller itself make slices of pods that share an address, one
// after the other or at a time, and of pods with two: D16, D40, D60, E3, E8.
func TestEntries(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	ctx, ns := t.Context(), harness.NewNamespace(t, c)
	const node, reused = "10.78.0.11", "10.78.1.5"
	harness.Must(t, c.Node(ctx, "entries", node))
	harness.Must(t, harness.Apply(c, strings.ReplaceAll(entriesState, "NS", ns)))
	s := harness.StartCoreDNS(t, fmt.Sprintf(`.:PORT {
		bind 127.0.0.1
		READY
		errors
		minilb minilb 10.78.0.0/16 fd78::/64 {
			kubeconfig %s
			namespaces %s
		}
	}`, c.Kubeconfig, ns))
	s.WaitReady(t)

	pod := func(app, name string, port int32, change func(*cluster.PodSpec)) {
		t.Helper()
		spec := cluster.PodSpec{
			Namespace: ns, Name: name, Labels: map[string]string{"app": app}, Node: "entries", IPs: []string{node},
			Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: port}},
		}
		change(&spec)
		harness.Must(t, c.Pod(ctx, spec))
	}
	hostNetwork := func(spec *cluster.PodSpec) { spec.HostNetwork = true }
	in := func(texts []string) []string {
		for i := range texts {
			texts[i] = strings.ReplaceAll(texts[i], "NS", ns)
		}
		return texts
	}
	// becomes waits until names are answered so, and then for nothing else of them.
	becomes := func(when string, want map[string][]string) {
		t.Helper()
		cluster.Eventually(t, 20*time.Second, func() error {
			var errs []error
			for question, want := range want {
				name, qtype, _ := strings.Cut(strings.ReplaceAll(question, "NS", ns), " ")
				want = in(append([]string(nil), want...))
				err := s.Expect(name, dns.StringToType[qtype], want...)
				if len(want) == 1 && want[0] == "-" {
					err = s.ExpectRcode(name, dns.StringToType[qtype], dns.RcodeNameError)
				}
				if err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", when, err))
				}
			}
			return errors.Join(errs...)
		})
	}
	const old, new = "0 100 8080 10-78-0-11.roll.NS.minilb.", "0 100 9090 10-78-0-11.roll.NS.minilb."
	const srv, a, ptr = "_http._tcp.roll.NS.minilb SRV", "roll.NS.minilb A", "11.0.78.10.in-addr.arpa PTR"

	becomes("without pods", map[string][]string{srv: nil, a: nil, ptr: {"-"}, "_nope._tcp.roll.NS.minilb SRV": {"-"}})
	pod("roll", "old", 8080, hostNetwork)
	becomes("a pod", map[string][]string{srv: {old}, a: {node}, ptr: {"10-78-0-11.roll.NS.minilb."}})
	pod("roll", "new", 9090, func(spec *cluster.PodSpec) { spec.HostNetwork, spec.Unready = true, true })
	harness.Must(t, c.Terminate(ctx, ns, "old"))
	cluster.Eventually(t, 20*time.Second, func() error {
		list, err := c.Client.DiscoveryV1().EndpointSlices(ns).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=roll"})
		if err != nil {
			return err
		}
		var terminating, waiting bool
		for _, slice := range list.Items {
			for _, e := range slice.Endpoints {
				terminating = terminating || *e.Conditions.Terminating && *e.Conditions.Serving
				waiting = waiting || !*e.Conditions.Terminating && !*e.Conditions.Ready
			}
		}
		if len(list.Items) != 2 || !terminating || !waiting {
			return fmt.Errorf("the slices of roll are %+v", list.Items)
		}
		return nil
	})
	// The watch tells of what is made now after that.
	pod("twin", "twin-0", 8081, func(spec *cluster.PodSpec) {
		spec.HostNetwork, spec.Hostname, spec.Subdomain = true, "db-0", "twin"
	})
	becomes("the old pod drains, and the new one is not ready", map[string][]string{srv: {old}, a: {node}, ptr: {"10-78-0-11.roll.NS.minilb.", "db-0.twin.NS.minilb."}})
	harness.Must(t, c.SetReady(ctx, ns, "new", true))
	becomes("the new pod is ready", map[string][]string{srv: {new}, a: {node}})
	harness.Must(t, c.RemovePod(ctx, ns, "old"))
	pod("twin", "twin-1", 9091, func(spec *cluster.PodSpec) {
		spec.HostNetwork, spec.Hostname, spec.Subdomain = true, "db-1", "twin"
	})
	becomes("a StatefulSet's pods on one node", map[string][]string{
		srv: {new}, "_http._tcp.twin.NS.minilb SRV": {"0 100 8081 db-0.twin.NS.minilb.", "0 100 9091 db-1.twin.NS.minilb."},
		"twin.NS.minilb A": {node}, ptr: {"10-78-0-11.roll.NS.minilb.", "db-0.twin.NS.minilb.", "db-1.twin.NS.minilb."},
	})
	harness.Must(t, c.Terminate(ctx, ns, "twin-0"))
	becomes("one of them drains", map[string][]string{
		"_http._tcp.twin.NS.minilb SRV": {"0 100 9091 db-1.twin.NS.minilb."}, "db-0.twin.NS.minilb A": {"-"}, ptr: {"10-78-0-11.roll.NS.minilb.", "db-1.twin.NS.minilb."},
	})
	harness.Must(t, c.RemovePod(ctx, ns, "new"))
	becomes("scaled to zero", map[string][]string{srv: nil, a: nil, "_nope._tcp.roll.NS.minilb SRV": {"-"}})

	member := func(name string) func(*cluster.PodSpec) {
		return func(spec *cluster.PodSpec) {
			spec.IPs, spec.Hostname, spec.Subdomain = []string{reused}, name, "reuse"
		}
	}
	pod("reuse", "reuse-0", 80, member("db-0"))
	const again = "5.1.78.10.in-addr.arpa PTR"
	becomes("a pod with a hostname", map[string][]string{again: {"db-0.reuse.NS.minilb."}, "db-0.reuse.NS.minilb A": {reused}})
	harness.Must(t, c.Terminate(ctx, ns, "reuse-0"))
	becomes("it drains alone", map[string][]string{again: {"db-0.reuse.NS.minilb."}, "db-0.reuse.NS.minilb A": {reused}})
	pod("reuse", "reuse-1", 80, member("db-1"))
	becomes("its address is the next one's", map[string][]string{
		again: {"db-1.reuse.NS.minilb."}, "db-0.reuse.NS.minilb A": {"-"}, "db-1.reuse.NS.minilb A": {reused},
		"_http._tcp.reuse.NS.minilb SRV": {"0 100 80 db-1.reuse.NS.minilb."},
	})

	for i := range 3 {
		pod("dual", fmt.Sprint("dual-", i), 80, func(spec *cluster.PodSpec) {
			spec.IPs = []string{fmt.Sprint("10.78.2.", 1+i), fmt.Sprint("fd78::", 9-i)}
		})
	}
	becomes("pods with two addresses", map[string][]string{
		"_http._tcp.dual.NS.minilb SRV": {"0 100 80 10-78-2-1.dual.NS.minilb.", "0 100 80 10-78-2-2.dual.NS.minilb.", "0 100 80 10-78-2-3.dual.NS.minilb."},
		"10-78-2-1.dual.NS.minilb A":    {"10.78.2.1"}, "10-78-2-1.dual.NS.minilb AAAA": {"fd78::9"}, "fd78--9.dual.NS.minilb AAAA": {"-"},
		"7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.7.d.f.ip6.arpa PTR": {"10-78-2-3.dual.NS.minilb."},
	})
}
