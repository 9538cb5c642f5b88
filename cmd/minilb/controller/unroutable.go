package controller

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
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
	// sweepTimeout is how long reading them may take.
	sweepTimeout = 5 * time.Minute
)

// sweeps decides when to look at all endpoints.
type sweeps struct {
	due   chan struct{} // holds a token when there are Services that no sweep has seen as they are
	delay time.Duration // sweepDelay

	mu    sync.Mutex
	known map[cache.ObjectName]*service // Services that are ours
}

func newSweeps() *sweeps {
	return &sweeps{due: make(chan struct{}, 1), known: map[cache.ObjectName]*service{}}
}

// gone takes note of a Service that is not ours, or no longer.
func (s *sweeps) gone(name cache.ObjectName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, name)
}

// seen takes note of a Service that is ours. One of which a sweep would tell the same is not new.
func (s *sweeps) seen(now *service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.known[now.name]
	s.known[now.name] = now
	if last != nil && last.uid == now.uid && slices.Equal(last.ports, now.ports) {
		return
	}
	select {
	case s.due <- struct{}{}:
	default:
	}
}

// findUnroutable looks at the endpoints of our Services until ctx ends: whether the routes lead there
// (R3), and which numbers named ports have (S5). It does so soon after a Service is new or has changed,
// but at most once in sweepInterval for that, and when nothing has made it for so long.
func (c *Controller) findUnroutable(ctx context.Context) {
	var asked time.Time // when it last did for a Service
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.sweeps.due:
			if !sleep(ctx, max(c.sweeps.delay, time.Until(asked.Add(sweepInterval)))) {
				return
			}
			asked = time.Now()
		case <-time.After(sweepInterval):
			if c.services.count() == 0 {
				continue
			}
		}
		if !c.atLeisure(ctx) {
			return
		}
		if err := c.sweep(ctx); err != nil {
			c.log.Debug("endpoints not looked at: " + err.Error())
		}
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
	example    routes.Endpoint
	ports      map[string]bool // that are not where clients expect them
}

// sweep looks at the endpoints of all our Services once.
func (c *Controller) sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	nodes, err := routes.Nodes(ctx, c.client)
	if err != nil {
		return err
	}
	pods := routes.NewPods(nodes)
	all := map[cache.ObjectName]*endpointsOf{} // of those with something wrong
	err = routes.EachSlice(ctx, c.client, func(slice *discoveryv1.EndpointSlice) {
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
		var findings []finding
		if e := all[name]; e != nil {
			findings = e.findings()
		}
		c.recorder.replace(endpointsTopic(name), findings)
		if s := c.services.get(name); s == nil || s.foreign { // it went meanwhile, and nothing else would forget what was found
			c.recorder.replace(endpointsTopic(name), nil)
		}
	}
	return nil
}

// findings returns what there is to tell of a Service's endpoints.
func (e *endpointsOf) findings() []finding {
	var findings []finding
	if len(e.ports) > 0 {
		var pairs []string
		for pair := range e.ports {
			pairs = append(pairs, pair)
		}
		slices.Sort(pairs)
		findings = append(findings, e.service.finding(reasonTargetPortMismatch, mismatched(pairs)))
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
	if len(e.example.PodCIDRs) == 0 {
		return where + fmt.Sprintf("on node %s, which has no podCIDR: %s", e.example.Node, routes.AllocateHint)
	}
	return where + fmt.Sprintf("outside %s of node %s: %s", join(e.example.PodCIDRs), e.example.Node, routes.StrayHint)
}

func join(cidrs []netip.Prefix) string {
	var all []string
	for _, cidr := range cidrs {
		all = append(all, cidr.String())
	}
	return strings.Join(all, " and ")
}

// endpointsTopic is under which what was found of a Service's endpoints is recorded.
func endpointsTopic(name cache.ObjectName) string { return "endpoints " + name.String() }
