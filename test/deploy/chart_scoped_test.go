package deploy_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/shipped"
)

// With the rights for some kinds and namespaces, and no others, a server answers for these.
func testChartScoped(t *testing.T, c *cluster.Cluster) {
	enforce(t, c, "restricted")
	user := "system:serviceaccount:" + harness.ShippedNamespace + ":" + harness.DNSAccount
	for _, test := range []struct {
		variant         string
		answers         map[string]string
		absent, passed  []string // names that do not exist, and that the upstream is asked for
		allowed, denied []string // in all namespaces
	}{
		{
			variant: "namespaces",
			answers: map[string]string{"web.shop.minilb": "10.244.1.1", "web.web.minilb": "10.244.1.2", "ingress.example.org": "10.244.1.1"},
			absent:  []string{"web.other.minilb"},
			passed:  []string{"route.example.org"},
			denied: []string{
				"list services", "list endpointslices.discovery.k8s.io", "list ingresses.networking.k8s.io", "list namespaces",
				"list gatewayclasses.gateway.networking.k8s.io", "list gateways.gateway.networking.k8s.io",
			},
		},
		{
			variant: "gateways",
			answers: map[string]string{"route.example.org": "10.244.1.2"},
			absent:  []string{"web.other.minilb"},
			passed:  []string{"ingress.example.org"},
			allowed: []string{"watch namespaces", "watch gatewayclasses.gateway.networking.k8s.io"},
			denied: []string{
				"list services", "list endpointslices.discovery.k8s.io", "list ingresses.networking.k8s.io",
				"list gateways.gateway.networking.k8s.io", "list httproutes.gateway.networking.k8s.io",
			},
		},
	} {
		t.Run(test.variant, func(t *testing.T) {
			readable(t, helm(t, c, "install", shipped.ChartRelease, "deploy/helm/minilb", "--values", "deploy/helm/minilb/ci/"+test.variant+".yaml"))
			s := startChart(t, c, 0)
			for name, want := range test.answers {
				cluster.Eventually(t, 10*time.Second, func() error { return s.Expect(name, dns.TypeA, want) })
			}
			for _, name := range test.absent {
				if err := s.ExpectRcode(name, dns.TypeA, dns.RcodeNameError); err != nil {
					t.Error(err)
				}
			}
			for _, name := range test.passed {
				if err := s.Expect(name, dns.TypeA, "192.0.2.53"); err != nil {
					t.Error(err)
				}
			}
			for _, right := range test.allowed {
				if !harness.Allowed(t, c, user, right) {
					t.Errorf("may not %s", right)
				}
			}
			for _, right := range test.denied {
				if harness.Allowed(t, c, user, right) {
					t.Errorf("may %s", right)
				}
			}
			unforbidden(t, s)
			helm(t, c, "uninstall", shipped.ChartRelease)
			chartGone(t, c)
		})
	}
}

// Corefiles that values have made something else of start, and answer.
func testChartConfigured(t *testing.T, c *cluster.Cluster) {
	harness.CreateService(t, c, "shop", "other", "example.org/minilb")
	harness.Must(t, c.Pod(t.Context(), cluster.PodSpec{
		Namespace: "shop", Name: "other-1", Labels: map[string]string{"app": "other"}, Node: "node1", IPs: []string{"10.244.1.9"},
	}))
	snapshots := t.TempDir()
	up := harness.Upstream(t)
	cert := harness.NewCertificate(t, "dns.lan.test")
	ports := harness.FreePorts(t, 4) // of DoT, DoH, DoQ and the metrics
	port := func(i int) string { return ports[i][strings.LastIndex(ports[i], ":"):] }
	for _, test := range []struct {
		variant string
		set     []string
		moved   []string // what is written for what is there, in pairs
		answers map[string]string
	}{
		{
			variant: "everything",
			moved: []string{
				".:5353 10.in-addr.arpa:5353 {\n", ".:PORT 10.in-addr.arpa:PORT {\n    bind 127.0.0.1\n",
				" health :18080 {\n", " HEALTH {\n", " ready :18181\n", " READY\n", " prometheus :19153\n", " PROM\n",
				" kubeconfig /etc/other/kubeconfig lab\n", " kubeconfig " + c.Kubeconfig + "\n",
				" snapshot /var/lib/minilb/snapshot\n", " snapshot " + snapshots + "/snapshot\n",
				" probe 500ms\n", "\n", // there is nobody to reach
				" forward . 192.0.2.3 {\n", " forward . " + up + " {\n",
				" lameduck 10s\n", " lameduck 0s\n",
				"example.net:1053 {\n", "example.net:PORT {\n    bind 127.0.0.1\n",
			},
			answers: map[string]string{"other.shop.cluster.lan": "10.244.1.9", "other.shop.svc.example.org": "10.244.1.9", "ns1.cluster.lan": "192.0.2.53", "elsewhere.example.org": "192.0.2.53"},
		},
		{
			variant: "override",
			moved:   []string{"minilb:1053 {\n", "minilb:PORT {\n    bind 127.0.0.1\n", " health {\n", " HEALTH {\n", " ready\n", " READY\n", " prometheus :9153\n", " PROM\n", " lameduck 5s\n", " lameduck 0s\n"},
			answers: map[string]string{"web.shop.minilb": "10.244.1.1"},
		},
		{
			variant: "hostnetwork",
			moved: []string{
				".:53 https://.:443 quic://.:853 tls://.:853 {\n", ".:PORT https://." + port(1) + " quic://." + port(2) + " tls://." + port(0) + " {\n",
				" health 127.0.0.1:8080 {\n", " HEALTH {\n", " ready 127.0.0.1:8181\n", " READY\n", " lameduck 8s\n", " lameduck 0s\n",
				" prometheus [{$NODE_IP}]:9153\n", " prometheus [{$NODE_IP}]" + port(3) + "\n",
				"/etc/minilb-tls/tls.crt", cert.Chain, "/etc/minilb-tls/tls.key", cert.Key,
				" forward . 9.9.9.9 149.112.112.112 {\n", " forward . " + up + " {\n",
			},
			answers: map[string]string{"web.shop.minilb": "10.244.1.1", "ns1.minilb": "127.0.0.1"},
		},
	} {
		t.Run(test.variant, func(t *testing.T) {
			t.Parallel()
			manifest, err := shipped.Chart(t.Context(), "deploy/helm/minilb/ci/"+test.variant+".yaml", test.set...)
			harness.Must(t, err)
			corefile := harness.ShippedObject[corev1.ConfigMap](t, harness.OfKinds(t, manifest, "ConfigMap"), "ConfigMap", "minilb-corefile").Data["Corefile"]
			for pair := range slices.Chunk(test.moved, 2) {
				if n := strings.Count(corefile, pair[0]); n != 1 {
					t.Fatalf("the Corefile has %q %d times, want it once:\n%s", pair[0], n, corefile)
				}
				corefile = strings.Replace(corefile, pair[0], pair[1], 1)
			}
			s := harness.StartCoreDNS(t, corefile, "KUBECONFIG="+c.Kubeconfig, "NODE_IP=127.0.0.1")
			s.WaitReady(t)
			for name, want := range test.answers {
				cluster.Eventually(t, 10*time.Second, func() error { return s.Expect(name, dns.TypeA, want) })
			}
			if test.variant == "hostnetwork" {
				reply, _, err := (&dns.Client{Net: "tcp-tls", TLSConfig: &tls.Config{InsecureSkipVerify: true}, Timeout: 5 * time.Second}).
					Exchange(new(dns.Msg).SetQuestion("web.shop.minilb.", dns.TypeA), "127.0.0.1"+port(0))
				if err != nil || len(reply.Answer) != 1 {
					t.Errorf("over TLS: got %v, %v", reply, err)
				}
				if code, metrics := harness.Get("http://127.0.0.1" + port(3) + "/metrics"); code != http.StatusOK || !strings.Contains(metrics, "coredns_acl_allowed_requests_total") {
					t.Errorf("metrics of the node: %d, with\n%s", code, harness.Grep(metrics, "acl"))
				}
			}
			if lines := s.Log.Lines("[ERROR]"); len(lines) > 0 {
				t.Error(fmt.Sprint("coredns said:\n", strings.Join(lines, "\n")))
			}
		})
	}
}
