package deploy_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// monitored is what a Prometheus scrapes as its README says.
type monitored struct {
	cluster    *cluster.Cluster
	namespace  string // also the class
	dns        *harness.CoreDNS
	controller *harness.Controller
	prometheus *prometheus
	pods       int // that there have been
}

// TestMonitoring: every query of the dashboard has a result, everything that the rules read is
// there, and the alerts tell the sick from the sound.
func TestMonitoring(t *testing.T) {
	t.Parallel()
	harness.Program(t, "prometheus", "prometheus")
	c := harness.Shared(t)
	m := &monitored{cluster: c, namespace: harness.NewNamespace(t, c)}
	kubeconfigs := harness.ShippedAccounts(t, c)
	harness.Must(t, c.Node(t.Context(), "monitored", "192.168.1.77"))
	harness.CreateService(t, c, m.namespace, "web", m.namespace, func(s *corev1.Service) { // nothing that is probed: nobody is there
		s.Spec.Ports[0].Protocol = corev1.ProtocolUDP
	})
	m.dns = m.startDNS(t, kubeconfigs.DNS)
	m.controller = harness.StartController(t, kubeconfigs.Controller, "-class", m.namespace).WaitReady(t)
	m.dns.WaitReady(t)
	m.scrape(t, []*harness.CoreDNS{m.dns}, []*harness.Controller{m.controller})

	board := readDashboard(t)
	cluster.Eventually(t, time.Minute, func() error { // until there are rates of everything
		m.addPod(t)
		m.ask(t)
		time.Sleep(scrapeInterval) // until then the result is the same
		return board.evaluate(m.prometheus)
	})
	cluster.Eventually(t, time.Minute, func() error { return evaluateRules(m.prometheus, readRules(t)) })
	lint(t, m.dns.Prom)
	lint(t, m.controller.URL+"/metrics")
	m.testAlerts(t)
}

// startDNS starts a server with the Corefile of the example and all that brings metrics.
func (m *monitored) startDNS(t *testing.T, kubeconfig string) *harness.CoreDNS {
	t.Helper()
	example, err := os.ReadFile("../../Corefile.example")
	harness.Must(t, err)
	corefile := strings.NewReplacer(
		"# kubeconfig /", "kubeconfig /", "# snapshot /", "snapshot /", "# probe\n", "probe\n", "minilb minilb {", "minilb minilb {\nclass "+m.namespace,
	).Replace(string(example))
	corefile, _ = harness.OnLoopback(t, corefile, harness.StartUpstream(t), kubeconfig, harness.Certificate{})
	return harness.StartCoreDNS(t, corefile)
}

// hostPort returns host and port of a URL, which are also the label instance.
func hostPort(t *testing.T, of string) string {
	t.Helper()
	u, err := url.Parse(of)
	harness.Must(t, err)
	return u.Host
}

// scrapeInterval is short, so that there are soon two values of everything: a rate takes as many.
const scrapeInterval = 500 * time.Millisecond

// scrape starts a Prometheus.
func (m *monitored) scrape(t *testing.T, servers []*harness.CoreDNS, controllers []*harness.Controller) {
	t.Helper()
	rules, err := filepath.Abs("../../deploy/prometheus/rules.yaml")
	harness.Must(t, err)
	var dnsTargets, controllerTargets []string
	for _, s := range servers {
		dnsTargets = append(dnsTargets, hostPort(t, s.Prom))
	}
	for _, p := range controllers {
		controllerTargets = append(controllerTargets, hostPort(t, p.URL))
	}
	m.prometheus = startPrometheus(t, fmt.Sprintf("global: {scrape_interval: %[1]v, evaluation_interval: %[1]v}\n", scrapeInterval)+strings.NewReplacer(
		"192.168.1.53:9153", strings.Join(dnsTargets, `", "`), "192.168.1.53:8081", strings.Join(controllerTargets, `", "`),
		"/etc/prometheus/minilb/rules.yaml", rules,
	).Replace(documentedPrometheus(t, "static_configs")))
}

// addPod adds a pod behind the Service web.
func (m *monitored) addPod(t *testing.T) {
	t.Helper()
	m.pods++
	harness.Must(t, m.cluster.Pod(t.Context(), cluster.PodSpec{
		Namespace: m.namespace, Name: fmt.Sprintf("web-%d", m.pods), Labels: map[string]string{"app": "web"},
		Node: "monitored", IPs: []string{fmt.Sprintf("10.244.%d.%d", 1+m.pods/250, 1+m.pods%250)},
	}))
}

// ask asks questions of all kinds, one of which no cache knows.
func (m *monitored) ask(t *testing.T) {
	t.Helper()
	web := "web." + m.namespace + ".minilb"
	for _, name := range []string{web, web, web, m.namespace + ".minilb", "nope.minilb", fmt.Sprintf("h%d.example.org", time.Now().UnixNano())} {
		_, err := m.dns.Ask("udp", name, dns.TypeA)
		harness.Must(t, err)
	}
}

// testAlerts checks whose alerts there are, whether they wait for their time or fire.
func (m *monitored) testAlerts(t *testing.T) {
	expect := func(what string, want ...string) {
		t.Helper()
		cluster.Eventually(t, time.Minute, func() error {
			got, err := m.alerts()
			if err != nil {
				return err
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("%s: got alerts %q, want %q", what, got, want)
			}
			return nil
		})
	}
	c := m.cluster
	_, err := c.Client.CoreV1().ServiceAccounts(m.namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "nobody"}}, metav1.CreateOptions{})
	harness.Must(t, err)
	nobody, err := c.ServiceAccountKubeconfig(t.Context(), m.namespace, "nobody")
	harness.Must(t, err)
	server, other := m.startDNS(t, nobody), harness.StartController(t, nobody)
	m.scrape(t, []*harness.CoreDNS{m.dns, server}, []*harness.Controller{m.controller, other})
	ailing, helpless := hostPort(t, server.Prom), hostPort(t, other.URL)
	expect("two may read nothing", "MinilbControllerNotWatching "+helpless, "MinilbNotSynced "+ailing)

	vip := corev1.LoadBalancerIngress{IP: "192.0.2.7"}
	for range 6 { // S12
		harness.ExpectStatus(t, c, m.namespace, "web", "web."+m.namespace+".minilb")
		harness.Overwrite(t, c, m.namespace, "web", vip)
	}
	contested := "MinilbStatusContested " + hostPort(t, m.controller.URL)
	expect("another controller writes, too", "MinilbControllerNotWatching "+helpless, "MinilbNotSynced "+ailing, contested)

	server.Stop(t)
	other.Stop(t)
	down := []string{contested, "MinilbTargetDown " + ailing, "MinilbTargetDown " + helpless}
	slices.Sort(down)
	expect("two are down", down...)
}

// alerts returns the alerts that there are, with their instance, sorted.
func (m *monitored) alerts() ([]string, error) {
	var data struct {
		Alerts []struct{ Labels map[string]string }
	}
	if err := m.prometheus.api("alerts", &data); err != nil {
		return nil, err
	}
	var all []string
	for _, alert := range data.Alerts {
		all = append(all, alert.Labels["alertname"]+" "+alert.Labels["instance"])
	}
	slices.Sort(all)
	return all, nil
}
