package translator

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/cluster"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/gateway"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// Translator turns the objects of a Cluster into the names of one index. What decides on
// names is published by its run loop; what changes addresses alone goes straight into the
// Service's address set, so that it is answered at once.
type Translator struct {
	options    config.Options
	hooks      Hooks
	index      *records.Index
	reporter   *reporter
	cluster    *cluster.Cluster
	claimsOnly bool          // names have no addresses, as nobody asks for them
	wake       chan struct{} // holds a token while names may have changed

	unresolved atomic.Bool // results of claims may have changed

	services *services
	watching []*informer.Status // the watches of Services
	slices   []*informer.Status // and of EndpointSlices
	optional []*informer.Status // and of kinds that add names

	mu             sync.Mutex
	claims         map[object.KindName]*claim.Claim   // of Services and Ingresses
	changedClaims  map[object.KindName]bool           // of these, since the last publication
	changedObjects map[object.KindName]gateway.Object // of the Gateway API, since the last publication; nil for one that went
	stats          Stats

	// What follows is of the run loop.
	routes   *gateway.Routes
	resolver *claim.Resolver
	found    *dependencies // of the resolver
	naming   naming
	late     map[cache.ObjectName]bool // Services whose names have come or gone while claims were resolved
	pending  []object.KindName         // kinds of which nothing counts yet
	last     publication
}

// Hooks are called by a Translator; each may be nil.
type Hooks struct {
	// Covered reports whether a name can be asked for at all, as a server block exists for it (D8).
	Covered func(host string) bool
	// OnResolved is given the results of all claims whenever they were resolved, in place of the log
	// lines about those with problems. It must not keep them once it has returned.
	OnResolved func(iter.Seq[claim.Result])
	// ObserveLatency is given, for each change of a Service's endpoints, how long ago it was triggered in the cluster.
	ObserveLatency func(time.Duration)
}

// NewTranslator adds a Translator that fills index as the options say. The Cluster must not run yet.
func NewTranslator(ts *Translators, options config.Options, index *records.Index, hooks Hooks) *Translator {
	return newTranslator(ts, options, index, hooks, false)
}

// NewClaims adds a Translator that resolves claims only: its names have no addresses, endpoints are not
// watched, and there is no index.
func NewClaims(ts *Translators, options config.Options, hooks Hooks) *Translator {
	options.HTTPS, options.Probe = false, 0
	return newTranslator(ts, options, records.NewIndex(slices.Concat(options.Zones, options.ReverseZones)), hooks, true)
}

func newTranslator(ts *Translators, options config.Options, index *records.Index, hooks Hooks, claimsOnly bool) *Translator {
	if hooks.Covered == nil {
		hooks.Covered = func(string) bool { return true }
	}
	if hooks.ObserveLatency == nil {
		hooks.ObserveLatency = func(time.Duration) {}
	}
	t := &Translator{
		options:    options,
		hooks:      hooks,
		claimsOnly: claimsOnly,
		index:      index,
		reporter:   ts.reporter,
		cluster:    ts.Cluster,
		wake:       make(chan struct{}, 1),

		claims:         map[object.KindName]*claim.Claim{},
		changedClaims:  map[object.KindName]bool{},
		changedObjects: map[object.KindName]gateway.Object{},
		last:           newPublication(),
	}
	t.routes = gateway.New(&t.options)
	t.services = newServices(&t.options, index, claimsOnly, t.publishSoon, t.observe)
	t.services.state.probing = ts.probingFor(t)
	t.found = &dependencies{services: t.services, routes: t.routes, found: map[cache.ObjectName]*exposedService{}}
	t.resolver = claim.NewResolver(&t.options, t.found)
	t.naming = newNaming(&t.options, t.found.service)
	ts.all = append(ts.all, t)
	t.subscribe()
	return t
}

// subscribe lets the Translator follow the objects that it needs, in the namespaces it is limited to.
func (t *Translator) subscribe() {
	c := t.cluster
	c.Require(&t.options, t.hooks.OnResolved != nil)
	c.OnChange(t.changed)
	for _, namespace := range cluster.NamespacesOf(&t.options) {
		services := c.Services(namespace)
		follow(t, services, t.onService)
		t.watching = append(t.watching, services.Status)
		if !t.claimsOnly {
			slices := c.EndpointSlices(namespace)
			slices.Subscribe(t.onSlice)
			t.slices = append(t.slices, slices.Status)
		}
		if t.options.Ingresses {
			t.optional = append(t.optional, c.Ingresses(namespace).Status)
			follow(t, c.Ingresses(namespace), t.onIngress)
		}
		if t.options.Gateways {
			t.subscribeGateways(namespace)
		}
	}
}

// subscribeGateways is subscribe for what there is of the Gateway API.
func (t *Translator) subscribeGateways(namespace string) {
	c := t.cluster
	if classes := c.GatewayClasses(); !slices.Contains(t.optional, classes.Status) {
		t.optional = append(t.optional, c.Discovery().Status, classes.Status)
		follow(t, classes.Store, t.onGatewayClass)
	}
	t.optional = append(t.optional, c.Namespaces(namespace).Status, c.Gateways(namespace).Status)
	follow(t, c.Namespaces(namespace).Store, t.onNamespace)
	follow(t, c.Gateways(namespace).Store, t.onGateway)
	for _, kind := range cluster.ListenerSetKinds {
		sets := c.ListenerSets(kind, namespace)
		t.optional = append(t.optional, sets.Status)
		follow(t, sets.Store, t.onListenerSet)
	}
	for _, kind := range cluster.RouteKinds {
		routes := c.Routes(kind, namespace)
		t.optional = append(t.optional, routes.Status)
		follow(t, routes.Store, t.onRoute)
	}
}

// follow subscribes to a store of objects that claim hosts, or decide on claims. Results have the generations of objects
// and the warnings about them, so that whoever is given results gets them after each change.
func follow[R informer.Full, T informer.Object](t *Translator, s *informer.Store[R, T], f func(old, new T)) {
	s.Subscribe(f)
	if t.hooks.OnResolved != nil {
		s.Subscribe(func(_, _ T) { t.changed() })
	}
}

// Follow lets the serials go on from those of a Translator whose place this one takes.
func (t *Translator) Follow(other *Translator) { t.index.InheritSerials(other.index) }

func (t *Translator) exposes(s *object.Service) bool {
	return s.Exposed(t.options.Class, t.options.DefaultClass)
}

// onService takes in a Service that appeared, changed or (new is nil) went.
func (t *Translator) onService(old, new *object.Service) {
	wasExposed, isExposed := t.exposes(old), t.exposes(new)
	if !wasExposed && !isExposed {
		return
	}
	if !isExposed {
		t.services.unexpose(old.Key())
		t.setClaim(old.Ref("Service"), nil)
		return
	}
	t.services.expose(new)
	if !wasExposed || old.Created != new.Created || old.UID != new.UID || !maps.Equal(old.Hosts, new.Hosts) || !slices.Equal(old.Truncated, new.Truncated) || !old.ServicePorts.Equal(new.ServicePorts) {
		t.setClaim(new.Ref("Service"), claim.FromService(&t.options, new))
	}
}

// onSlice takes in an EndpointSlice that appeared, changed or went. It touches the Service
// that the slice belongs to, and the one it belonged to (E1).
func (t *Translator) onSlice(old, new *object.EndpointSlice) {
	if old != nil && old.Ignored { // M8
		old = nil
	}
	if new != nil && new.Ignored {
		new = nil
	}
	t.services.setSlice(old, new)
	same := slices.EqualFunc(old.ProblemsOf(), new.ProblemsOf(), func(a, b object.Problem) bool { return a.Text == b.Text })
	if !same || new.ProblemsOf() != nil && old.Service != new.Service {
		t.publishSoon() // to be logged and counted, or no longer
		t.unresolved.CompareAndSwap(false, t.hooks.OnResolved != nil)
	}
}

// observe is given when a change that is answered now was triggered, in Unix nanoseconds. It reports how long that
// took, if it can be: the annotation that says so is whatever its writer says, and clocks differ.
func (t *Translator) observe(triggered int64) {
	const skew, longest = time.Minute, 24 * time.Hour
	took := time.Since(time.Unix(0, triggered))
	if synced(t.slices) && -skew < took && took < longest {
		t.hooks.ObserveLatency(max(0, took))
	}
}

// synced reports whether the API server has listed the objects of all these watches.
func synced(watches []*informer.Status) bool {
	return !slices.ContainsFunc(watches, func(s *informer.Status) bool { return s.State() != informer.Listed })
}

// known reports whether the objects of all these watches are known.
func known(watches []*informer.Status) bool {
	return !slices.ContainsFunc(watches, func(s *informer.Status) bool { return !s.Known() })
}

// changed lets all claims be looked at anew. A burst coalesces behind what is being published.
func (t *Translator) changed() {
	t.unresolved.Store(true)
	t.publishSoon()
}

func (t *Translator) publishSoon() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// run publishes at once whenever names may have changed, until the context is cancelled.
func (t *Translator) run(ctx context.Context) {
	begun, pause := false, 200*time.Millisecond
	for {
		var later <-chan time.Time
		if slices.ContainsFunc(t.optional, func(s *informer.Status) bool { return !s.Decided() }) {
			later = time.After(pause) // nobody may ever tell
		}
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		case <-later:
		}
		if !begun && !t.settled() {
			continue // D72: nothing may be concluded from a part of the objects
		}
		begun, pause = true, time.Second // what comes to be known later holds nothing up (G7)
		t.publish()
	}
}

// settled reports whether each kind is known, or known to be out of reach.
func (t *Translator) settled() bool {
	return !slices.ContainsFunc(slices.Concat(t.watching, t.slices, t.optional), (*informer.Status).Awaited)
}

// unlisted returns the kinds of which the first list is not complete, and reports whether an object is of one: it does
// not count until the list is complete, as an older claim may follow (C2).
func (t *Translator) unlisted() (leftOut func(kind, namespace string) bool, pending []object.KindName) {
	for _, h := range t.optional {
		if h.Unavailable() {
			pending = append(pending, object.KindName{Kind: h.Kind, Namespace: h.Namespace})
		}
	}
	return func(kind, namespace string) bool {
		return slices.ContainsFunc(pending, func(of object.KindName) bool {
			return strings.EqualFold(of.Kind, kind) && (of.Namespace == "" || of.Namespace == namespace)
		})
	}, pending
}

// Unsynced returns the kinds of objects that must be known before the zones can be answered
// for, and are not yet: empty once they are. A kind that only adds names, such as Ingress,
// is left out if the API server refuses to show it, or fails to (G7).
func (t *Translator) Unsynced() []string {
	var kinds []string
	for _, h := range slices.Concat(t.watching, t.slices) {
		if !h.Known() {
			kinds = append(kinds, h.String())
		}
	}
	for _, h := range t.optional {
		if h.Awaited() {
			kinds = append(kinds, h.String())
		}
	}
	return kinds
}
