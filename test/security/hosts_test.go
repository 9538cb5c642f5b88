package security_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// A host belongs to the older object. What a tenant can do about its age is nothing by itself: that
// it can annotate an old Service, take what the victim makes anew, or claim below the victim's
// wildcard is what the claim lines of the Corefile are for (C2, C6).
func TestTenantHosts(t *testing.T) {
	t.Parallel()
	n := harness.NewTenants(t, harness.Shared(t))
	ctx := t.Context()
	s := n.Serve(t)
	ruled := n.Serve(t, "claim "+n.Victim+".example from "+n.Victim, "claim example")
	n.Guard(t, s)
	n.Guard(t, ruled)
	services := n.Evil.Client.CoreV1().Services(n.Evil.Namespace)
	settled := 0
	settle := func() { // until what was written before it has been seen: each kind comes by a watch of its own
		t.Helper()
		settled++
		name := fmt.Sprintf("settled%d", settled)
		host, ingressHost := n.In(name+".E.example"), n.In(name+".ingress.E.example")
		n.Claim(t, name, host)
		harness.Must(t, n.Cluster.Apply(ctx, n.In(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: `+name+`, namespace: E}
spec: {rules: [{host: `+ingressHost+`, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: x, port: {number: 80}}}}]}}]}
status: {loadBalancer: {ingress: [{ip: `+harness.EvilPod+`}]}}
`)))
		for _, server := range []*harness.CoreDNS{s, ruled} {
			cluster.Eventually(t, patience, func() error {
				return errors.Join(server.Expect(host, dns.TypeA, harness.EvilPod), server.Expect(ingressHost, dns.TypeA, harness.EvilPod))
			})
		}
	}
	expect := func(what string, server *harness.CoreDNS, name string, want ...string) {
		t.Helper()
		if err := server.Expect(n.In(name), dns.TypeA, want...); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}

	// An age that it gives itself, by creating an object, by changing one and by making one anew.
	n.Claim(t, "forged", n.In("www.V.example"))
	harness.Must(t, n.Evil.Apply(n.In(`
apiVersion: v1
kind: Service
metadata: {name: forged, namespace: E, creationTimestamp: "2001-01-01T00:00:00Z", annotations: {minilb/host: www.V.example}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}`)))
	harness.Must(t, services.Delete(ctx, "forged", metav1.DeleteOptions{}))
	forged := harness.NewService(n.Evil.Namespace, "forged", "minilb")
	forged.CreationTimestamp = metav1.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	forged.Annotations = map[string]string{"minilb/host": n.In("www.V.example")}
	forged, err := services.Create(ctx, forged, metav1.CreateOptions{})
	harness.Must(t, err)
	if time.Since(forged.CreationTimestamp.Time) > time.Minute {
		t.Errorf("the API server took the age of an object: %v", forged.CreationTimestamp)
	}
	settle()
	if lines := s.Log.Lines("Service " + n.In("E/forged") + ": host"); len(lines) == 0 || !strings.Contains(lines[0], "another namespace claimed it earlier") {
		t.Errorf("got lines %q", lines)
	}

	// An old Service that is annotated takes a host, but not where claim lines say whose it is.
	harness.Must(t, n.Cluster.Apply(ctx, n.In(harness.ExposedServiceIn("V", "second", "10.1.0.2", "annotations: {minilb/host: second.V.example}"))))
	for _, server := range []*harness.CoreDNS{s, ruled} {
		cluster.Eventually(t, patience, func() error { return server.Expect(n.In("second.V.example"), dns.TypeA, "10.1.0.2") })
	}
	n.Claim(t, "old", n.In("second.V.example"))
	settle()
	expect("an old Service, as the man page says", s, "second.V.example", harness.EvilPod)
	expect("an old Service, and claim lines", ruled, "second.V.example", "10.1.0.2")
	harness.Must(t, services.Delete(ctx, "old", metav1.DeleteOptions{}))

	// One that waits for the victim to make its object anew, likewise.
	harness.NextSecond(t, harness.GetService(t, n.Cluster, n.Victim, "second"))
	n.Claim(t, "waiting", n.In("second.V.example"))
	settle()
	expect("the older one again", s, "second.V.example", "10.1.0.2")
	harness.Must(t, n.Cluster.Client.CoreV1().Services(n.Victim).Delete(ctx, "second", metav1.DeleteOptions{}))
	harness.NextSecond(t, harness.GetService(t, n.Cluster, n.Evil.Namespace, "waiting"))
	harness.Must(t, n.Cluster.Apply(ctx, n.In(harness.ExposedServiceIn("V", "second", "10.1.0.2", "annotations: {minilb/host: second.V.example}"))))
	cluster.Eventually(t, patience, func() error { return ruled.Expect(n.In("second.V.example"), dns.TypeA, "10.1.0.2") })
	settle()
	expect("a Service that waited, as the man page says", s, "second.V.example", harness.EvilPod)
	expect("a Service that waited, and claim lines", ruled, "second.V.example", "10.1.0.2")

	// Hosts below the victim's wildcard, wildcards above its hosts, and where its alias leads.
	harness.Must(t, n.Cluster.Apply(ctx, n.In(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: alias, namespace: V}
spec: {rules: [{host: alias.V.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: x, port: {number: 80}}}}]}}]}
status: {loadBalancer: {ingress: [{hostname: lb.V.example}]}}
`)))
	cname := func(server *harness.CoreDNS) error {
		return server.Expect(n.In("alias.V.example"), dns.TypeCNAME, n.In("lb.V.example."))
	}
	for _, server := range []*harness.CoreDNS{s, ruled} {
		cluster.Eventually(t, patience, func() error { return cname(server) })
	}
	n.Claim(t, "near", n.In("login.apps.V.example,z.foo.apps.V.example,*.V.example,*.example,lb.V.example"))
	settle()
	expect("below a wildcard, as the man page says", s, "login.apps.V.example", harness.EvilPod)
	expect("below a wildcard, and claim lines", ruled, "login.apps.V.example", harness.VictimPod)
	for _, server := range []*harness.CoreDNS{s, ruled} { // C7b
		expect("above its own host", server, "foo.apps.V.example", harness.VictimPod)
		expect("beside its own host", server, "y.foo.apps.V.example", harness.VictimPod)
	}
	expect("its own host further below, as the man page says", s, "z.foo.apps.V.example", harness.EvilPod)
	expect("above a host", s, "nobodys.V.example", harness.EvilPod)
	expect("above a host, and claim lines", ruled, "nobodys.V.example")
	expect("a wildcard that claim lines allow", ruled, "nobodys.example", harness.EvilPod)
	expect("where an alias leads, as the man page says", s, "alias.V.example", harness.EvilPod)
	if err := cname(ruled); err != nil {
		t.Errorf("where an alias leads, and claim lines: %v", err)
	}
	harness.Must(t, services.Delete(ctx, "near", metav1.DeleteOptions{}))

	// A Service that leaves the class and comes back, that is to be ignored, and one that is another's.
	n.Claim(t, "moving", n.In("moving.E.example,www.V.example"))
	cluster.Eventually(t, patience, func() error { return s.Expect(n.In("moving.E.example"), dns.TypeA, harness.EvilPod) })
	for _, spec := range []string{
		"{type: ClusterIP, ports: [{port: 80}]}",
		"{type: LoadBalancer, loadBalancerClass: other.example/class, ports: [{port: 80}]}",
	} {
		harness.Must(t, services.Delete(ctx, "moving", metav1.DeleteOptions{}))
		harness.Must(t, n.Evil.Apply(n.In("{apiVersion: v1, kind: Service, metadata: {name: moving, namespace: E, annotations: {minilb/host: 'moving.E.example,www.V.example'}}, spec: "+spec+"}")))
		cluster.Eventually(t, patience, func() error {
			return errors.Join(s.ExpectRcode(n.In("moving.E.minilb"), dns.TypeA, dns.RcodeNameError), s.Expect(n.In("moving.E.example"), dns.TypeA))
		})
		harness.Must(t, services.Delete(ctx, "moving", metav1.DeleteOptions{}))
		n.Claim(t, "moving", n.In("moving.E.example,www.V.example"))
		cluster.Eventually(t, patience, func() error {
			return errors.Join(s.Expect(n.In("moving.E.minilb"), dns.TypeA, harness.EvilPod), s.Expect(n.In("moving.E.example"), dns.TypeA, harness.EvilPod))
		})
	}
	harness.Must(t, n.Evil.Apply(n.In("{apiVersion: v1, kind: Service, metadata: {name: moving, namespace: E, labels: {minilb/ignore: 'true'}}, spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}}")))
	cluster.Eventually(t, patience, func() error { return s.ExpectRcode(n.In("moving.E.minilb"), dns.TypeA, dns.RcodeNameError) })

	// M7: it may send its own hosts to the victim's pods, as anybody may who has a domain.
	harness.Must(t, n.Evil.Apply(n.In("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: mirror, namespace: E, annotations: {minilb/service: V/web}}, spec: {rules: [{host: mirror.E.example}, {host: www.V.example}]}}")))
	cluster.Eventually(t, patience, func() error { return s.Expect(n.In("mirror.E.example"), dns.TypeA, harness.VictimPod) })
	for _, server := range []*harness.CoreDNS{s, ruled} {
		if line := unprintable(server.Log); line != "" {
			t.Errorf("the log has %q", line)
		}
	}
}
