package events

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/minilb/minilb/cmd/minilb/reasons"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// newWritten returns the counter of Events with a series for each reason at zero.
func newWritten() *prometheus.CounterVec {
	written := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "minilb_controller_events_total",
		Help: "Events that were written, by reason.",
	}, []string{"reason"})
	own := []string{StatusUpdated, StatusConflict, TargetPortMismatch, NoRoutableEndpoint, NoEndpoints, NoDrainTime, WrongClass, Resolved}
	for _, reason := range own {
		written.WithLabelValues(reason)
	}
	for _, field := range lb.UnsupportedFields {
		written.WithLabelValues(field.Reason)
	}
	for _, reason := range reasons.OfClaims {
		written.WithLabelValues(reason.Name)
	}
	return written
}

// Collectors returns the metrics.
func (r *Recorder) Collectors() []prometheus.Collector {
	return []prometheus.Collector{r.written, r.failed, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "minilb_controller_findings",
		Help: "Problems that have an Event or are to have one.",
	}, func() float64 { return float64(len(r.Problems())) })}
}
