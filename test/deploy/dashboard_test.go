package deploy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/minilb/minilb/test/harness"
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
	harness.Must(t, err)
	var d dashboard
	harness.Must(t, json.Unmarshal(text, &d))
	return d
}

// The dashboard can be imported anywhere: it names no data source, and no panel lies on another.
func TestDashboardForm(t *testing.T) {
	t.Parallel()
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
