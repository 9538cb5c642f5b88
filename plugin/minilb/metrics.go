package minilb

import (
	"context"
	"sync"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/version"
)

// Values of the label result of requests_total.
const (
	success = iota
	nodata
	nxdomain
	servfail
	passed
	results
)

var resultNames = [results]string{"success", "nodata", "nxdomain", "servfail", "passed"}

func outcome(reply *dns.Msg) int {
	switch {
	case reply.Rcode == dns.RcodeNameError:
		return nxdomain
	case reply.Rcode != dns.RcodeSuccess:
		return servfail
	case len(reply.Answer) == 0:
		return nodata
	}
	return success
}

var requestsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: plugin.Namespace, Subsystem: pluginName,
	Name: "requests_total",
	Help: "Counter of queries by result.",
}, []string{"server", "result"})

var programmingDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
	Namespace: plugin.Namespace, Subsystem: pluginName,
	Name:    "programming_duration_seconds",
	Help:    "Time from the change of a pod or Service, by the timestamp in its EndpointSlice, until it was answered.",
	Buckets: prometheus.ExponentialBuckets(0.001, 2, 18), // to two minutes
}, []string{"kind"})

// observeProgramming counts a change that is answered d after it was made. The clock of this machine
// may be behind the API server's: a negative d counts as 0, as a sum of durations cannot shrink.
func observeProgramming(d time.Duration) {
	programmingDuration.WithLabelValues("endpointslice").Observe(max(0, d).Seconds())
}

// buildInfo has the version of minilb; the server's own coredns_build_info has CoreDNS's.
var buildInfo = func() prometheus.Gauge {
	build := version.Current()
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: plugin.Namespace, Subsystem: pluginName, Name: "build_info",
		Help:        "Always 1; the labels have the build.",
		ConstLabels: prometheus.Labels{"version": build.Version, "revision": build.Revision, "goversion": build.Go},
	})
	gauge.Set(1)
	return gauge
}()

// requestCounters holds the counters by server, mostly one, so that no query looks them up under a lock.
type requestCounters struct{ sync.Map }

func (c *requestCounters) add(ctx context.Context, result int) {
	server := metrics.WithServer(ctx)
	known, ok := c.Load(server)
	if !ok {
		counters := &[results]prometheus.Counter{}
		for i, name := range resultNames {
			counters[i] = requestsTotal.WithLabelValues(server, name)
		}
		known, _ = c.LoadOrStore(server, counters)
	}
	known.(*[results]prometheus.Counter)[result].Inc()
}

// collector reports the state of the running clusters. Gauges that are set would keep the values of those that a reload ended.
type collector struct{}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(plugin.Namespace, pluginName, name), help, labels, nil)
}

var (
	syncedDesc      = describe("synced", "Whether all objects of the source have been read from the API server.", "source")
	lastEventDesc   = describe("last_event_timestamp_seconds", "When the API server last sent anything about the source, as unix time.", "source")
	namesDesc       = describe("names", "Number of names that are answered, by kind of their object.", "kind")
	endpointsDesc   = describe("endpoints", "Number of endpoints of the Services that are served, by state.", "state")
	rejectedDesc    = describe("claims_rejected", "Number of claims on hosts that are rejected now, by reason.", "reason")
	snapshotDesc    = describe("snapshot_age_seconds", "Age of the state in the snapshot.")
	unreachableDesc = describe("claims_unreachable", "Number of claimed hosts that no server block with minilb covers.")
)

// Describe implements the prometheus.Collector interface.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{syncedDesc, lastEventDesc, namesDesc, endpointsDesc, rejectedDesc, unreachableDesc, snapshotDesc} {
		ch <- desc
	}
}

// Collect implements the prometheus.Collector interface. It adds up all blocks; a source is synced if it is in all of them.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	running := clusters.all()
	if len(running) == 0 {
		return
	}
	type series struct {
		desc  *prometheus.Desc
		label string // "" for none
	}
	values := map[series]float64{{unreachableDesc, ""}: 0}
	for _, reason := range object.Reasons {
		values[series{rejectedDesc, reason}] = 0
	}
	for _, cl := range running {
		if age, known := cl.translators.Snapshot.Age(); known {
			s := series{snapshotDesc, ""}
			values[s] = max(values[s], age.Seconds())
		}
		for _, status := range cl.translators.Status() {
			synced, last := series{syncedDesc, status.Kind}, series{lastEventDesc, status.Kind}
			if _, known := values[synced]; !status.Synced {
				values[synced] = 0
			} else if !known {
				values[synced] = 1
			}
			if !status.LastEvent.IsZero() {
				values[last] = max(values[last], float64(status.LastEvent.UnixMilli())/1000)
			}
		}
		for _, t := range cl.blocks {
			stats := t.Stats()
			values[series{unreachableDesc, ""}] += float64(stats.Unreachable)
			for desc, counts := range map[*prometheus.Desc]map[string]int{
				namesDesc: stats.Names, endpointsDesc: stats.Endpoints, rejectedDesc: stats.Rejected,
			} {
				for label, n := range counts {
					values[series{desc, label}] += float64(n)
				}
			}
		}
	}
	for s, value := range values {
		var labels []string
		if s.label != "" {
			labels = append(labels, s.label)
		}
		ch <- prometheus.MustNewConstMetric(s.desc, prometheus.GaugeValue, value, labels...)
	}
}
