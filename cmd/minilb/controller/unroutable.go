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
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/cmd/minilb/routes"
)

const (
	// sweepDelay is after what time the endpoints of a new Service are looked at: its pods have started by then.
	sweepDelay = 30 * time.Second
	// sweepInterval is how often all endpoints are looked at, at most. In a cluster that does not
	// change, in which nothing is wrong and no Service waits for endpoints, they are not looked at again.
	sweepInterval = 10 * time.Minute
	// sweepTimeout is how long reading them may take.
	sweepTimeout = 5 * time.Minute
)

// sweeps decides when to look at all endpoints.
type sweeps struct {
	due chan struct{} // holds a token when there are Services that no sweep has seen

	mu    sync.Mutex
	known map[cache.ObjectName]types.UID // Services that are ours
}

func newSweeps() *sweeps {
	return &sweeps{due: make(chan struct{}, 1), known: map[cache.ObjectName]types.UID{}}
}

// gone takes note of a Service that is not ours, or no longer.
func (s *sweeps) gone(name cache.ObjectName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, name)
}

// seen takes note of a Service that is ours.
func (s *sweeps) seen(name cache.ObjectName, uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[name] == uid {
		return
	}
	s.known[name] = uid
	select {
	case s.due <- struct{}{}:
	default:
	}
}

// findUnroutable looks at the endpoints of our Services until ctx ends: whether the routes lead there
// (R3), and which numbers named ports have (S5).
func (c *Controller) findUnroutable(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.sweeps.due:
		}
		if !sleep(ctx, sweepDelay) || !c.atLeisure(ctx) {
			return
		}
		for {
			unsettled, err := c.sweep(ctx)
			if err != nil {
				c.log.Debug("endpoints not looked at: " + err.Error())
			}
			if !sleep(ctx, sweepInterval) {
				return
			}
			if err == nil && !unsettled {
				break // wait for another Service
			}
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

// sweep looks at the endpoints of all our Services once, and reports whether anything is wrong, or
// may yet turn out to be, as a Service has no endpoints.
func (c *Controller) sweep(ctx context.Context) (unsettled bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	nodes, err := routes.Nodes(ctx, c.client)
	if err != nil {
		return false, err
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
		return false, err
	}
	for _, name := range c.services.names() {
		var findings []finding
		e := all[name]
		if e != nil {
			findings = e.findings()
		}
		c.recorder.replace(endpointsTopic(name), findings)
		if c.services.get(name) == nil { // it went meanwhile, and nothing else would forget what was found
			c.recorder.replace(endpointsTopic(name), nil)
		}
		unsettled = unsettled || len(findings) > 0 || e == nil || e.total == 0
	}
	return unsettled, nil
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
