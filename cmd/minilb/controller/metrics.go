package controller

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// The values of the label result of minilb_status_writes_total.
const (
	resultSuccess = "success"
	resultDropped = "dropped" // the Service was gone, re-created or of another type by then; not retried
	resultError   = "error"   // retried
)

// newWrites returns the counter with all its series at zero.
func newWrites() *prometheus.CounterVec {
	writes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "minilb_status_writes_total",
		Help: "Writes of a Service's status by result: success, dropped (the Service had changed meanwhile), error (retried).",
	}, []string{"result"})
	for _, result := range []string{resultSuccess, resultDropped, resultError} {
		writes.WithLabelValues(result)
	}
	return writes
}

func (c *Controller) metrics() *prometheus.Registry {
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "minilb_build_info",
		Help:        "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": c.options.Version, "revision": c.options.Revision, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
	registry := prometheus.NewRegistry()
	gauge := func(name, help string, value func() int) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) }))
	}
	gauge("minilb_watching", "Whether Services are listed and watched; 0 while the API server cannot be reached or refuses.", func() int {
		if c.services.known() && c.watchFailure() == nil {
			return 1
		}
		return 0
	})
	gauge("minilb_services", "Services whose status is ours to write.", func() int { return c.count((*service).ours) })
	gauge("minilb_services_unwritten", "Services among them that do not have the status yet that they should.", func() int { return c.count((*service).unwritten) })
	gauge("minilb_services_contested", "Services that are left alone for ten minutes, as another controller keeps overwriting their status.", c.conflicts.paused)
	registry.MustRegister(c.writes, build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if c.recorder != nil {
		registry.MustRegister(c.recorder.Collectors()...)
	}
	return registry
}

// count returns how many Services are so.
func (c *Controller) count(is func(*service) bool) int {
	n := 0
	for _, s := range c.services.list() {
		if is(s) {
			n++
		}
	}
	return n
}
