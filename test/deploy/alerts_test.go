package deploy_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/test/harness"
)

// rule is an entry of deploy/prometheus/rules.yaml.
type rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      map[string]string
}

func readRules(t *testing.T) []rule {
	t.Helper()
	text, err := os.ReadFile("../../deploy/prometheus/rules.yaml")
	harness.Must(t, err)
	var file struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	harness.Must(t, yaml.UnmarshalStrict(text, &file))
	var all []rule
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// The rules are right by Prometheus' own tool, and fire when rules_test.yaml says.
func TestRules(t *testing.T) {
	t.Parallel()
	promtool := harness.Program(t, "promtool", "prometheus")
	for _, args := range [][]string{
		{"check", "rules", "../../deploy/prometheus/rules.yaml"},
		{"test", "rules", "../../deploy/prometheus/rules_test.yaml"},
	} {
		if out, err := harness.Run(t, promtool, args...); err != nil {
			t.Error(err)
		} else if !strings.Contains(out, "SUCCESS") {
			t.Errorf("promtool %q said %q", args, out)
		}
	}
}

var labelOfAlert = regexp.MustCompile(`\$labels\.(\w+)`)

// Each alert says what is wrong, what it means and what to do, with labels that it has; it is
// documented, and there are tests in which it fires and in which it does not.
func TestAlerts(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/prometheus/rules_test.yaml")
	harness.Must(t, err)
	var tests struct {
		Tests []struct {
			Checks []struct {
				Expr    string
				Samples []struct{ Labels string } `json:"exp_samples"`
			} `json:"promql_expr_test"`
		}
	}
	harness.Must(t, yaml.Unmarshal(text, &tests))
	fires, silent := map[string]string{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, check := range test.Checks {
			if len(check.Samples) == 0 {
				silent[check.Expr] = true
			} else {
				fires[check.Expr] = check.Samples[0].Labels
			}
		}
	}
	readme, err := os.ReadFile("../../deploy/prometheus/README.md")
	harness.Must(t, err)
	alerts := 0
	for _, r := range readRules(t) {
		if r.Record != "" {
			if fires[r.Record] == "" {
				t.Errorf("%s: no test has a value of it", r.Record)
			}
			continue
		}
		alerts++
		expr := `ALERTS{alertname="` + r.Alert + `", alertstate="firing"}`
		if fires[expr] == "" || !silent[expr] {
			t.Errorf("%s: tests in which it fires: %v, in which it does not: %v", r.Alert, fires[expr] != "", silent[expr])
		}
		severity := r.Labels["severity"]
		if !slices.Contains([]string{"critical", "warning", "info"}, severity) || len(r.Labels) != 1 {
			t.Errorf("%s: got labels %v", r.Alert, r.Labels)
		}
		if !strings.Contains(string(readme), "| `"+r.Alert+"` | "+severity+" | ") {
			t.Errorf("%s: README.md does not list it with severity %s", r.Alert, severity)
		}
		for _, name := range []string{"summary", "description", "action"} {
			annotation := r.Annotations[name]
			if !strings.HasSuffix(annotation, ".") || strings.Contains(annotation, "\n") {
				t.Errorf("%s: its %s is %q, want sentences in one line", r.Alert, name, annotation)
			}
			for _, label := range labelOfAlert.FindAllStringSubmatch(annotation, -1) {
				if !strings.Contains(fires[expr], " "+label[1]+`="`) {
					t.Errorf("%s: its %s names the label %s, which it does not have", r.Alert, name, label[1])
				}
			}
		}
	}
	if listed := strings.Count(string(readme), "\n| `Minilb"); listed != alerts {
		t.Errorf("README.md lists %d alerts, want %d", listed, alerts)
	}
}

// evaluateRules returns an error unless Prometheus has loaded all these rules, and there is what
// they read and record.
func evaluateRules(prom *prometheus, all []rule) error {
	var loaded struct {
		Groups []struct {
			Rules []struct{ Name, Query, Type, Health, LastError string }
		}
	}
	if err := prom.api("rules", &loaded); err != nil {
		return err
	}
	n := 0
	var errs []error
	for _, group := range loaded.Groups {
		for _, rule := range group.Rules {
			n++
			if rule.Health != "ok" {
				errs = append(errs, fmt.Errorf("%s: %s %s", rule.Name, rule.Health, rule.LastError))
			}
			if rule.Type == "recording" {
				_, err := prom.query(rule.Name)
				errs = append(errs, err)
			}
			errs = append(errs, prom.reads(rule.Query))
		}
	}
	if n != len(all) {
		errs = append(errs, fmt.Errorf("%d rules are loaded, want %d", n, len(all)))
	}
	return errors.Join(errs...)
}
