package translator

import (
	"cmp"
	"strings"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/endpoint"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// atOnce is up to how many endpoints and ports a Service's addresses are merged within the event of a slice. A larger Service,
// for which other events cannot wait, is merged aside, and its events coalesce meanwhile.
const atOnce = 2048

// update merges the addresses of an exposed Service, at once, or soon if it is large.
func (s *serviceState) update(service cache.ObjectName, triggered int64) {
	e := s.exposed[service]
	if e == nil {
		return
	}
	size := strings.Count(e.Named, ".")
	for _, slice := range s.slicesOf[service] {
		size += slice.Endpoints.Len() + len(slice.Ports)
	}
	s.due[service] = cmp.Or(triggered, s.due[service])
	if size <= atOnce {
		job := s.begin(service)
		job.merge(s.options)
		s.finish(job)
	}
}

// mergeJob merges the slices of a Service into its addresses.
type mergeJob struct {
	service   cache.ObjectName
	e         *exposedService
	ports     object.ServicePorts
	slices    []*object.EndpointSlice
	triggered int64
	usable    *endpoint.Usable // nil until they are merged
	states    endpoint.Counts
	unhealthy endpoint.Families // in which probes fail for all
	addrs     *records.Addresses
}

// begin returns the job of a Service that is due, nil if it is not, or no longer exposed. With probes it decides which
// endpoints are usable, as it updates the targets.
func (s *serviceState) begin(service cache.ObjectName) *mergeJob {
	triggered, due := s.due[service]
	delete(s.due, service)
	e := s.exposed[service]
	if e == nil || !due {
		return nil
	}
	job := &mergeJob{service: service, e: e, ports: e.ServicePorts, slices: s.slicesOf[service], triggered: triggered}
	if s.probing != nil {
		u, counts := endpoint.Of(job.slices)
		job.unhealthy = s.keepHealthy(service, e, &u, &counts)
		job.usable, job.states = &u, counts
	}
	e.job = job
	return job
}

func (job *mergeJob) merge(o *config.Options) {
	if job.usable == nil {
		u, counts := endpoint.Of(job.slices)
		job.usable, job.states = &u, counts
	}
	job.addrs = endpoint.Addresses(o, job.usable, job.ports)
}

// finish stores the addresses of a job, unless a later one has begun or the Service is no longer exposed, and names the Service
// after its first.
func (s *serviceState) finish(job *mergeJob) {
	e := job.e
	if e.job != job {
		return
	}
	e.job = nil
	if s.refresh(job) && job.triggered != 0 {
		s.observe(job.triggered)
	}
	if !e.populated {
		e.populated = true
		s.renamed[job.service] = true
	}
}

// refresh stores a Service's addresses in its sets and in its unions, and reports whether answers have changed.
func (s *serviceState) refresh(job *mergeJob) bool {
	e := job.e
	s.states.Add(e.states, -1)
	s.states.Add(job.states, 1)
	e.states = job.states
	before := e.addrs.Load()
	changed := e.addrs.Store(job.addrs)
	if !e.healthy.Store(job.healthy()) && !changed {
		return false
	}
	if changed {
		s.updateReverse(e, before, job.addrs)
	}
	if changed && e.named { // else that its names come counts as the change
		for _, name := range s.options.ServiceNames(job.service) {
			s.index.MarkChanged(s.index.Zone(name))
		}
	}
	for _, u := range s.unions[job.service] {
		switch {
		case u.addrs != nil:
			s.mergeUnion(u)
		case changed && e.named && !job.addrs.EqualAddresses(before):
			s.index.MarkChanged(u.zones...)
		}
	}
	return true
}

// healthy returns the addresses without those of families in which none is healthy.
func (job *mergeJob) healthy() *records.Addresses {
	if job.unhealthy == (endpoint.Families{}) {
		return job.addrs
	}
	healthy := *job.addrs
	if job.unhealthy[0] {
		healthy.V4 = nil
	}
	if job.unhealthy[1] {
		healthy.V6 = nil
	}
	return &healthy
}
