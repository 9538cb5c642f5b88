package controller

import (
	"cmp"
	"context"
	"fmt"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/cmd/minilb/controller/events"
	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
)

// serviceEndpoints are what a scan has found of a Service.
type serviceEndpoints struct {
	service    *service
	choice     podnetworks.Choice // of the pod networks
	unroutable int
	total      int
	example    routes.UnroutableEndpoint
	ports      sets.Set[string] // clauses about ports that clients must replace by another
	slices     int
	endpoints  int  // that slices have, in whatever state
	usable     int  // of them
	pod        pod  // that stands for all
	judged     bool // the pod by which the Service was judged is still there
}

// scanOnce records the problems of the endpoints of all Services that are answered.
func (c *Controller) scanOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	c.drains.prune(c.services)
	pods, choice, unread := c.routedPods(ctx)
	all := map[cache.ObjectName]*serviceEndpoints{} // of Services that have slices
	err := routes.EachSlice(ctx, c.client, func(slice *discoveryv1.EndpointSlice) {
		name := cache.NewObjectName(slice.Namespace, slice.Labels[discoveryv1.LabelServiceName])
		s := c.services.get(name)
		if !s.answered() {
			return
		}
		unroutable, total := pods.Unroutable(slice)
		e := all[name]
		if e == nil {
			e = &serviceEndpoints{service: s, ports: sets.New[string](), choice: choice}
			all[name] = e
		}
		e.add(slice)
		e.addPod(slice, c.drains.byService[name])
		e.total += total
		e.unroutable += len(unroutable)
		for _, endpoint := range unroutable { // the same whichever slice comes first
			if !e.example.Addr.IsValid() || endpoint.Addr.Less(e.example.Addr) {
				e.example = endpoint
			}
		}
		if len(slice.Endpoints) > 0 {
			e.ports.Insert(mismatches(s.namedPorts, slice.Ports)...)
		}
	})
	if err != nil {
		return err
	}
	c.readPods(ctx, all)
	for _, s := range c.services.list() {
		if !s.answered() {
			continue
		}
		name := s.name
		e := cmp.Or(all[name], &serviceEndpoints{service: s})
		problems := e.problems(unread == nil)
		if c.scan.starving(name, e.usable == 0 && !s.deleting) { // M5
			problems = append(problems, e.missing())
		}
		problems = append(problems, c.drains.problems(s)...)
		c.recorder.Replace(endpointsSource(name), problems)
		if !c.services.get(name).answered() { // it went meanwhile, and nothing else would forget its problems
			c.scan.changed(s, nil)
			c.recorder.Replace(endpointsSource(name), nil)
		}
	}
	return unread
}

// routedPods returns what compares endpoints with the routes to their nodes, and the provider of these.
func (c *Controller) routedPods(ctx context.Context) (routes.Pods, podnetworks.Choice, error) {
	nodes, err := routes.ListNodes(ctx, c.client)
	if err != nil {
		return nil, podnetworks.Choice{}, err
	}
	found, err := c.networks.Read(ctx, c.options.LAN.Provider)
	if err != nil {
		return nil, podnetworks.Choice{}, err
	}
	located := c.locate(ctx)
	lan, assigned, choice := located.Assign(nodes, found, nil)
	if !choice.Alone {
		pods, err := routes.ReadPods(ctx, c.client, nodes)
		if err != nil {
			return nil, choice, err
		}
		lan, assigned, choice = located.Assign(nodes, found, pods)
	}
	return lan.Pods(assigned), choice, nil
}

// add counts the endpoints of a slice (E2, E3, E6, M8).
func (e *serviceEndpoints) add(slice *discoveryv1.EndpointSlice) {
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

// missing returns why no address of the Service is answered (D18).
func (e *serviceEndpoints) missing() events.Problem {
	aspect, why := "none", "spec.selector matches no pod that has an address; compare it with the labels of the pods, and see that they run"
	switch {
	case e.endpoints == 1:
		aspect, why = "unready", "its only endpoint is not ready; kubectl describe of the pod shows which probe fails"
	case e.endpoints > 1: // how many changes
		aspect, why = "unready", fmt.Sprintf("none of its %d endpoints is ready; kubectl describe of a pod shows which probe fails", e.endpoints)
	case e.service.selects:
	case e.slices > 0:
		aspect, why = "bare", "it has no selector, and its EndpointSlices have no endpoints; add some, or give it a selector"
	default:
		aspect, why = "unselected", "it has no selector, and no EndpointSlice with addresses; give it a selector, "+
			"or create EndpointSlices with the label kubernetes.io/service-name"
	}
	p := e.service.problem(events.NoEndpoints, "No address is answered: "+why)
	p.Aspect = aspect
	return p
}

// problems returns those of a Service's endpoints. Whether routes lead there is unknown unless the nodes are known.
func (e *serviceEndpoints) problems(nodesKnown bool) []events.Problem {
	var all []events.Problem
	unknown := func(reason string) {
		p := e.service.problem(reason, "")
		p.Unknown = true
		all = append(all, p)
	}
	none := e.usable == 0 // then the problems of the last ones stay
	if none || !nodesKnown {
		unknown(events.NoRoutableEndpoint)
	}
	if none && len(e.service.namedPorts) > 0 {
		unknown(events.TargetPortMismatch)
	}
	all = append(all, e.service.mismatched(e.ports.UnsortedList())...)
	if e.unroutable > 0 {
		p := e.service.problem(events.NoRoutableEndpoint, e.describe())
		p.Aspect = "any" // the example changes with the pods
		all = append(all, p)
	}
	return all
}

func (e *serviceEndpoints) describe() string {
	which := "some endpoints"
	if e.unroutable == e.total {
		which = "any endpoint"
	}
	where := fmt.Sprintf("The routes do not lead to %s, for example %s, which is ", which, e.example.Addr)
	switch {
	case e.example.Problem != "":
		return where + fmt.Sprintf("on node %s, and there is no route: %s", e.example.Node, e.example.Problem)
	case len(e.example.PodCIDRs) == 0:
		return where + fmt.Sprintf("on node %s, which has no %s: %s", e.example.Node, e.choice.Provider.Noun(), routes.AllocateHint(e.choice))
	}
	return where + fmt.Sprintf("outside %s of node %s: %s", e.example.PodCIDRs, e.example.Node, routes.OutsideHint(e.choice))
}

func endpointsSource(name cache.ObjectName) string { return "endpoints " + name.String() }
