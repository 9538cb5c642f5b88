package minilb

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
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
	Namespace: plugin.Namespace,
	Subsystem: pluginName,
	Name:      "requests_total",
	Help:      "Counter of queries by result.",
}, []string{"server", "result"})

var programmingDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
	Namespace: plugin.Namespace,
	Subsystem: pluginName,
	Name:      "programming_duration_seconds",
	Help:      "Time from the change of a pod or Service, by the timestamp in its EndpointSlice, until it was answered.",
	Buckets:   prometheus.ExponentialBuckets(0.001, 2, 18), // to two minutes
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
		Namespace:   plugin.Namespace,
		Subsystem:   pluginName,
		Name:        "build_info",
		Help:        "Always 1; the labels have the build.",
		ConstLabels: prometheus.Labels{"version": build.Version, "revision": build.Revision, "goversion": build.Go},
	})
	gauge.Set(1)
	return gauge
}()

// requestCounters holds the counters of the servers that an instance of the plugin answers in, one as
// a rule, so that no query looks them up under a lock.
type requestCounters struct {
	byServer atomic.Pointer[map[string]*[results]prometheus.Counter]
	mu       sync.Mutex // serializes additions
}

func (c *requestCounters) add(ctx context.Context, result int) {
	server := metrics.WithServer(ctx)
	if known := c.byServer.Load(); known != nil {
		if counters := (*known)[server]; counters != nil {
			counters[result].Inc()
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	grown := map[string]*[results]prometheus.Counter{}
	if known := c.byServer.Load(); known != nil {
		maps.Copy(grown, *known)
	}
	if grown[server] == nil {
		grown[server] = &[results]prometheus.Counter{}
		for i, name := range resultNames {
			grown[server][i] = requestsTotal.WithLabelValues(server, name)
		}
		c.byServer.Store(&grown)
	}
	grown[server][result].Inc()
}

// collector reports the state of the clusters that are watched now. Gauges that are set would keep the
// values of those that a reload has ended.
type collector struct{ *registry }

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

// Collect implements the prometheus.Collector interface. The numbers of several plugin blocks are
// added up; a source is synced if it is in all of them.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	running := c.all()
	if len(running) == 0 {
		return
	}
	synced, last := map[string]float64{}, map[string]float64{}
	names, endpoints, rejected := map[string]int{}, map[string]int{}, map[string]int{}
	for _, reason := range object.Reasons {
		rejected[reason] = 0
	}
	unreachable, age, kept := 0, time.Duration(0), false
	for _, cl := range running {
		if old, known := cl.watcher.SnapshotAge(); known {
			age, kept = max(age, old), true
		}
		for _, s := range cl.watcher.Status() {
			value := 0.0
			if s.Synced {
				value = 1
			}
			if before, ok := synced[s.Kind]; !ok || value < before {
				synced[s.Kind] = value
			}
			if !s.LastEvent.IsZero() {
				last[s.Kind] = max(last[s.Kind], float64(s.LastEvent.UnixMilli())/1000)
			}
		}
		for _, t := range cl.translators {
			stats := t.Stats()
			sum(names, stats.Names)
			sum(endpoints, stats.Endpoints)
			sum(rejected, stats.Rejected)
			unreachable += stats.Unreachable
		}
	}
	for kind, value := range synced {
		ch <- prometheus.MustNewConstMetric(syncedDesc, prometheus.GaugeValue, value, kind)
	}
	for kind, value := range last {
		ch <- prometheus.MustNewConstMetric(lastEventDesc, prometheus.GaugeValue, value, kind)
	}
	for desc, counts := range map[*prometheus.Desc]map[string]int{namesDesc: names, endpointsDesc: endpoints, rejectedDesc: rejected} {
		for label, value := range counts {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value), label)
		}
	}
	ch <- prometheus.MustNewConstMetric(unreachableDesc, prometheus.GaugeValue, float64(unreachable))
	if kept {
		ch <- prometheus.MustNewConstMetric(snapshotDesc, prometheus.GaugeValue, age.Seconds())
	}
}

func sum(total, add map[string]int) {
	for label, n := range add {
		total[label] += n
	}
}
