package translator

import (
	"cmp"
	"maps"
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
	excluded  map[string]bool // nodes
	standing  standing
	addrs     *records.Addresses
}

// standing is how good the addresses are that a Service is answered with, by family, 0 for the best: a host that leads to several
// Services is answered with the best ones alone (G43, L6).
type standing [2]uint8

const (
	allSuspect  = 1 << iota // probes fail for all
	allExcluded             // all are on excluded nodes (L6)
)

func (s *standing) add(families endpoint.Families, reason uint8) {
	for f, is := range families {
		if is {
			s[f] += reason
		}
	}
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
	job := &mergeJob{service: service, e: e, ports: e.ServicePorts, slices: s.slicesOf[service], triggered: triggered, excluded: s.excluded}
	if s.probing != nil {
		job.choose()
		job.standing.add(s.keepHealthy(service, e, job.usable, &job.states), allSuspect)
	}
	e.job = job
	return job
}

// choose finds the usable endpoints, without those on excluded nodes.
func (job *mergeJob) choose() {
	u, counts := endpoint.Of(job.slices)
	job.standing.add(u.Exclude(job.excluded, &counts), allExcluded)
	job.usable, job.states = &u, counts
}

func (job *mergeJob) merge(o *config.Options) {
	if job.usable == nil {
		job.choose()
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
	changed, now := e.addrs.Store(job.addrs), job.standing
	if *e.standing.Swap(&now) == now && !changed {
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

// exclude makes the endpoints of a node be answered only where there is no other, or no longer so (L6).
func (s *serviceState) exclude(node string, excluded bool) {
	nodes := maps.Clone(s.excluded) // jobs read it meanwhile
	if nodes[node] = excluded; !excluded {
		delete(nodes, node)
	}
	s.excluded = nodes
	for service := range s.exposed {
		if slices.ContainsFunc(s.slicesOf[service], func(of *object.EndpointSlice) bool { return slices.Contains(of.Endpoints.Nodes, node) }) {
			s.update(service, 0)
		}
	}
}
