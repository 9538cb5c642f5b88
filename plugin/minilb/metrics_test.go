package minilb

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

// A change that the other machine's clock dates into the future took no time: the sum of a
// histogram does not shrink.
func TestProgrammingDurationOfTheFuture(t *testing.T) {
	sum := func() float64 {
		registry := prometheus.NewRegistry()
		registry.MustRegister(programmingDuration)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		return families[0].GetMetric()[0].GetHistogram().GetSampleSum()
	}
	observeProgramming(time.Second)
	before := sum()
	observeProgramming(-time.Hour)
	if after := sum(); after != before {
		t.Errorf("the sum went from %v to %v", before, after)
	}
}

func TestMetricsLint(t *testing.T) {
	translators, err := translator.New(&rest.Config{Host: "https://api.example"}, log)
	if err != nil {
		t.Fatal(err)
	}
	options := config.Options{Zones: []string{"minilb."}, Services: true, Ingresses: true}
	cl := &cluster{translators: translators}
	cl.blocks = append(cl.blocks, translator.NewTranslator(translators, options, records.NewIndex(options.Zones), translator.Hooks{Covered: func(host string) bool { return host != "b.ex.net." }, ObserveLatency: observeProgramming}))
	clusters.Store(cl, true)
	defer clusters.Delete(cl)
	keeping, err := translator.New(&rest.Config{Host: "https://api.example"}, log) // of nothing, and so it knows all
	if err != nil {
		t.Fatal(err)
	}
	kept := &cluster{translators: keeping}
	kept.translators.KeepIn(filepath.Join(t.TempDir(), "snapshot"), kept.latest)
	kept.translators.Snapshot.MarkDirty()
	if _, err := kept.translators.Snapshot.Flush(); err != nil {
		t.Fatal(err)
	}
	clusters.Store(kept, true)
	defer clusters.Delete(kept)
	observeProgramming(1)
	requestsTotal.WithLabelValues("dns://:53", "success").Inc()

	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(requestsTotal, programmingDuration, buildInfo, collector{})
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

// fakeAPI has one Service with three endpoints, of which one is ready, one terminates and one
// is neither, and lists no Ingresses. It does not stream.
func fakeAPI(t *testing.T) *httptest.Server {
	server := httptest.NewServer(fakeAPIHandler())
	t.Cleanup(server.Close)
	return server
}

func fakeAPIHandler() http.HandlerFunc {
	yes, no, class := true, false, lb.DefaultClass
	list := metav1.ListMeta{ResourceVersion: "1"}
	service := corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Annotations: map[string]string{lb.HostAnnotation: "a.ex.org, b.ex.net, bad_host"}}}
	service.Spec.Type, service.Spec.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, &class
	slice := discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.0.0.1"}},
			{Addresses: []string{"10.0.0.2"}, Conditions: discoveryv1.EndpointConditions{Ready: &no, Serving: &yes, Terminating: &yes}},
			{Addresses: []string{"10.0.0.3"}, Conditions: discoveryv1.EndpointConditions{Ready: &no}},
		},
	}
	lists := map[string]any{
		"/api/v1/services":                         &corev1.ServiceList{ListMeta: list, Items: []corev1.Service{service}},
		"/apis/discovery.k8s.io/v1/endpointslices": &discoveryv1.EndpointSliceList{ListMeta: list, Items: []discoveryv1.EndpointSlice{slice}},
	}
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch list := lists[r.URL.Path]; {
		case list == nil:
			w.WriteHeader(http.StatusServiceUnavailable)
			json.NewEncoder(w).Encode(&metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonServiceUnavailable, Code: http.StatusServiceUnavailable})
		case r.URL.Query().Get("sendInitialEvents") != "":
			w.WriteHeader(http.StatusUnprocessableEntity)
			json.NewEncoder(w).Encode(&metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity})
		case r.URL.Query().Get("watch") != "":
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		default:
			json.NewEncoder(w).Encode(list)
		}
	}
}

// The gauges add up what the blocks of all clusters make of them; a source is synced if it is
// in all of them.
func TestCollector(t *testing.T) {
	var running []*cluster
	add := func(blocks int, ingresses bool) *cluster {
		translators, err := translator.New(&rest.Config{Host: fakeAPI(t).URL}, log)
		if err != nil {
			t.Fatal(err)
		}
		cl := &cluster{translators: translators}
		for range blocks {
			options := config.Options{
				Zones: []string{"minilb."}, Class: lb.DefaultClass, HostAnnotations: []string{lb.HostAnnotation}, Services: true, Ingresses: ingresses,
			}
			cl.blocks = append(cl.blocks, translator.NewTranslator(translators, options, records.NewIndex(options.Zones), translator.Hooks{Covered: func(host string) bool { return host != "b.ex.net." }, ObserveLatency: observeProgramming}))
		}
		cl.start()
		t.Cleanup(cl.stop)
		running = append(running, cl)
		return cl
	}
	captureLog(t)
	began := float64(time.Now().UnixMilli()) / 1000
	add(2, false)
	add(1, false)
	synced := func(cl *cluster) bool {
		for _, translator := range cl.blocks {
			if translator.Stats().Names["service"] == 0 {
				return false
			}
		}
		return true
	}
	for deadline := time.Now().Add(10 * time.Second); !synced(running[0]) || !synced(running[1]); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not synced")
		}
	}
	// Each of the three blocks: the Service's own name and two hosts, one of which nobody can
	// ask for; one host that is none.
	want := `
coredns_minilb_claims_rejected{reason="conflict"} 0
coredns_minilb_claims_rejected{reason="dead"} 0
coredns_minilb_claims_rejected{reason="invalid"} 3
coredns_minilb_claims_rejected{reason="not_allowed"} 0
coredns_minilb_claims_rejected{reason="reserved"} 0
coredns_minilb_claims_unreachable 3
coredns_minilb_endpoints{state="excluded"} 0
coredns_minilb_endpoints{state="not_ready"} 3
coredns_minilb_endpoints{state="ready"} 3
coredns_minilb_endpoints{state="suspect"} 0
coredns_minilb_endpoints{state="terminating"} 3
coredns_minilb_names{kind="grpcroute"} 0
coredns_minilb_names{kind="httproute"} 0
coredns_minilb_names{kind="ingress"} 0
coredns_minilb_names{kind="service"} 9
coredns_minilb_names{kind="tlsroute"} 0
coredns_minilb_synced{source="endpointslice"} 1
coredns_minilb_synced{source="service"} 1
`
	gather := func() (lines string, last map[string]float64) {
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(collector{})
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		out, last := new(bytes.Buffer), map[string]float64{}
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				labels := ""
				for _, label := range metric.GetLabel() {
					labels = fmt.Sprintf("{%s=%q}", label.GetName(), label.GetValue())
					if strings.Contains(family.GetName(), "last_event") {
						last[label.GetValue()] = metric.GetGauge().GetValue()
					}
				}
				if !strings.Contains(family.GetName(), "last_event") {
					fmt.Fprintf(out, "%s%s %v\n", family.GetName(), labels, metric.GetGauge().GetValue())
				}
			}
		}
		return "\n" + out.String(), last
	}
	got, last := gather()
	if got != want {
		t.Errorf("got %swant %s", got, want)
	}
	now := float64(time.Now().UnixMilli())/1000 + 1
	if s, e := last["service"], last["endpointslice"]; len(last) != 2 || s < began || s > now || e < began || e > now {
		t.Errorf("got last events %v, want them between %v and %v", last, began, now)
	}

	// A cluster whose Ingresses cannot be read, before and behind those where they can.
	add(1, true)
	if got, _ := gather(); !strings.Contains(got, `coredns_minilb_synced{source="ingress"} 0`) {
		t.Errorf("got %s", got)
	}
	unsynced, err := translator.New(&rest.Config{Host: "https://127.0.0.1:1"}, log)
	if err != nil {
		t.Fatal(err)
	}
	translator.NewTranslator(unsynced, config.Options{Services: true}, records.NewIndex(nil), translator.Hooks{})
	cl := &cluster{translators: unsynced}
	clusters.Store(cl, true)
	defer clusters.Delete(cl)
	for range 10 { // in whichever order they come
		if got, _ := gather(); !strings.Contains(got, `coredns_minilb_synced{source="service"} 0`) {
			t.Errorf("got %s", got)
		}
	}
}

// The duration is observed in seconds.
func TestObserveProgramming(t *testing.T) {
	sum := func() float64 {
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(programmingDuration)
		families, err := registry.Gather()
		if err != nil || len(families) == 0 {
			t.Fatal(err)
		}
		return families[0].GetMetric()[0].GetHistogram().GetSampleSum()
	}
	observeProgramming(0)
	before := sum()
	observeProgramming(1500 * time.Millisecond)
	if got := sum() - before; got != 1.5 {
		t.Errorf("got %v, want 1.5", got)
	}
}

func TestRequestsTotal(t *testing.T) {
	m := testPlugin(testConfig())
	m.upstream = fakeUpstream(func(context.Context, string, uint16) (*dns.Msg, error) {
		return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}, nil
	})
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
	ask(m, "alias.ex.org.", dns.TypeA)
	ask(newMinilb(testConfig(), &records.AddressSet{}), "web.shop.minilb.", dns.TypeA)
	other := testutil.ToFloat64(requestsTotal.WithLabelValues("dns://:5353", "success"))
	ctx := context.WithValue(t.Context(), dnsserver.Key{}, &dnsserver.Server{Addr: "dns://:5353"})
	m.ServeDNS(ctx, dnstest.NewRecorder(&test.ResponseWriter{}), new(dns.Msg).SetQuestion("web.shop.minilb.", dns.TypeA))
	if got := testutil.ToFloat64(requestsTotal.WithLabelValues("dns://:5353", "success")) - other; got != 1 {
		t.Errorf("another server: got %v more, want 1", got)
	}
	for _, server := range []string{"", "dns://:5353"} {
		if _, known := m.requests.Load(server); !known { // so that no query takes the lock again
			t.Errorf("it does not know the counters of %q", server)
		}
	}
	for result, want := range map[string]float64{"success": 1, "nodata": 2, "nxdomain": 1, "passed": 1, "servfail": 2} {
		if got := count(result) - before[result]; got != want {
			t.Errorf("%s: got %v more, want %v", result, got, want)
		}
	}
}
