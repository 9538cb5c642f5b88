package controller

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// The values of the label result of minilb_status_writes_total.
const (
	// resultSuccess: the API server has taken the status.
	resultSuccess = "success"
	// resultDropped: the Service was gone, re-created or of another type by then; not retried.
	resultDropped = "dropped"
	// resultError: anything else; retried.
	resultError = "error"
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

// metrics returns everything that is measured.
func (c *Controller) metrics() *prometheus.Registry {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "minilb_build_info",
		Help:        "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": c.options.Version, "goversion": runtime.Version()},
	})
	build.Set(1)
	ours := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "minilb_services",
		Help: "Services whose status is ours to write.",
	}, func() float64 { return float64(c.services.count()) })

	registry := prometheus.NewRegistry()
	registry.MustRegister(c.writes, ours, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}
