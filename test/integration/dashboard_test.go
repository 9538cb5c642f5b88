package integration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
)

// panel is what tests look at of a Grafana panel.
type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               struct{ Type, UID string }
	Targets                  []struct {
		RefID, Expr, LegendFormat string
		Datasource                struct{ Type, UID string }
	}
}

type dashboard struct {
	UID, Title    string
	ID            any
	SchemaVersion int
	Panels        []panel
	Templating    struct {
		List []struct {
			Name, Type, Definition string
			Query                  any
		}
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile("../../deploy/grafana/minilb.json")
	must(t, err)
	var d dashboard
	must(t, json.Unmarshal(text, &d))
	return d
}

// The dashboard can be imported anywhere: it names no data source, and no panel lies on another.
func TestDashboardForm(t *testing.T) {
	d := readDashboard(t)
	if d.UID != "minilb" || d.Title != "minilb" || d.ID != nil || d.SchemaVersion != 42 {
		t.Errorf("got uid %q, title %q, id %v and schemaVersion %d", d.UID, d.Title, d.ID, d.SchemaVersion)
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("%s: another panel has the id %d, too", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s: lies on %q or beyond the edge", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if !slices.Contains([]string{"stat", "timeseries", "state-timeline", "table"}, p.Type) || p.Title == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d: got type %q, title %q and %d targets", p.ID, p.Type, p.Title, len(p.Targets))
		}
		if p.Datasource.Type != "prometheus" || p.Datasource.UID != "${datasource}" {
			t.Errorf("%s: its data source is %+v", p.Title, p.Datasource)
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if target.Datasource != p.Datasource || refs[target.RefID] {
				t.Errorf("%s: target %q has another data source or the name of another target", p.Title, target.RefID)
			}
			refs[target.RefID] = true
		}
	}
}

var (
	legendLabel = regexp.MustCompile(`\{\{(\w+)\}\}`)
	labelValues = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
)

// TestDashboard lets a Prometheus scrape the running programs as its README says: every query
// of the dashboard has a result, and everything that the alerts read is there.
func TestDashboard(t *testing.T) {
	program(t, "prometheus", "prometheus")
	c := shared(t)
	namespace := newNamespace(t, c)
	kubeconfigs := shippedAccounts(t, c)

	example, err := os.ReadFile("../../Corefile.example")
	must(t, err)
	corefile := strings.NewReplacer("# snapshot /", "snapshot /", "# probe\n", "probe\n", "minilb minilb {", "minilb minilb {\nclass "+namespace).Replace(string(example))
	corefile, _ = onLoopback(t, corefile, startUpstream(t, "example.org. 60 IN A 192.0.2.9"), kubeconfigs.dns, certificate{})
	createService(t, c, namespace, "web", namespace)
	s := startCoreDNS(t, corefile, "KUBECONFIG="+kubeconfigs.dns)
	p := startController(t, kubeconfigs.controller, "-class", namespace).waitReady(t)
	s.waitReady(t)

	address := func(metrics string) string {
		u, err := url.Parse(metrics)
		must(t, err)
		return u.Host
	}
	config := documentedPrometheus(t, "static_configs")
	rules, err := filepath.Abs("../../deploy/prometheus/rules.yaml")
	must(t, err)
	config = "global: {scrape_interval: 1s, evaluation_interval: 1s}\n" + strings.NewReplacer(
		"192.168.1.53:9153", address(s.prom), "192.168.1.53:8081", address(p.url), "/etc/prometheus/minilb/rules.yaml", rules).Replace(config)
	prom := startPrometheus(t, config)

	// Something of everything, as long as it takes to have a rate.
	must(t, c.Node(t.Context(), "dashboard", "192.168.1.77"))
	pods := 0
	changes := func() {
		pods++
		must(t, c.Pod(t.Context(), cluster.PodSpec{
			Namespace: namespace, Name: fmt.Sprintf("web-%d", pods), Labels: map[string]string{"app": "web"}, Node: "dashboard", IPs: []string{fmt.Sprintf("10.244.%d.%d", 1+pods/250, 1+pods%250)},
		}))
		for name, qtype := range map[string]uint16{"web." + namespace + ".minilb": dns.TypeA, namespace + ".minilb": dns.TypeA, "nope.minilb": dns.TypeA, fmt.Sprintf("h%d.example.org", pods): dns.TypeA} {
			_, err := s.ask("udp", name, qtype)
			must(t, err)
		}
	}
	began := time.Now()
	cluster.Eventually(t, 30*time.Second, func() error {
		changes()
		return readDashboard(t).evaluate(prom)
	})
	t.Logf("everything has a value after %v", time.Since(began))

	evaluateRules(t, prom)
	for _, metrics := range []string{s.prom, p.url + "/metrics"} {
		lint(t, metrics)
	}
}

// interval stands for what Grafana puts in place of its variables.
var interval = strings.NewReplacer("$__rate_interval", "10s", "$job", ".*", "$instance", ".*")

// evaluate returns an error unless all that the dashboard asks for has results.
func (d dashboard) evaluate(prom *prometheus) error {
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		match := labelValues.FindStringSubmatch(interval.Replace(v.Definition))
		if match == nil {
			return fmt.Errorf("variable %s: unknown form %q", v.Name, v.Definition)
		}
		if err := prom.labelled(match[1], match[2]); err != nil {
			return fmt.Errorf("variable %s: %w", v.Name, err)
		}
	}
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			expr := interval.Replace(target.Expr)
			var labels []string
			for _, match := range legendLabel.FindAllStringSubmatch(target.LegendFormat, -1) {
				labels = append(labels, match[1])
			}
			if err := errors.Join(prom.reads(expr), prom.labelled(expr, labels...)); err != nil {
				return fmt.Errorf("panel %s: %w", panel.Title, err)
			}
		}
	}
	return nil
}

// evaluateRules checks that Prometheus has loaded all rules, and that there is what they read.
func evaluateRules(t *testing.T, prom *prometheus) {
	t.Helper()
	var loaded struct {
		Groups []struct {
			Rules []struct{ Name, Query, Type, Health, LastError string }
		}
	}
	must(t, prom.api("rules", &loaded))
	n := 0
	for _, group := range loaded.Groups {
		for _, rule := range group.Rules {
			n++
			if rule.Health != "ok" {
				t.Errorf("%s: %s %s", rule.Name, rule.Health, rule.LastError)
			}
			if rule.Type == "recording" {
				if _, err := prom.query(rule.Name); err != nil {
					t.Error(err)
				}
			}
			if err := prom.reads(rule.Query); err != nil {
				t.Errorf("%s: %v", rule.Name, err)
			}
		}
	}
	if all := readRules(t); n != len(all) {
		t.Errorf("Prometheus has loaded %d rules of %d", n, len(all))
	}
}
