package deploy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// prometheus is a running Prometheus.
type prometheus struct{ url string }

// startPrometheus runs Debian's Prometheus with a configuration until the test ends.
func startPrometheus(t *testing.T, config string) *prometheus {
	t.Helper()
	server := harness.Program(t, "prometheus", "prometheus")
	dir := t.TempDir()
	path := filepath.Join(dir, "prometheus.yml")
	harness.Must(t, os.WriteFile(path, []byte(config), 0o600))
	addr := harness.FreePorts(t, 1)[0]
	p := &prometheus{url: "http://" + addr}
	harness.StartDaemon(t, func() error {
		if code, body := harness.Get(p.url + "/-/ready"); code != http.StatusOK {
			return fmt.Errorf("/-/ready: %d %s", code, body)
		}
		return nil
	}, server, "--config.file="+path, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr, "--log.level=warn")
	return p
}

// api decodes the data of an answer of Prometheus' HTTP API.
func (p *prometheus) api(path string, data any) error {
	code, body := harness.Get(p.url + "/api/v1/" + path)
	if code != http.StatusOK {
		return fmt.Errorf("%s: %d %s", path, code, body)
	}
	answer := struct{ Data any }{data}
	return json.Unmarshal([]byte(body), &answer)
}

// sample is one series of the result of a query.
type sample struct {
	Metric map[string]string // its labels
	Value  [2]any            // time and value
}

// query returns what an expression is at present, an error if that is nothing.
func (p *prometheus) query(expr string) ([]sample, error) {
	var data struct{ Result []sample }
	if err := p.api("query?query="+url.QueryEscape(expr), &data); err != nil {
		return nil, err
	}
	if len(data.Result) == 0 {
		return nil, fmt.Errorf("%s: nothing", expr)
	}
	return data.Result, nil
}

var (
	promLabels   = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	promRange    = regexp.MustCompile(`\[[^\]]*\]|\boffset\s+\w+`)
	promSelector = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)(\s*\{[^}]*\}|\s*\()?`)
)

// selectors returns what an expression reads, such as up{job="x"}, and the labels that it groups
// or matches by, but for le.
func selectors(expr string) (selectors, labels []string) {
	for _, clause := range promLabels.FindAllStringSubmatch(expr, -1) {
		for _, label := range strings.FieldsFunc(clause[2], func(r rune) bool { return r == ',' || r == ' ' }) {
			if label != "le" {
				labels = append(labels, label)
			}
		}
	}
	expr = promRange.ReplaceAllString(promLabels.ReplaceAllString(expr, ""), "")
	for _, match := range promSelector.FindAllStringSubmatch(expr, -1) {
		if !strings.HasSuffix(match[2], "(") && !slices.Contains([]string{"and", "or", "unless"}, match[1]) {
			selectors = append(selectors, strings.TrimSpace(match[0]))
		}
	}
	return selectors, labels
}

// reads returns an error unless there are series for all that an expression reads, with the
// labels that it groups or matches by.
func (p *prometheus) reads(expr string) error {
	all, labels := selectors(expr)
	if len(all) == 0 {
		return fmt.Errorf("%s: no metric is found in it", expr)
	}
	known := map[string]bool{}
	var errs []error
	for _, selector := range all {
		samples, err := p.query(selector)
		errs = append(errs, err)
		for _, s := range samples {
			for label := range s.Metric {
				known[label] = true
			}
		}
	}
	for _, label := range labels {
		if !known[label] {
			errs = append(errs, fmt.Errorf("%s: nothing that it reads has the label %s", expr, label))
		}
	}
	return errors.Join(errs...)
}

// labelled returns an error unless an expression has results, which are numbers and have these labels.
func (p *prometheus) labelled(expr string, labels ...string) error {
	samples, err := p.query(expr)
	if err != nil {
		return err
	}
	for _, s := range samples {
		if s.Value[1] == "NaN" {
			return fmt.Errorf("%s: %v is not a number", expr, s.Metric)
		}
		for _, label := range labels {
			if s.Metric[label] == "" {
				return fmt.Errorf("%s: %v has no label %s", expr, s.Metric, label)
			}
		}
	}
	return nil
}

// lint lets promtool look at the metrics of a process.
func lint(t *testing.T, metrics string) {
	t.Helper()
	code, text := harness.Get(metrics)
	if code != http.StatusOK {
		t.Fatalf("%s: %d %s", metrics, code, text)
	}
	check := exec.Command(harness.Program(t, "promtool", "prometheus"), "check", "metrics")
	check.Stdin = strings.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// TestSelectors: what the tests of expressions look at.
func TestSelectors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ expr, selectors, labels string }{
		{`up`, `up`, ``},
		{`absent(up{job="a"})`, `up{job="a"}`, ``},
		{`sum by (a, b) (rate(x_total{c=~"d|e"}[5m] offset 1h)) / on (a) y`, `x_total{c=~"d|e"} y`, `a b a`},
		{`histogram_quantile(0.99, sum by (le) (rate(z_bucket[5m])))`, `z_bucket`, ``},
		{`time() - max without (s) (l) > 300 unless on (i) m == 0`, `l m`, `s i`},
		{`level:metric:op and ignoring(s) n`, `level:metric:op n`, `s`},
	} {
		got, labels := selectors(test.expr)
		if strings.Join(got, " ") != test.selectors || strings.Join(labels, " ") != test.labels {
			t.Errorf("%s: got %q and %q, want %q and %q", test.expr, got, labels, test.selectors, test.labels)
		}
	}
}

// documentedPrometheus returns the configuration in deploy/prometheus/README.md with this word.
func documentedPrometheus(t *testing.T, word string) string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/prometheus/README.md")
	harness.Must(t, err)
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(block[1], word) {
			return block[1]
		}
	}
	t.Fatalf("deploy/prometheus/README.md has no configuration with %s", word)
	return ""
}

// TestDocumentedDiscovery gives a Prometheus the pods that are shipped as it finds them in a
// cluster, with the labels that its documentation names: Debian's is built without that. What
// is scraped of them, and under which name, is as README.md says.
func TestDocumentedDiscovery(t *testing.T) {
	t.Parallel()
	config := documentedPrometheus(t, "kubernetes_sd_configs")
	found := regexp.MustCompile(`(?s)  kubernetes_sd_configs:\n  - role: pod\n    namespaces:\n      names: \[minilb\]\n`)
	if !found.MatchString(config) {
		t.Fatalf("README.md looks for other things than pods:\n%s", config)
	}
	pods := "  static_configs:\n"
	for i, name := range []string{harness.DNSAccount, harness.ControllerAccount} {
		template := harness.ShippedPods(t, harness.Rendered(t, harness.Base), name)
		for _, port := range template.Spec.Containers[0].Ports {
			pods += fmt.Sprintf("  - targets: [\"10.244.7.%d:%d\"]\n    labels:\n      __meta_kubernetes_pod_name: %s-x\n      __meta_kubernetes_pod_container_port_name: %s\n", i, port.ContainerPort, name, port.Name)
			for label, value := range template.Labels {
				pods += fmt.Sprintf("      __meta_kubernetes_pod_label_%s: %s\n", regexp.MustCompile(`[^a-zA-Z0-9_]`).ReplaceAllString(label, "_"), value)
			}
		}
	}
	pods += "  - targets: [\"10.244.7.9:9153\"]\n    labels: {__meta_kubernetes_pod_container_port_name: metrics}\n"
	prom := startPrometheus(t, strings.ReplaceAll(found.ReplaceAllLiteralString(config, pods), "/etc/prometheus/minilb/", t.TempDir()+"/"))
	want := []string{"minilb-controller minilb-controller-x 10.244.7.1:8080", "minilb-dns minilb-dns-x 10.244.7.0:9153"}
	cluster.Eventually(t, 20*time.Second, func() error {
		var targets struct {
			ActiveTargets []struct{ Labels map[string]string }
		}
		if err := prom.api("targets?state=active", &targets); err != nil {
			return err
		}
		var got []string
		for _, target := range targets.ActiveTargets {
			got = append(got, target.Labels["job"]+" "+target.Labels["pod"]+" "+target.Labels["instance"])
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("got targets %q, want %q", got, want)
		}
		return nil
	})
}
