package faults_test

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
	"github.com/minilb/minilb/test/harness"
)

// TestAway takes the API server away from a server that starts, reloads or has a snapshot, and starts one with
// credentials that the API server does not accept (401), and one without a permission (403). The control plane
// is the same, so that these run one after the other.
func TestAway(t *testing.T) {
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
	t.Run("start", func(t *testing.T) { testStart(t, c, kubeconfig) })
	t.Run("credentials", func(t *testing.T) { // before there is the Gateway API, whose kinds would be forbidden as well
		t.Run("401", func(t *testing.T) {
			t.Parallel()
			testUnauthorized(t, c)
		})
		t.Run("403", func(t *testing.T) {
			t.Parallel()
			testForbidden(t, c)
		})
	})
	t.Run("reload", func(t *testing.T) { testReload(t, c, kubeconfig) })
	t.Run("snapshot", func(t *testing.T) { testSnapshot(t, c, kubeconfig) })
}

// testStart starts CoreDNS without an API server, which then appears (D70, D72, D73).
func testStart(t *testing.T, c *cluster.Cluster, kubeconfig string) {
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
			startup_timeout 1s
			fallthrough
		}
		forward . `+up+`
	}`)
	if took := time.Since(began); took < time.Second {
		t.Errorf("started after %v, before startup_timeout", took)
	}
	if lines := s.Log.Lines("Starting without the cluster's state"); len(lines) != 1 || !strings.Contains(lines[0], "services, endpointslices.discovery.k8s.io, ingresses.networking.k8s.io, /apis/gateway.networking.k8s.io not read within startup_timeout 1s") {
		t.Errorf("got %q, want one line that names what is missing\n%s", lines, s.Log)
	}
	expectOneLine(t, s, "cannot reach the API server at "+strings.TrimPrefix(c.URL, "https://"))
	if code, _ := harness.Get(s.Ready); code != http.StatusServiceUnavailable {
		t.Errorf("/ready: got %d, want 503", code)
	}
	if code, _ := harness.Get(s.Health); code != http.StatusOK {
		t.Errorf("/health: got %d, want 200", code)
	}
	// D72: all of the zone, and in spite of fallthrough. D73: all else goes on.
	for _, name := range []string{"web.shop.minilb", "nope.minilb", "minilb"} {
		reply, err := s.Ask("udp", name, dns.TypeA)
		harness.Must(t, err)
		// RFC 6891 §7: no OPT for who sends none.
		if reply.Rcode != dns.RcodeServerFailure || len(reply.Answer)+len(reply.Ns) > 0 || reply.IsEdns0() != nil {
			t.Errorf("%s: got\n%s\nwant SERVFAIL without records", name, reply)
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

	harness.Must(t, c.StartAPIServer(t.Context()))
	appeared := time.Now()
	cluster.Eventually(t, 5*time.Second, func() error { return s.Expect("web.shop.minilb", dns.TypeA, "10.244.1.7") })
	t.Logf("the API server's appearance is answered after %v", time.Since(appeared))
	s.WaitReady(t)
	cluster.Eventually(t, 5*time.Second, func() error { return s.Expect("a.ex.org", dns.TypeA, "10.244.1.7") })
	expectOneLine(t, s, "answers again")
}

// expectOneLine waits until one line of the server's log contains a text, and returns it.
func expectOneLine(t *testing.T, s *harness.CoreDNS, text string) (line string) {
	t.Helper()
	cluster.Eventually(t, 10*time.Second, func() error {
		lines := s.Log.Lines(text)
		if len(lines) != 1 {
			return fmt.Errorf("%q is in %d lines of the log, want one:\n%s", text, len(lines), s.Log)
		}
		line = lines[0]
		return nil
	})
	return line
}

// impatientCorefile is that of a server which does not wait long for the cluster's state.
func impatientCorefile(kubeconfig string) string {
	return `.:PORT {
		bind 127.0.0.1
		HEALTH
		READY
		errors
		minilb minilb {
			kubeconfig ` + kubeconfig + `
			startup_timeout 1s
		}
	}`
}

// testUnauthorized starts CoreDNS with credentials that do not work: it says so in one line.
func testUnauthorized(t *testing.T, c *cluster.Cluster) {
	path, err := c.TokenKubeconfig("expired")
	harness.Must(t, err)
	s := harness.StartCoreDNS(t, impatientCorefile(path))
	if line := expectOneLine(t, s, "(401 Unauthorized)"); !strings.Contains(line, "does not accept our credentials") {
		t.Errorf("got %q", line)
	}
	if err := s.ExpectRcode("web.shop.minilb", dns.TypeA, dns.RcodeServerFailure); err != nil {
		t.Error(err)
	}
}

// testForbidden starts CoreDNS without the permission for Services: it reports that kind, serves
// the hosts that need none, and claims nothing about Services.
func testForbidden(t *testing.T, c *cluster.Cluster) {
	namespace := harness.NewNamespace(t, c)
	harness.Must(t, harness.Apply(c, strings.ReplaceAll(`
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NS}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, namespace: NS}
spec: {rules: [{host: i.NS.example, HTTP}]}
status: {loadBalancer: {ingress: [{ip: 10.9.9.9}]}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: no-services, namespace: NS}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NS-no-services}
rules:
- {apiGroups: [""], resources: [namespaces], verbs: [list, watch]}
- {apiGroups: [networking.k8s.io], resources: [ingresses], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NS-no-services}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NS-no-services}
subjects: [{kind: ServiceAccount, name: no-services, namespace: NS}]
`, "NS", namespace)))
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), namespace, "no-services")
	harness.Must(t, err)
	s := harness.StartCoreDNS(t, impatientCorefile(kubeconfig))
	cluster.Eventually(t, 10*time.Second, func() error { return s.Expect("i."+namespace+".example", dns.TypeA, "10.9.9.9") })
	if line := expectOneLine(t, s, "is forbidden"); !strings.Contains(line, "services: list and watch is forbidden") {
		t.Errorf("got %q", line)
	}
	if err := s.ExpectRcode("web."+namespace+".minilb", dns.TypeA, dns.RcodeServerFailure); err != nil {
		t.Error(err)
	}
	if code, _ := harness.Get(s.Ready); code != http.StatusServiceUnavailable {
		t.Errorf("/ready: got %d, want 503", code)
	}
}
