package minilb

import (
	"testing"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/source"
)

func TestMetricsLint(t *testing.T) {
	watcher, err := source.NewWatcher(&rest.Config{Host: "https://api.example"}, log)
	if err != nil {
		t.Fatal(err)
	}
	options := source.Options{Zones: []string{"minilb."}, Services: true, Ingresses: true}
	cl := &cluster{watcher: watcher}
	cl.translators = append(cl.translators, source.NewTranslator(watcher, options, records.NewIndex(options.Zones)))
	clusters.add(cl)
	defer clusters.remove(cl)
	observeProgramming(1)
	requestsTotal.WithLabelValues("dns://:53", "success").Inc()

	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(requestsTotal, programmingDuration, clusters)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, family := range families {
		have[family.GetName()] = true
	}
	for _, name := range manPageMetrics(t) {
		if !have[name] && name != "coredns_minilb_last_event_timestamp_seconds" && name != "coredns_minilb_names" {
			t.Errorf("README.md documents %s, which is not there", name)
		}
		delete(have, name)
	}
	for name := range have {
		t.Errorf("README.md does not document %s", name)
	}
}

func TestRequestsTotal(t *testing.T) {
	m := testPlugin(testConfig())
	m.upstream = fakeUpstream(nil)
	count := func(result string) float64 { return testutil.ToFloat64(requestsTotal.WithLabelValues("", result)) }
	before := map[string]float64{}
	for _, result := range resultNames {
		before[result] = count(result)
	}
	ask := func(m *Minilb, name string, qtype uint16) {
		m.ServeDNS(t.Context(), dnstest.NewRecorder(&test.ResponseWriter{}), new(dns.Msg).SetQuestion(name, qtype))
	}
	ask(m, "web.shop.minilb.", dns.TypeA)
	ask(m, "web.shop.minilb.", dns.TypeTXT)
	ask(m, "shop.minilb.", dns.TypeA)
	ask(m, "nope.minilb.", dns.TypeA)
	ask(m, "example.org.", dns.TypeA)
	ask(newMinilb(testConfig(), &records.Set{}), "web.shop.minilb.", dns.TypeA)
	for result, want := range map[string]float64{"success": 1, "nodata": 2, "nxdomain": 1, "passed": 1, "servfail": 1} {
		if got := count(result) - before[result]; got != want {
			t.Errorf("%s: got %v more, want %v", result, got, want)
		}
	}
}
