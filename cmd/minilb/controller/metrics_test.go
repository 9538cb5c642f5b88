package controller

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/tools/cache"
)

// The gauges follow the watch and the conflicts, and the man page names all metrics.
func TestMetricsOfTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newTest(t, nil)
		registry := c.metrics()
		values := func() map[string]float64 {
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			values := map[string]float64{}
			for _, family := range families {
				values[family.GetName()] = family.GetMetric()[0].GetGauge().GetValue()
			}
			return values
		}
		expect := func(when, name string, want float64) {
			t.Helper()
			if got, ok := values()[name]; !ok || got != want {
				t.Errorf("%s: %s is %v, want %v", when, name, got, want)
			}
		}
		expect("before the first list", "minilb_watching", 0)
		c.services[0].Replace([]any{web(1, "")}, "1")
		expect("after the first list", "minilb_watching", 1)
		c.services[0].Observe(t.Context(), errors.New("connection refused"))
		expect("in an outage", "minilb_watching", 0)
		c.services[0].Observe(t.Context(), nil)
		expect("after an outage", "minilb_watching", 1)

		expect("before the write", "minilb_services_unwritten", 1)
		c.services[0].Update(web(2, "web.shop.minilb"))
		expect("after the write", "minilb_services_unwritten", 0)

		service := func(version string) *service {
			return &service{name: cache.ObjectName{Namespace: "shop", Name: "web"}, uid: "1", version: version}
		}
		c.conflicts.wrote(service("1"), "1")
		for _, version := range []string{"2", "3", "4", "5", "6"} {
			c.conflicts.overwritten(service(version))
		}
		expect("after five overwrites", "minilb_services_contested", 0)
		c.conflicts.overwritten(service("7"))
		expect("after six overwrites", "minilb_services_contested", 1)
		time.Sleep(10 * time.Minute)
		expect("after the pause", "minilb_services_contested", 0)

		manPage, err := os.ReadFile("../../../plugin/minilb/README.md")
		if err != nil {
			t.Fatal(err)
		}
		for name := range values() {
			if strings.HasPrefix(name, "minilb_") && !strings.Contains(string(manPage), "\n* `"+name) {
				t.Errorf("the man page does not document %s", name)
			}
		}
	})
}
