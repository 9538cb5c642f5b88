package integration_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
)

// A host belongs to the older object. What a tenant can do about its age is nothing by itself: that
// it can annotate an old Service, take what the victim makes anew, or claim below the victim's
// wildcard is what the claim lines of the Corefile are for (C2, C6).
func TestTenantHosts(t *testing.T) {
	n := newTenants(t, shared(t))
	ctx := t.Context()
	s := n.serve(t)
	ruled := n.serve(t, "claim "+n.victim+".example from "+n.victim, "claim example")
	n.guard(t, s)
	n.guard(t, ruled)
	services := n.evil.client.CoreV1().Services(n.evil.namespace)
	settled := 0
	settle := func() { // until what was written before it has been seen: each kind comes by a watch of its own
		t.Helper()
		settled++
		name := fmt.Sprintf("settled%d", settled)
		host, ingressHost := n.in(name+".E.example"), n.in(name+".ingress.E.example")
		n.claim(t, name, host)
		must(t, n.cluster.Apply(ctx, n.in(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: `+name+`, namespace: E}
spec: {rules: [{host: `+ingressHost+`, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: x, port: {number: 80}}}}]}}]}
status: {loadBalancer: {ingress: [{ip: `+evilPod+`}]}}
`)))
		for _, server := range []*coredns{s, ruled} {
			cluster.Eventually(t, 5*time.Second, func() error {
				return errors.Join(server.expect(host, dns.TypeA, evilPod), server.expect(ingressHost, dns.TypeA, evilPod))
			})
		}
	}
	expect := func(what string, server *coredns, name string, want ...string) {
		t.Helper()
		if err := server.expect(n.in(name), dns.TypeA, want...); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}

	// An age that it gives itself, by creating an object, by changing one and by making one anew.
	n.claim(t, "forged", n.in("www.V.example"))
	must(t, n.evil.apply(n.in(`
apiVersion: v1
kind: Service
metadata: {name: forged, namespace: E, creationTimestamp: "2001-01-01T00:00:00Z", annotations: {minilb/host: www.V.example}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}`)))
	must(t, services.Delete(ctx, "forged", metav1.DeleteOptions{}))
	forged := newService(n.evil.namespace, "forged", "minilb")
	forged.CreationTimestamp = metav1.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	forged.Annotations = map[string]string{"minilb/host": n.in("www.V.example")}
	forged, err := services.Create(ctx, forged, metav1.CreateOptions{})
	must(t, err)
	if time.Since(forged.CreationTimestamp.Time) > time.Minute {
		t.Errorf("the API server took the age of an object: %v", forged.CreationTimestamp)
	}
	settle()
	if lines := s.log.lines("Service " + n.in("E/forged") + ": host"); len(lines) == 0 || !strings.Contains(lines[0], "another namespace claimed it earlier") {
		t.Errorf("got lines %q", lines)
	}

	// An old Service that is annotated takes a host, but not where claim lines say whose it is.
	must(t, n.cluster.Apply(ctx, n.in(exposedServiceIn("V", "second", "10.1.0.2", "annotations: {minilb/host: second.V.example}"))))
	for _, server := range []*coredns{s, ruled} {
		cluster.Eventually(t, 5*time.Second, func() error { return server.expect(n.in("second.V.example"), dns.TypeA, "10.1.0.2") })
	}
	n.claim(t, "old", n.in("second.V.example"))
	settle()
	expect("an old Service, as the man page says", s, "second.V.example", evilPod)
	expect("an old Service, and claim lines", ruled, "second.V.example", "10.1.0.2")
	must(t, services.Delete(ctx, "old", metav1.DeleteOptions{}))

	// One that waits for the victim to make its object anew, likewise.
	time.Sleep(1100 * time.Millisecond)
	n.claim(t, "waiting", n.in("second.V.example"))
	settle()
	expect("the older one again", s, "second.V.example", "10.1.0.2")
	must(t, n.cluster.Client.CoreV1().Services(n.victim).Delete(ctx, "second", metav1.DeleteOptions{}))
	time.Sleep(1100 * time.Millisecond)
	must(t, n.cluster.Apply(ctx, n.in(exposedServiceIn("V", "second", "10.1.0.2", "annotations: {minilb/host: second.V.example}"))))
	cluster.Eventually(t, 5*time.Second, func() error { return ruled.expect(n.in("second.V.example"), dns.TypeA, "10.1.0.2") })
	settle()
	expect("a Service that waited, as the man page says", s, "second.V.example", evilPod)
	expect("a Service that waited, and claim lines", ruled, "second.V.example", "10.1.0.2")

	// Hosts below the victim's wildcard, wildcards above its hosts, and where its alias leads.
	must(t, n.cluster.Apply(ctx, n.in(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: alias, namespace: V}
spec: {rules: [{host: alias.V.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: x, port: {number: 80}}}}]}}]}
status: {loadBalancer: {ingress: [{hostname: lb.V.example}]}}
`)))
	cname := func(server *coredns) error {
		return server.expect(n.in("alias.V.example"), dns.TypeCNAME, n.in("lb.V.example."))
	}
	for _, server := range []*coredns{s, ruled} {
		cluster.Eventually(t, 5*time.Second, func() error { return cname(server) })
	}
	n.claim(t, "near", n.in("login.apps.V.example,*.V.example,*.example,lb.V.example"))
	settle()
	expect("below a wildcard, as the man page says", s, "login.apps.V.example", evilPod)
	expect("below a wildcard, and claim lines", ruled, "login.apps.V.example", victimPod)
	expect("above a host", s, "nobodys.V.example", evilPod)
	expect("above a host, and claim lines", ruled, "nobodys.V.example")
	expect("a wildcard that claim lines allow", ruled, "nobodys.example", evilPod)
	expect("where an alias leads, as the man page says", s, "alias.V.example", evilPod)
	if err := cname(ruled); err != nil {
		t.Errorf("where an alias leads, and claim lines: %v", err)
	}
	must(t, services.Delete(ctx, "near", metav1.DeleteOptions{}))

	// A Service that leaves the class and comes back, that is to be ignored, and one that is another's.
	n.claim(t, "moving", n.in("moving.E.example,www.V.example"))
	cluster.Eventually(t, 5*time.Second, func() error { return s.expect(n.in("moving.E.example"), dns.TypeA, evilPod) })
	for _, spec := range []string{
		"{type: ClusterIP, ports: [{port: 80}]}",
		"{type: LoadBalancer, loadBalancerClass: other.example/class, ports: [{port: 80}]}",
	} {
		must(t, services.Delete(ctx, "moving", metav1.DeleteOptions{}))
		must(t, n.evil.apply(n.in("{apiVersion: v1, kind: Service, metadata: {name: moving, namespace: E, annotations: {minilb/host: 'moving.E.example,www.V.example'}}, spec: "+spec+"}")))
		cluster.Eventually(t, 5*time.Second, func() error {
			return errors.Join(s.expectRcode(n.in("moving.E.minilb"), dns.TypeA, dns.RcodeNameError), s.expect(n.in("moving.E.example"), dns.TypeA))
		})
		must(t, services.Delete(ctx, "moving", metav1.DeleteOptions{}))
		n.claim(t, "moving", n.in("moving.E.example,www.V.example"))
		cluster.Eventually(t, 5*time.Second, func() error {
			return errors.Join(s.expect(n.in("moving.E.minilb"), dns.TypeA, evilPod), s.expect(n.in("moving.E.example"), dns.TypeA, evilPod))
		})
	}
	must(t, n.evil.apply(n.in("{apiVersion: v1, kind: Service, metadata: {name: moving, namespace: E, labels: {minilb/ignore: 'true'}}, spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}}")))
	cluster.Eventually(t, 5*time.Second, func() error { return s.expectRcode(n.in("moving.E.minilb"), dns.TypeA, dns.RcodeNameError) })

	// M7: it may send its own hosts to the victim's pods, as anybody may who has a domain.
	must(t, n.evil.apply(n.in("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: mirror, namespace: E, annotations: {minilb/service: V/web}}, spec: {rules: [{host: mirror.E.example}, {host: www.V.example}]}}")))
	cluster.Eventually(t, 5*time.Second, func() error { return s.expect(n.in("mirror.E.example"), dns.TypeA, victimPod) })
	for _, server := range []*coredns{s, ruled} {
		if line := server.log.unprintable(); line != "" {
			t.Errorf("the log has %q", line)
		}
	}
}
