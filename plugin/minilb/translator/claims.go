package translator

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/cluster"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/gateway"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// Claims resolves the claims of one plugin block. Watches queue what has changed for its run loop.
type Claims struct {
	options    *config.Options
	cluster    *cluster.Cluster
	services   *services
	onResolved func([]object.Problem) // nil for a Translator's
	wake       chan struct{}          // holds a token while names may have changed
	unresolved atomic.Bool            // results may have changed

	required []*informer.Status // the watches of Services, and of a Translator's EndpointSlices
	optional []*informer.Status // the watches of kinds that add names

	exposing sync.Mutex // held while a change of a Service is taken, from whichever store

	mu             sync.Mutex
	claims         map[object.KindName]*claim.Claim   // of Services and Ingresses
	changedClaims  map[object.KindName]bool           // of these, since the run loop last took them
	changedObjects map[object.KindName]gateway.Object // of the Gateway API, likewise; nil for a deleted one

	// The run loop owns these.
	routes   *gateway.Routes
	resolver *claim.Resolver
	pending  []*informer.Status // whose first list is not complete, so that none of their objects counts
	objects  []object.Problem   // of Gateways and the like
}

// NewClaims adds Claims without a Translator: Services have no addresses, and endpoints are not watched. The Cluster must
// not run yet. onResolved is given the problems of all objects whenever some may have changed.
func NewClaims(ts *Translators, options config.Options, onResolved func([]object.Problem)) {
	options.HTTPS, options.Probe, options.ExcludeNodes = false, 0, nil
	c := newClaims(ts, &options, records.NewIndex(nil), onResolved)
	ts.running = append(ts.running, func(ctx context.Context) { c.run(ctx, c.publish) })
}

func newClaims(ts *Translators, options *config.Options, index *records.Index, onResolved func([]object.Problem)) *Claims {
	c := &Claims{
		options:        options,
		cluster:        ts.Cluster,
		onResolved:     onResolved,
		wake:           make(chan struct{}, 1),
		claims:         map[object.KindName]*claim.Claim{},
		changedClaims:  map[object.KindName]bool{},
		changedObjects: map[object.KindName]gateway.Object{},
		routes:         gateway.New(options),
	}
	c.services = newServices(options, index, c.changed)
	c.resolver = claim.NewResolver(options, struct {
		*services
		*gateway.Routes
	}{c.services, c.routes})
	ts.all = append(ts.all, c)
	ts.running = append(ts.running, c.services.run)
	c.subscribe()
	return c
}

// subscribe follows the objects that claim hosts or decide on claims, in the namespaces of the plugin block.
func (c *Claims) subscribe() {
	c.cluster.Require(c.options, c.onResolved != nil)
	c.cluster.OnChange(c.changed)
	for _, namespace := range cluster.NamespacesOf(c.options) {
		for n, services := range []*cluster.Services{c.cluster.Services(namespace), c.cluster.LabelledServices(namespace)} {
			follow(c, services, func(old, new *object.Service) { c.onService(old, new, n) })
			c.required = append(c.required, services.Status)
		}
		if c.options.Ingresses {
			c.optional = append(c.optional, c.cluster.Ingresses(namespace).Status)
			follow(c, c.cluster.Ingresses(namespace), c.onIngress)
		}
		if c.options.Gateways {
			c.subscribeGateways(namespace)
		}
	}
}

func (c *Claims) subscribeGateways(namespace string) {
	if classes := c.cluster.GatewayClasses(); !slices.Contains(c.optional, classes.Status) {
		c.optional = append(c.optional, c.cluster.Discovery().Status, classes.Status)
		follow(c, classes, queueObject[*object.GatewayClass](c))
	}
	namespaces, gateways := c.cluster.Namespaces(namespace), c.cluster.Gateways(namespace)
	c.optional = append(c.optional, namespaces.Status, gateways.Status)
	follow(c, namespaces, queueObject[*object.Namespace](c))
	follow(c, gateways, c.onGateway)
	for _, kind := range cluster.ListenerSetKinds {
		sets := c.cluster.ListenerSets(kind, namespace)
		c.optional = append(c.optional, sets.Status)
		follow(c, sets, queueObject[*object.ListenerSet](c))
	}
	for _, kind := range cluster.RouteKinds {
		routes := c.cluster.Routes(kind, namespace)
		c.optional = append(c.optional, routes.Status)
		follow(c, routes, queueObject[*object.Route](c))
	}
}

// follow subscribes to a store. Results have the generations of objects and the warnings about them, so that they are
// given anew after each change.
func follow[R informer.Full, T informer.Object](c *Claims, s *informer.Store[R, T], f func(old, new T)) {
	s.Subscribe(f)
	if c.onResolved != nil {
		s.Subscribe(func(_, _ T) { c.changed() })
	}
}

// onService takes a change of one of the two stores of a namespace's Services. One whose type changes may come into the one before
// it goes from the other.
func (c *Claims) onService(old, new *object.Service, store int) {
	if !old.Exposed(c.options.Class, c.options.DefaultClass) {
		old = nil
	}
	if !new.Exposed(c.options.Class, c.options.DefaultClass) {
		new = nil
	}
	c.exposing.Lock()
	defer c.exposing.Unlock()
	gone := true
	c.services.with(func(s *serviceState) {
		switch {
		case new != nil:
			s.expose(new, store)
		case old != nil:
			gone = s.unexpose(old.Key(), store)
		}
	})
	if c.options.Services && (new != nil || gone) {
		setClaim(c, "Service", old, new, claim.FromService)
	}
}

func (c *Claims) onIngress(old, new *object.Ingress) {
	setClaim(c, "Ingress", old, new, claim.FromIngress)
}

func (c *Claims) onGateway(old, new *object.Gateway) {
	queueObject[*object.Gateway](c)(old.Limited(c.options.Addresses), new.Limited(c.options.Addresses))
}

// setClaim replaces what a Service or Ingress claims, which made returns, by what the new one does. Either may be nil.
func setClaim[T informer.Object](c *Claims, kind string, old, new T, made func(*config.Options, T) *claim.Claim) {
	var none T
	var claims *claim.Claim
	var key cache.ObjectName
	if old != none {
		key = old.Key()
	}
	if new != none {
		claims, key = made(c.options, new), new.Key()
	}
	name := object.KindName{Kind: kind, Namespace: key.Namespace, Name: key.Name}
	c.mu.Lock()
	defer c.mu.Unlock()
	if reflect.DeepEqual(c.claims[name], claims) {
		return
	}
	if c.claims[name] = claims; claims == nil {
		delete(c.claims, name)
	}
	c.changedClaims[name] = true
	c.changed()
}

// queueObject returns a handler that queues what has appeared, changed or gone, unless nothing that counts has changed.
func queueObject[T interface {
	comparable
	gateway.Object
}](c *Claims) func(old, new T) {
	return func(old, new T) {
		var none T
		hidden := func(of T) bool { return of != none && of.Metadata().Ignored } // M8
		if hidden(old) == hidden(new) && (hidden(old) || reflect.DeepEqual(old, new)) {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if old != none {
			c.changedObjects[old.KindName()] = nil
		}
		if new != none {
			c.changedObjects[new.KindName()] = new
		}
		c.changed()
	}
}

// takeClaims passes the changed claims to the resolver, and returns the changed objects of the Gateway API.
func (c *Claims) takeClaims() map[object.KindName]gateway.Object {
	pending := slices.DeleteFunc(slices.Clone(c.optional), func(h *informer.Status) bool { return !h.Unavailable() })
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(pending, c.pending) {
		c.pending = pending
		c.routes.RecomputeAll()
		for name := range c.claims {
			c.changedClaims[name] = true
		}
	}
	for name := range c.changedClaims {
		if claims := c.claims[name]; claims == nil || c.leftOut(name.Kind, name.Namespace) {
			c.resolver.Set(name)
		} else {
			c.resolver.Set(name, claims)
		}
	}
	objects := c.changedObjects
	c.changedClaims, c.changedObjects = map[object.KindName]bool{}, map[object.KindName]gateway.Object{}
	return objects
}

// resolve resolves the claims that changes concern, also those of Services that were renamed.
func (c *Claims) resolve(partial bool, renamed ...map[cache.ObjectName]bool) claim.Changes {
	unavailable, certain := c.parents()
	objects := c.takeClaims()
	c.resolver.SetPartial(partial)
	for _, services := range renamed {
		for service := range services {
			c.resolver.ServiceChanged(service)
		}
	}
	for name, obj := range objects {
		if obj == nil {
			c.routes.Delete(name)
		} else {
			c.routes.Set(obj)
		}
		if name.Kind == "Namespace" {
			c.resolver.NamespaceChanged(name.Name)
		}
	}
	if certain {
		for _, route := range c.routes.Recompute(unavailable, c.leftOut) {
			c.resolver.Set(route, c.routes.Claims(route)...)
		}
	}
	changes := c.resolver.Resolve()
	if problems := c.routes.Problems(); !reflect.DeepEqual(problems, c.objects) {
		changes.Come, changes.Gone = append(changes.Come, problems...), append(changes.Gone, c.objects...)
		c.objects = problems
	}
	return changes
}
