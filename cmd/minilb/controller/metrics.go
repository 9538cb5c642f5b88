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

// newEventsWritten returns the counter of Events with a series for each reason at zero.
func newEventsWritten() *prometheus.CounterVec {
	written := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "minilb_controller_events_total",
		Help: "Events that were written, by reason.",
	}, []string{"reason"})
	for _, reason := range []string{
		reasonStatusUpdated, reasonStatusConflict, reasonTargetPortMismatch, reasonNoRoutableEndpoint, reasonNoEndpoints, reasonWrongClass, reasonInvalidHost, reasonTooManyHosts,
		reasonInvalidObject, reasonHostConflict, reasonHostReserved, reasonHostNotAllowed, reasonHostNotServed, reasonHostNotice, reasonAnnotationIgnored, reasonResolved,
	} {
		written.WithLabelValues(reason)
	}
	for _, field := range unsupported {
		written.WithLabelValues(reasonUnsupported + field.name)
	}
	return written
}

func newEventsFailed() prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{
		Name: "minilb_controller_event_errors_total",
		Help: "Events that the API server did not take.",
	})
}

// metrics returns everything that is measured.
func (c *Controller) metrics() *prometheus.Registry {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "minilb_build_info",
		Help:        "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": c.options.Version, "revision": c.options.Revision, "goversion": runtime.Version()},
	})
	build.Set(1)
	registry := prometheus.NewRegistry()
	gauge := func(name, help string, value func() int) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) }))
	}
	gauge("minilb_watching", "Whether Services are listed and watched; 0 while the API server cannot be reached or refuses.", c.watching)
	gauge("minilb_services", "Services whose status is ours to write.", c.services.count)
	gauge("minilb_services_unwritten", "Services among them whose status does not say yet what it should.", c.services.unwritten)
	gauge("minilb_services_contested", "Services that are left alone for ten minutes, as another controller keeps overwriting their status.", c.contests.paused)
	registry.MustRegister(c.writes, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if r := c.recorder; r != nil {
		gauge("minilb_controller_findings", "What Events tell of at present, or are about to.", r.count)
		registry.MustRegister(r.written, r.failed)
	}
	return registry
}

// watching returns 1 while the Services are known and nothing is wrong with their watch, else 0.
func (c *Controller) watching() int {
	if c.services.synced.Load() && c.complaints.last(watching) == "" {
		return 1
	}
	return 0
}
