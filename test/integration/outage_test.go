package integration_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
)

// TestOutage starts CoreDNS without an API server, lets it appear, go and come back (D70,
// D72, D73, D78).
func TestOutage(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	kubeconfig := shippedAccounts(t, c).dns
	ctx := t.Context()
	must(t, c.Node(ctx, "n1", "192.168.1.31"))
	must(t, c.Apply(ctx, vectorState))
	must(t, c.Pod(ctx, cluster.PodSpec{Namespace: "shop", Name: "web-7", Labels: map[string]string{"app": "web"}, Node: "n1", IPs: []string{"10.244.1.7"}}))
	cluster.Eventually(t, 10*time.Second, func() error {
		slices, err := c.Client.DiscoveryV1().EndpointSlices("shop").List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=web"})
		if err != nil {
			return err
		}
		if len(slices.Items) != 1 || len(slices.Items[0].Endpoints) != 1 {
			return fmt.Errorf("the EndpointSlices of web are %v", slices.Items)
		}
		return nil
	})
	up := startUpstream(t)
	must(t, c.StopAPIServer())

	began := time.Now()
	s := startCoreDNS(t, `.:PORT {
		bind 127.0.0.1
		HEALTH
		READY
		errors
		minilb minilb {
			kubeconfig `+kubeconfig+`
			startup_timeout 2s
			fallthrough
		}
		forward . `+up+`
	}`)
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("started after %v, before startup_timeout", took)
	}
	if lines := s.log.lines("Starting without the cluster's state"); len(lines) != 1 || !strings.Contains(lines[0], "services, endpointslices.discovery.k8s.io, ingresses.networking.k8s.io, /apis/gateway.networking.k8s.io not read within startup_timeout 2s") {
		t.Errorf("got %q, want one line that names what is missing\n%s", lines, s.log)
	}
	if lines := s.log.lines("cannot reach the API server at " + strings.TrimPrefix(c.URL, "https://")); len(lines) != 1 {
		t.Errorf("got %d lines about the API server, want one:\n%s", len(lines), s.log)
	}
	if code, _ := get(s.ready); code != http.StatusServiceUnavailable {
		t.Errorf("/ready: got %d, want 503", code)
	}
	if code, _ := get(s.health); code != http.StatusOK {
		t.Errorf("/health: got %d, want 200", code)
	}
	// D72: all of the zone, and in spite of fallthrough. D73: all else goes on.
	for _, name := range []string{"web.shop.minilb", "nope.minilb", "minilb"} {
		if err := s.expectRcode(name, dns.TypeA, dns.RcodeServerFailure); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"a.ex.org", "example.com"} {
		if reply, err := s.ask("udp", name, dns.TypeA); err != nil || len(reply.Answer) != 1 {
			t.Errorf("%s: got %v, %v, want it forwarded", name, reply, err)
		}
	}

	// D75: who speaks EDNS is told why, over either transport.
	for _, network := range []string{"udp", "tcp"} {
		question := new(dns.Msg).SetQuestion("web.shop.minilb.", dns.TypeA).SetEdns0(1232, true)
		client := dns.Client{Net: network, Timeout: 5 * time.Second}
		reply, _, err := client.Exchange(question, s.addr)
		must(t, err)
		opt := reply.IsEdns0()
		if reply.Rcode != dns.RcodeServerFailure || opt == nil || len(opt.Option) != 1 || !opt.Do() || opt.UDPSize() != 1232 ||
			!strings.HasPrefix(opt.Option[0].String(), "14 (Not Ready): (the cluster has not been read yet)") {
			t.Errorf("with EDNS: got\n%s", reply)
		}
	}

	must(t, c.StartAPIServer(ctx))
	appeared := time.Now()
	cluster.Eventually(t, 5*time.Second, func() error { return s.expect("web.shop.minilb", dns.TypeA, "10.244.1.7") })
	t.Logf("the API server's appearance is answered after %v", time.Since(appeared))
	s.waitReady(t)
	cluster.Eventually(t, 5*time.Second, func() error { return s.expect("a.ex.org", dns.TypeA, "10.244.1.7") })

	must(t, c.StopAPIServer())
	for range 30 { // D78: with the normal TTL, and ready
		time.Sleep(100 * time.Millisecond)
		reply, err := s.ask("udp", "web.shop.minilb", dns.TypeA)
		must(t, err)
		if len(reply.Answer) != 1 || reply.Answer[0].Header().Ttl != 5 {
			t.Fatalf("without the API server: got\n%s", reply)
		}
		if code, _ := get(s.ready); code != http.StatusOK {
			t.Fatalf("without the API server /ready is %d", code)
		}
	}
	must(t, c.StartAPIServer(ctx))
	t.Cleanup(func() { t.Logf("coredns said:\n%s", s.log) })
	must(t, c.Delete(ctx, "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}}"))
	cluster.Eventually(t, 10*time.Second, func() error { return s.expect("web.shop.minilb", dns.TypeTXT, `"upstream"`) }) // by fallthrough
	if lines := s.log.lines("serving the last known state"); len(lines) != 1 {
		t.Errorf("got %d lines about the outage, want one:\n%s", len(lines), s.log)
	}
	if lines := s.log.lines("answers again"); len(lines) < 2 {
		t.Errorf("the end of the outages is not logged:\n%s", s.log)
	}
}

// TestCredentials starts CoreDNS with credentials that do not work (401), and with a
// permission missing for one kind (403): that kind is reported and the others are served.
func TestCredentials(t *testing.T) {
	c := shared(t)
	ctx := t.Context()
	must(t, c.Apply(ctx, `
apiVersion: v1
kind: Namespace
metadata: {name: creds}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: creds, annotations: {minilb/host: web.creds.example}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, namespace: creds}
spec: {rules: [{host: i.creds.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}
status: {loadBalancer: {ingress: [{ip: 10.9.9.9}]}}
`+role("no-ingresses", "{apiGroups: [''], resources: [services], verbs: [list, watch]}", "{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}")+
		role("no-services", "{apiGroups: [networking.k8s.io], resources: [ingresses], verbs: [list, watch]}", "{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}")+
		role("no-slices", "{apiGroups: [networking.k8s.io], resources: [ingresses], verbs: [list, watch]}", "{apiGroups: [''], resources: [services], verbs: [list, watch]}")))
	corefile := func(kubeconfig string) string {
		return `.:PORT {
			bind 127.0.0.1
			HEALTH
			READY
			PROM
			errors
			minilb minilb {
				kubeconfig ` + kubeconfig + `
				startup_timeout 5s
			}
		}`
	}
	account := func(name string) string {
		path, err := c.ServiceAccountKubeconfig(ctx, "creds", name)
		must(t, err)
		return path
	}

	t.Run("401", func(t *testing.T) {
		path, err := c.TokenKubeconfig("expired")
		must(t, err)
		s := startCoreDNS(t, corefile(path))
		if lines := s.log.lines("(401 Unauthorized)"); len(lines) != 1 || !strings.Contains(lines[0], "does not accept our credentials") {
			t.Errorf("got %q, want one line\n%s", lines, s.log)
		}
		if err := s.expectRcode("web.creds.minilb", dns.TypeA, dns.RcodeServerFailure); err != nil {
			t.Error(err)
		}
	})
	t.Run("403 on ingresses", func(t *testing.T) {
		s := startCoreDNS(t, corefile(account("no-ingresses")))
		s.waitReady(t)
		if lines := s.log.lines("[WARNING]"); len(lines) != 1 || !strings.Contains(lines[0], "ingresses.networking.k8s.io: list and watch is forbidden: apply deploy/kustomize, or grant") {
			t.Errorf("got %q, want one warning\n%s", lines, s.log)
		}
		for _, name := range []string{"web.creds.minilb", "web.creds.example"} {
			if err := s.expectRcode(name, dns.TypeA, dns.RcodeSuccess); err != nil {
				t.Error(err)
			}
		}
		if _, metrics := get(s.prom); !strings.Contains(metrics, `coredns_minilb_synced{source="ingress"} 0`) || !strings.Contains(metrics, `coredns_minilb_synced{source="service"} 1`) {
			t.Errorf("metrics:\n%s", grep(metrics, "synced"))
		}
		// Granted later, it is served without a restart.
		must(t, c.Apply(ctx, role("no-ingresses", "{apiGroups: [''], resources: [services], verbs: [list, watch]}", "{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}", "{apiGroups: [networking.k8s.io], resources: [ingresses], verbs: [list, watch]}")))
		cluster.Eventually(t, 10*time.Second, func() error { return s.expect("i.creds.example", dns.TypeA, "10.9.9.9") })
	})
	for kind, resource := range map[string]string{"no-services": "services", "no-slices": "endpointslices.discovery.k8s.io"} {
		t.Run("403 on "+resource, func(t *testing.T) {
			s := startCoreDNS(t, corefile(account(kind)))
			cluster.Eventually(t, 10*time.Second, func() error { return s.expect("i.creds.example", dns.TypeA, "10.9.9.9") })
			if lines := s.log.lines("is forbidden"); len(lines) != 1 || !strings.Contains(lines[0], resource+": list and watch is forbidden") {
				t.Errorf("got %q, want one warning\n%s", lines, s.log)
			}
			// Nothing can be said about Services, and nothing is.
			if err := s.expectRcode("web.creds.minilb", dns.TypeA, dns.RcodeServerFailure); err != nil {
				t.Error(err)
			}
			if code, _ := get(s.ready); code != http.StatusServiceUnavailable {
				t.Errorf("/ready: got %d, want 503", code)
			}
		})
	}
}

// role returns the manifest of a ServiceAccount in namespace creds with these rules.
func role(name string, rules ...string) string {
	return fmt.Sprintf(`
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: %[1]s, namespace: creds}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: creds-%[1]s}, rules: [%[2]s]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: creds-%[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: creds-%[1]s}
subjects: [{kind: ServiceAccount, name: %[1]s, namespace: creds}]
`, name, strings.Join(rules, ", "))
}
