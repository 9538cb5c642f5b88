package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/cmd/minilb/routes"
)

// sweepDelay is after what time the endpoints of a new or changed Service are looked at: its pods have
// started by then. It is a variable for tests, which set it when they link.
var sweepDelay = "30s"

const (
	// sweepInterval is how often all endpoints are looked at while there are Services of ours: nothing else
	// tells that a node has lost its podCIDRs, or that pods have moved. What is wrong is told within ten
	// minutes, of which sweepDelay may pass, and some seconds for reading and writing. At 10,000 Services
	// with 10 endpoints each it takes a third of a second of CPU, 0.6 millicores.
	sweepInterval = 9 * time.Minute
	// sweepShare is the part of the time that looks for the sake of new Services may take: a look that took a
	// third of a second is not followed by another one for six minutes.
	sweepShare = 1000
	// sweepTimeout is how long reading them may take.
	sweepTimeout = 5 * time.Minute
)

// sweeps decides when to look at all endpoints.
type sweeps struct {
	due   chan struct{} // holds a token when there are Services that no sweep has seen as they are
	delay time.Duration // sweepDelay

	mu    sync.Mutex
	known map[cache.ObjectName]*service  // Services that are ours
	empty map[cache.ObjectName]time.Time // since when they have no endpoint, as far as is known
	next  time.Duration                  // after what time to look again if nothing is new
}

func newSweeps() *sweeps {
	return &sweeps{due: make(chan struct{}, 1), known: map[cache.ObjectName]*service{}, empty: map[cache.ObjectName]time.Time{}, next: sweepInterval}
}

// gone takes note of a Service that is not ours, or no longer.
func (s *sweeps) gone(name cache.ObjectName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, name)
	delete(s.empty, name)
}

// seen takes note of a Service that is ours. One of which a sweep would tell the same is not new.
func (s *sweeps) seen(now *service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.known[now.name]
	s.known[now.name] = now
	if last == nil || last.uid != now.uid {
		s.empty[now.name] = time.Now()
	}
	if last == nil || last.uid != now.uid || !slices.Equal(last.ports, now.ports) {
		s.again()
	}
}

// again lets all endpoints be looked at soon.
func (s *sweeps) again() {
	select {
	case s.due <- struct{}{}:
	default:
	}
}

// starves reports whether a Service of which a look has seen no endpoint has had none for sweepDelay: pods are
// replaced all the time. It lets the next look be soon, to tell that there are none, or, when it has had none for twice as
// long, that there are again.
func (s *sweeps) starves(name cache.ObjectName) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[name] == nil {
		return false
	}
	since, empty := s.empty[name]
	if !empty {
		s.empty[name] = time.Now()
	}
	if !empty || time.Since(since) < s.delay {
		s.again()
		return false
	}
	s.next = min(s.next, time.Since(since))
	return true
}

// pause returns after what time to look again if nothing is new, as of the last look, and begins another one.
func (s *sweeps) pause() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.next
	s.next = sweepInterval
	return next
}

// fed takes note of a Service of which a look has seen an endpoint.
func (s *sweeps) fed(name cache.ObjectName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.empty, name)
}

// findUnroutable looks at the endpoints of our Services until ctx ends: whether the routes lead there
// (R3), whether there are any (D18), and which numbers named ports have (S5). It does so soon after a Service
// is new or has changed, as often as sweepShare allows, and when nothing has made it for sweepInterval.
func (c *Controller) findUnroutable(ctx context.Context) {
	var ended time.Time // of the last one
	var took time.Duration
	for {
		rest := min(max(2*c.sweeps.delay, sweepShare*took), sweepInterval)
		pause := max(rest, c.sweeps.pause())
		select {
		case <-ctx.Done():
			return
		case <-c.sweeps.due:
			if !sleep(ctx, max(c.sweeps.delay, time.Until(ended.Add(rest)))) {
				return
			}
		case <-time.After(pause):
			if c.services.count() == 0 {
				continue
			}
		}
		if !c.atLeisure(ctx) {
			return
		}
		began := time.Now()
		if err := c.sweep(ctx); err != nil {
			c.log.Debug("endpoints not looked at: " + err.Error())
		}
		ended = time.Now()
		took = ended.Sub(began)
	}
}

// sleep waits, and reports whether ctx still lasts.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// endpointsOf is what was found of a Service's endpoints.
type endpointsOf struct {
	service    *service
	unroutable int
	total      int
	example    routes.UnroutableEndpoint
	ports      map[string]bool // that are not where clients expect them
	slices     int
	endpoints  int // that slices have, in whatever state
	usable     int // of them
}

// sweep looks at the endpoints of all our Services once.
func (c *Controller) sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	nodes, unread := routes.Nodes(ctx, c.client)
	lan, unlocated := c.options.LAN.Locate(ctx, c.client)
	if unlocated != nil {
		c.log.Debug(unlocated.Error())
	}
	pods := lan.Pods(nodes)
	all := map[cache.ObjectName]*endpointsOf{} // of those that have slices
	err := routes.EachSlice(ctx, c.client, func(slice *discoveryv1.EndpointSlice) {
		name := cache.NewObjectName(slice.Namespace, slice.Labels[discoveryv1.LabelServiceName])
		s := c.services.get(name)
		if s == nil || s.foreign {
			return
		}
		unroutable, total := pods.Unroutable(slice)
		e := all[name]
		if e == nil {
			e = &endpointsOf{service: s, ports: map[string]bool{}}
			all[name] = e
		}
		e.add(slice)
		e.total += total
		e.unroutable += len(unroutable)
		for _, endpoint := range unroutable { // the same whichever slice comes first
			if !e.example.Addr.IsValid() || endpoint.Addr.Less(e.example.Addr) {
				e.example = endpoint
			}
		}
		if len(slice.Endpoints) > 0 {
			for _, text := range mismatches(s.ports, slice.Ports) {
				e.ports[text] = true
			}
		}
	})
	if err != nil {
		return err
	}
	for _, name := range c.services.names() {
		s := c.services.get(name)
		if s == nil || s.foreign {
			continue
		}
		e := all[name]
		if e == nil {
			e = &endpointsOf{service: s}
		}
		findings := e.findings(unread == nil)
		if e.usable > 0 || s.deleting { // M5
			c.sweeps.fed(name)
		} else if c.sweeps.starves(name) {
			findings = append(findings, e.missing())
		}
		c.recorder.replace(endpointsTopic(name), findings)
		if s := c.services.get(name); s == nil || s.foreign { // it went meanwhile, and nothing else would forget what was found
			c.recorder.replace(endpointsTopic(name), nil)
		}
	}
	return unread
}

// add counts the endpoints of a slice (E2, E3, E6, M8).
func (e *endpointsOf) add(slice *discoveryv1.EndpointSlice) {
	if !routes.Addressed(slice) {
		return
	}
	e.slices++
	e.endpoints += len(slice.Endpoints)
	for i := range slice.Endpoints {
		if routes.Usable(slice.Endpoints[i].Conditions) {
			e.usable++
		}
	}
}

// missing says why no address of the Service is answered (D18).
func (e *endpointsOf) missing() finding {
	f := e.service.finding(reasonNoEndpoints, "No address is answered: spec.selector matches no pod that has an address; compare it with the labels of the pods, and see that they run")
	f.aspect = "none"
	switch {
	case e.endpoints > 0:
		f.aspect = "unready" // how many there are changes
		f.note = fmt.Sprintf("No address is answered: none of its %d endpoints is ready; kubectl describe of a pod tells which probe fails", e.endpoints)
		if e.endpoints == 1 {
			f.note = "No address is answered: its only endpoint is not ready; kubectl describe of the pod tells which probe fails"
		}
	case e.service.selects:
	case e.slices > 0:
		f.aspect = "bare"
		f.note = "No address is answered: it has no selector, and its EndpointSlices have no endpoints; add some, or give it a selector"
	default:
		f.aspect = "unselected"
		f.note = "No address is answered: it has no selector, and no EndpointSlice with addresses; give it a selector, or make EndpointSlices with the label kubernetes.io/service-name"
	}
	return f
}

// findings returns what there is to tell of a Service's endpoints. Without the nodes nobody can tell what leads there.
func (e *endpointsOf) findings(nodes bool) []finding {
	var findings []finding
	unsure := func(reason string) {
		f := e.service.finding(reason, "")
		f.unsure = true
		findings = append(findings, f)
	}
	none := e.usable == 0 // what they were is as it was, until there are some
	if none || !nodes {
		unsure(reasonNoRoutableEndpoint)
	}
	if none && len(e.service.ports) > 0 {
		unsure(reasonTargetPortMismatch)
	}
	if len(e.ports) > 0 {
		findings = append(findings, e.service.mismatched(slices.Collect(maps.Keys(e.ports)))...)
	}
	if e.unroutable > 0 {
		f := e.service.finding(reasonNoRoutableEndpoint, e.describe())
		f.aspect = "any" // the example changes with the pods
		findings = append(findings, f)
	}
	return findings
}

func (e *endpointsOf) describe() string {
	which := "some endpoints"
	if e.unroutable == e.total {
		which = "any endpoint"
	}
	where := fmt.Sprintf("The routes do not lead to %s, for example %s, which is ", which, e.example.Addr)
	if e.example.Problem != "" {
		return where + fmt.Sprintf("on node %s, and there is no route: %s", e.example.Node, e.example.Problem)
	}
	if len(e.example.PodCIDRs) == 0 {
		return where + fmt.Sprintf("on node %s, which has no podCIDR: %s", e.example.Node, routes.AllocateHint)
	}
	return where + fmt.Sprintf("outside %s of node %s: %s", e.example.PodCIDRs, e.example.Node, routes.PodCIDRHint)
}

// endpointsTopic is under which what was found of a Service's endpoints is recorded.
func endpointsTopic(name cache.ObjectName) string { return "endpoints " + name.String() }
