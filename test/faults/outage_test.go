package faults_test

import (
	"github.com/minilb/minilb/test/harness"

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
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	ctx := t.Context()
	harness.Must(t, c.Node(ctx, "n1", "192.168.1.31"))
	harness.Must(t, c.Apply(ctx, harness.VectorState))
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: "shop", Name: "web-7", Labels: map[string]string{"app": "web"}, Node: "n1", IPs: []string{"10.244.1.7"}}))
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
	up := harness.StartUpstream(t)
	harness.Must(t, c.StopAPIServer())

	began := time.Now()
	s := harness.StartCoreDNS(t, `.:PORT {
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
	if lines := s.Log.Lines("Starting without the cluster's state"); len(lines) != 1 || !strings.Contains(lines[0], "services, endpointslices.discovery.k8s.io, ingresses.networking.k8s.io, /apis/gateway.networking.k8s.io not read within startup_timeout 2s") {
		t.Errorf("got %q, want one line that names what is missing\n%s", lines, s.Log)
	}
	if lines := s.Log.Lines("cannot reach the API server at " + strings.TrimPrefix(c.URL, "https://")); len(lines) != 1 {
		t.Errorf("got %d lines about the API server, want one:\n%s", len(lines), s.Log)
	}
	if code, _ := harness.Get(s.Ready); code != http.StatusServiceUnavailable {
		t.Errorf("/ready: got %d, want 503", code)
	}
	if code, _ := harness.Get(s.Health); code != http.StatusOK {
		t.Errorf("/health: got %d, want 200", code)
	}
	// D72: all of the zone, and in spite of fallthrough. D73: all else goes on.
	for _, name := range []string{"web.shop.minilb", "nope.minilb", "minilb"} {
		if err := s.ExpectRcode(name, dns.TypeA, dns.RcodeServerFailure); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"a.ex.org", "example.com"} {
		if reply, err := s.Ask("udp", name, dns.TypeA); err != nil || len(reply.Answer) != 1 {
			t.Errorf("%s: got %v, %v, want it forwarded", name, reply, err)
		}
	}

	// D75: who speaks EDNS is told why, over either transport.
	for _, network := range []string{"udp", "tcp"} {
		question := new(dns.Msg).SetQuestion("web.shop.minilb.", dns.TypeA).SetEdns0(1232, true)
		client := dns.Client{Net: network, Timeout: 5 * time.Second}
		reply, _, err := client.Exchange(question, s.Addr)
		harness.Must(t, err)
		opt := reply.IsEdns0()
		if reply.Rcode != dns.RcodeServerFailure || opt == nil || len(opt.Option) != 1 || !opt.Do() || opt.UDPSize() != 1232 ||
			!strings.HasPrefix(opt.Option[0].String(), "14 (Not Ready): (the cluster has not been read yet)") {
			t.Errorf("with EDNS: got\n%s", reply)
		}
	}

	harness.Must(t, c.StartAPIServer(ctx))
	appeared := time.Now()
	cluster.Eventually(t, 5*time.Second, func() error { return s.Expect("web.shop.minilb", dns.TypeA, "10.244.1.7") })
	t.Logf("the API server's appearance is answered after %v", time.Since(appeared))
	s.WaitReady(t)
	cluster.Eventually(t, 5*time.Second, func() error { return s.Expect("a.ex.org", dns.TypeA, "10.244.1.7") })

	harness.Must(t, c.StopAPIServer())
	for range 30 { // D78: with the normal TTL, and ready
		time.Sleep(100 * time.Millisecond)
		reply, err := s.Ask("udp", "web.shop.minilb", dns.TypeA)
		harness.Must(t, err)
		if len(reply.Answer) != 1 || reply.Answer[0].Header().Ttl != 5 {
			t.Fatalf("without the API server: got\n%s", reply)
		}
		if code, _ := harness.Get(s.Ready); code != http.StatusOK {
			t.Fatalf("without the API server /ready is %d", code)
		}
	}
	harness.Must(t, c.StartAPIServer(ctx))
	t.Cleanup(func() { t.Logf("coredns said:\n%s", s.Log) })
	harness.Must(t, c.Delete(ctx, "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}}"))
	cluster.Eventually(t, 10*time.Second, func() error { return s.Expect("web.shop.minilb", dns.TypeTXT, `"upstream"`) }) // by fallthrough
	if lines := s.Log.Lines("serving the last known state"); len(lines) != 1 {
		t.Errorf("got %d lines about the outage, want one:\n%s", len(lines), s.Log)
	}
	if lines := s.Log.Lines("answers again"); len(lines) < 2 {
		t.Errorf("the end of the outages is not logged:\n%s", s.Log)
	}
}

// TestCredentials starts CoreDNS with credentials that do not work (401), and with a
// permission missing for one kind (403): that kind is reported and the others are served.
func TestCredentials(t *testing.T) {
	c := harness.Shared(t)
	ctx := t.Context()
	harness.Must(t, c.Apply(ctx, `
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
`+harness.Role("no-ingresses", "{apiGroups: [''], resources: [services], verbs: [list, watch]}", "{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}")+
		harness.Role("no-services", "{apiGroups: [networking.k8s.io], resources: [ingresses], verbs: [list, watch]}", "{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}")+
		harness.Role("no-slices", "{apiGroups: [networking.k8s.io], resources: [ingresses], verbs: [list, watch]}", "{apiGroups: [''], resources: [services], verbs: [list, watch]}")))
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
		harness.Must(t, err)
		return path
	}

	t.Run("401", func(t *testing.T) {
		path, err := c.TokenKubeconfig("expired")
		harness.Must(t, err)
		s := harness.StartCoreDNS(t, corefile(path))
		if lines := s.Log.Lines("(401 Unauthorized)"); len(lines) != 1 || !strings.Contains(lines[0], "does not accept our credentials") {
			t.Errorf("got %q, want one line\n%s", lines, s.Log)
		}
		if err := s.ExpectRcode("web.creds.minilb", dns.TypeA, dns.RcodeServerFailure); err != nil {
			t.Error(err)
		}
	})
	t.Run("403 on ingresses", func(t *testing.T) {
		s := harness.StartCoreDNS(t, corefile(account("no-ingresses")))
		s.WaitReady(t)
		if lines := s.Log.Lines("[WARNING]"); len(lines) != 1 || !strings.Contains(lines[0], "ingresses.networking.k8s.io: list and watch is forbidden: apply deploy/kustomize, or grant") {
			t.Errorf("got %q, want one warning\n%s", lines, s.Log)
		}
		for _, name := range []string{"web.creds.minilb", "web.creds.example"} {
			if err := s.ExpectRcode(name, dns.TypeA, dns.RcodeSuccess); err != nil {
				t.Error(err)
			}
		}
		if _, metrics := harness.Get(s.Prom); !strings.Contains(metrics, `coredns_minilb_synced{source="ingress"} 0`) || !strings.Contains(metrics, `coredns_minilb_synced{source="service"} 1`) {
			t.Errorf("metrics:\n%s", harness.Grep(metrics, "synced"))
		}
		// Granted later, it is served without a restart.
		harness.Must(t, c.Apply(ctx, harness.Role("no-ingresses", "{apiGroups: [''], resources: [services], verbs: [list, watch]}", "{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}", "{apiGroups: [networking.k8s.io], resources: [ingresses], verbs: [list, watch]}")))
		cluster.Eventually(t, 10*time.Second, func() error { return s.Expect("i.creds.example", dns.TypeA, "10.9.9.9") })
	})
	for kind, resource := range map[string]string{"no-services": "services", "no-slices": "endpointslices.discovery.k8s.io"} {
		t.Run("403 on "+resource, func(t *testing.T) {
			s := harness.StartCoreDNS(t, corefile(account(kind)))
			cluster.Eventually(t, 10*time.Second, func() error { return s.Expect("i.creds.example", dns.TypeA, "10.9.9.9") })
			if lines := s.Log.Lines("is forbidden"); len(lines) != 1 || !strings.Contains(lines[0], resource+": list and watch is forbidden") {
				t.Errorf("got %q, want one warning\n%s", lines, s.Log)
			}
			// Nothing can be said about Services, and nothing is.
			if err := s.ExpectRcode("web.creds.minilb", dns.TypeA, dns.RcodeServerFailure); err != nil {
				t.Error(err)
			}
			if code, _ := harness.Get(s.Ready); code != http.StatusServiceUnavailable {
				t.Errorf("/ready: got %d, want 503", code)
			}
		})
	}
}
