package translator

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/endpoint"
	"github.com/minilb/minilb/plugin/minilb/gateway"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// View is what a Translator has made of the objects. It does not change once the Translator does not run.
type View struct {
	translator *Translator
	Options    *config.Options
	Resolver   *claim.Resolver
	Routes     *gateway.Routes
	Hosts      map[string]*records.Node // of claims, where no Service's name is; nil or Transparent for names that only block wildcards
	Objects    []object.Problem         // problems of Gateways and the like
}

// View publishes what was read and returns it. The Translator must not run.
func (t *Translator) View() *View {
	t.services.mergeDue()
	t.publish()
	return &View{t, t.options, t.resolver, t.routes, t.last.hosts, t.objects}
}

// Problems returns those of claims, objects and EndpointSlices.
func (v *View) Problems() []object.Problem {
	all := slices.Concat(v.Resolver.Problems(), v.Objects, v.translator.last.slices)
	for _, h := range v.translator.last.resolved {
		if h.uncovered != nil {
			all = append(all, *h.uncovered)
		}
	}
	return all
}

// Ingresses yields the claims of Ingresses.
func (v *View) Ingresses() iter.Seq[*claim.Claim] {
	return func(yield func(*claim.Claim) bool) {
		for name, c := range v.translator.claims {
			if name.Kind == "Ingress" && !yield(c) {
				return
			}
		}
	}
}

// Exposed reports whether a Service has names.
func (v *View) Exposed(service cache.ObjectName) bool {
	return v.translator.services.state.exposed[service] != nil
}

// ServiceStatus is a Service that is served.
type ServiceStatus struct {
	Namespace, Name string
	Endpoints       []Endpoint // by address
	Problems        []string   // with its EndpointSlices
}

// Endpoint is one address of a Service.
type Endpoint struct {
	Service  string     `json:"service"` // namespace/name
	Addr     netip.Addr `json:"address"`
	Hostname string     `json:"hostname"` // its own label, "" if it has none
	Node     string     `json:"node"`     // "" if its slice names none
	Zone     string     `json:"zone"`     // likewise, or if no line of near names zones (L5)
	State    string     `json:"state"`    // one of object's
	Answered bool       `json:"answered"` // it is among the addresses that the Service is answered with
	Excluded bool       `json:"excluded"` // its node is excluded: it is answered only if there is no other of its family (L6)
}

// Services returns the exposed Services by namespace and name.
func (v *View) Services() []ServiceStatus {
	var all []ServiceStatus
	for _, name := range slices.SortedFunc(maps.Keys(v.translator.services.state.exposed), object.CompareNames) {
		service, _ := v.Service(name.Namespace, name.Name)
		all = append(all, service)
	}
	return all
}

// Service returns an exposed Service, and whether there is one of that name.
func (v *View) Service(namespace, name string) (ServiceStatus, bool) {
	key := cache.NewObjectName(namespace, name)
	e := v.translator.services.state.exposed[key]
	if e == nil {
		return ServiceStatus{}, false
	}
	s := ServiceStatus{Namespace: namespace, Name: name}
	for _, slice := range v.translator.services.state.slicesOf[key] {
		for _, p := range slice.Problems {
			s.Problems = append(s.Problems, p.Ref.String()+": "+p.Text)
		}
	}
	all, _ := endpoint.Entries(v.translator.services.state.slicesOf[key])
	slices.SortFunc(all, func(a, b endpoint.Entry) int { return a.Compare(&b.Endpoint) })
	u, counts := endpoint.Of(v.translator.services.state.slicesOf[key])
	excluded := v.translator.services.state.excluded
	only := u.Exclude(excluded, &counts)
	answered := e.addrs.Load()
	for _, of := range all {
		s.Endpoints = append(s.Endpoints, Endpoint{
			Service: key.String(), Addr: of.Addr, Hostname: of.Hostname, Node: of.Node, Zone: of.Zone,
			State: of.Conditions.String(), Excluded: excluded[of.Node],
			Answered: u.Has(&of) && answered.Has(of.Addr) && (!excluded[of.Node] || only[endpoint.Family(of.Addr)]),
		})
	}
	slices.Sort(s.Problems)
	return s, true
}

// Unavailable is a kind that the API server does not let us read.
type Unavailable struct {
	Resource string // as in "ingresses.networking.k8s.io"
	Message  string // one line, with what to do
}

// Unavailable returns those that the Translator needs.
func (v *View) Unavailable() []Unavailable {
	var all []Unavailable
	for _, h := range slices.Concat(v.translator.required, v.translator.optional) {
		if h.Unavailable() {
			all = append(all, Unavailable{Resource: h.String(), Message: unread(h).Error()})
		}
	}
	slices.SortFunc(all, func(a, b Unavailable) int { return strings.Compare(a.Resource, b.Resource) })
	return all
}

// unread returns why the objects of a watch are not known.
func unread(h *informer.Status) error {
	if failure := h.Failure(); failure != nil {
		return failure
	}
	return errors.New(h.String() + ": cannot be read")
}

// ReadOnce watches until all is known that can be.
func (ts *Translators) ReadOnce(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { ts.Run(watching) })
	defer running.Wait()
	defer stop()
	for slices.ContainsFunc(ts.all, func(c *Claims) bool { return !c.settled() }) {
		if failure := ts.Failure(); failure != nil {
			return failure
		}
		select {
		case <-ctx.Done():
			var missing []string
			for _, c := range ts.all {
				missing = append(missing, c.Unsynced()...)
			}
			return fmt.Errorf("%s not read: %w", strings.Join(config.Distinct(missing), ", "), context.Cause(ctx))
		case <-time.After(10 * time.Millisecond):
		}
	}
	for _, h := range ts.Watches {
		if !h.Optional && !h.Known() {
			return unread(h)
		}
	}
	return nil
}
