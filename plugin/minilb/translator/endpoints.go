package translator

import (
	"cmp"
	"slices"
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
	s.changes++
	size := strings.Count(e.Named, ".")
	for _, slice := range s.slicesOf[service] {
		size += slice.Endpoints.Len() + len(slice.Ports)
	}
	if size > atOnce {
		s.due[service] = cmp.Or(triggered, s.due[service])
		return
	}
	delete(s.due, service)
	job := s.begin(service, e, triggered)
	job.merge(s.options)
	s.finish(job)
}

// mergeJob merges the slices of a Service into its addresses.
type mergeJob struct {
	service   cache.ObjectName
	e         *exposedService
	ports     object.ServicePorts
	slices    []*object.EndpointSlice
	asOf      uint64 // the last change that it knows
	triggered int64
	usable    *endpoint.Usable // nil until they are merged
	states    endpoint.Counts
	addrs     *records.Addresses
}

// begin returns the job of an exposed Service. With probes it decides which endpoints are usable, as it updates the targets.
func (s *serviceState) begin(service cache.ObjectName, e *exposedService, triggered int64) *mergeJob {
	job := &mergeJob{service: service, e: e, ports: e.ServicePorts, slices: s.slicesOf[service], asOf: s.changes, triggered: triggered}
	if s.probing != nil {
		u, counts := endpoint.Of(job.slices)
		s.keepHealthy(service, e, &u, &counts)
		job.usable, job.states = &u, counts
	}
	return job
}

// takeDue returns the job of a Service that is due, nil if it is not, or no longer exposed.
func (s *serviceState) takeDue(service cache.ObjectName) *mergeJob {
	triggered, due := s.due[service]
	delete(s.due, service)
	e := s.exposed[service]
	if e == nil || !due {
		return nil
	}
	job := s.begin(service, e, triggered)
	job.slices = slices.Clone(job.slices)
	return job
}

func (job *mergeJob) merge(o *config.Options) {
	if job.usable == nil {
		u, counts := endpoint.Of(job.slices)
		job.usable, job.states = &u, counts
	}
	job.addrs = endpoint.Addresses(o, job.usable, job.ports)
}

// finish stores the addresses of a job, unless a later one is finished, and names the Service after its first.
func (s *serviceState) finish(job *mergeJob) {
	e := job.e
	if s.exposed[job.service] != e || e.asOf > job.asOf {
		return
	}
	e.asOf = job.asOf
	if s.refresh(job.service, e, job.addrs, job.states) && job.triggered != 0 {
		s.observe(job.triggered)
	}
	if !e.populated {
		e.populated = true
		s.renamed[job.service] = true
	}
}
