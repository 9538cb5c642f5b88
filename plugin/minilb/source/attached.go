package source

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/client-go/tools/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// attached is what a Translator knows of the Gateway API, and what routes claim by it.
type attached struct {
	gatewayObjects
	stale stale

	// What follows is touched by the run loop alone.
	claims   map[object.KindName][]*claim // by route
	unknown  map[object.KindName]Cause    // as of when they were made
	problems []object.Problem             // of the other objects
}

// stale is what has changed since the routes were last judged.
type stale struct {
	all        bool
	objects    map[object.KindName]bool // Gateways, ListenerSets and routes
	namespaces map[string]bool
}

func newAttached() attached {
	return attached{
		gatewayObjects: gatewayObjects{
			gateways:   map[cache.ObjectName]*object.Gateway{},
			classes:    map[string]*object.GatewayClass{},
			sets:       map[object.KindName]*object.ListenerSet{},
			namespaces: map[string]*object.Namespace{},
			routes:     map[object.KindName]*object.Route{},
			ignored:    map[object.KindName]bool{},
		},
		stale:  newStale(),
		claims: map[object.KindName][]*claim{},
	}
}

func newStale() stale {
	return stale{objects: map[object.KindName]bool{}, namespaces: map[string]bool{}}
}

func (s *stale) empty() bool { return !s.all && len(s.objects)+len(s.namespaces) == 0 }

// onRoute takes in a route that appeared, changed or went.
func (t *Translator) onRoute(old, new *object.Route) {
	take(t, t.attached.routes, (*object.Route).KindName, old, new, func(r *object.Route) {
		t.attached.stale.objects[r.KindName()] = true
	})
}

// onGateway takes in a Gateway that appeared, changed or went.
func (t *Translator) onGateway(old, new *object.Gateway) {
	take(t, t.attached.gateways, (*object.Gateway).Key, old.Limited(t.options.Addresses), new.Limited(t.options.Addresses), func(g *object.Gateway) {
		t.attached.stale.objects[g.KindName()] = true
	})
}

// onListenerSet takes in a ListenerSet or XListenerSet that appeared, changed or went.
func (t *Translator) onListenerSet(old, new *object.ListenerSet) {
	take(t, t.attached.sets, (*object.ListenerSet).KindName, old, new, func(s *object.ListenerSet) {
		t.attached.stale.objects[s.KindName()] = true
		if t.options.IgnoreAccepted { // G53: it may have to do with the others of its Gateway
			t.attached.stale.objects[s.Parent] = true
		}
	})
}

// onGatewayClass takes in a GatewayClass that appeared, changed or went.
func (t *Translator) onGatewayClass(old, new *object.GatewayClass) {
	take(t, t.attached.classes, func(c *object.GatewayClass) string { return c.Name }, old, new, func(*object.GatewayClass) {
		t.attached.stale.all = true
	})
}

// onNamespace takes in a Namespace that appeared, changed or went.
func (t *Translator) onNamespace(old, new *object.Namespace) {
	take(t, t.attached.namespaces, func(n *object.Namespace) string { return n.Name }, old, new, func(n *object.Namespace) {
		t.attached.stale.namespaces[n.Name] = true
		for _, s := range t.attached.sets {
			if t.options.IgnoreAccepted && s.Namespace == n.Name { // G53: its sets may be let in now, or no longer
				t.attached.stale.objects[s.Parent] = true
			}
		}
	})
}

// take stores an object as it is now, as absent if it is to be ignored (M8). If that is news,
// affects is told of what was and of what is.
func take[K comparable, T interface {
	comparable
	Hidden() bool
	KindName() object.KindName
}](t *Translator, objects map[K]T, key func(T) K, old, new T, affects func(T)) {
	var none T
	was, is := old, new // as they count
	if old != none && old.Hidden() {
		was = none
	}
	if new != none && new.Hidden() {
		is = none
	}
	if reflect.DeepEqual(was, is) && (was != old) == (is != new) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if old != none {
		delete(objects, key(old))
		delete(t.attached.ignored, old.KindName())
		affects(old)
	}
	switch {
	case is != none:
		objects[key(new)] = new
		affects(new)
	case new != none:
		t.attached.ignored[new.KindName()] = true
		affects(new)
	}
	t.changed()
}

// parents returns those kinds that routes attach to, or that decide on it, of which nothing is known,
// with the namespaces that they are read in and the reason, and reports whether that is certain: before
// that nothing is judged.
func (t *Translator) parents() (unknown map[object.KindName]Cause, certain bool) {
	unknown, certain = map[object.KindName]Cause{}, true
	for _, h := range t.optional {
		switch h.kind {
		case "ingress", "httproute", "grpcroute", "tlsroute":
			continue
		}
		certain = certain && h.decided()
		switch name := (object.KindName{Kind: h.kind, Namespace: h.namespace}); {
		case h.listed():
		case h.absent.Load():
			unknown[name] = CauseUnserved
		default:
			unknown[name] = CauseUnread
		}
	}
	return unknown, certain
}

// takeStale returns a copy of the objects, but for routes that are left out, and what has
// changed of them since it was last called.
func (a *attached) takeStale(leftOut func(kind, namespace string) bool) (*gatewayObjects, stale) {
	changed := a.stale
	a.stale = newStale()
	routes := make(map[object.KindName]*object.Route, len(a.routes))
	for name, r := range a.routes {
		if leftOut(r.Kind, r.Namespace) {
			a.stale.objects[name] = true
		} else {
			routes[name] = r
		}
	}
	return &gatewayObjects{
		gateways:   maps.Clone(a.gateways),
		classes:    maps.Clone(a.classes),
		sets:       maps.Clone(a.sets),
		namespaces: maps.Clone(a.namespaces),
		routes:     routes,
		ignored:    maps.Clone(a.ignored),
	}, changed
}

// judge makes the claims anew of those routes that the changes concern. Of some kinds nothing
// is known.
func (a *attached) judge(options *config.Options, objects *gatewayObjects, unknown map[object.KindName]Cause, changed stale) {
	if !maps.Equal(a.unknown, unknown) {
		a.unknown, changed.all = unknown, true
	}
	attachment := attachment{gatewayObjects: objects, options: options, unknown: unknown}
	maps.DeleteFunc(a.claims, func(name object.KindName, _ []*claim) bool { return objects.routes[name] == nil })
	for name, r := range objects.routes {
		if !attachment.concerns(r, &changed) {
			continue
		}
		if claims := attachment.claims(r); claims != nil {
			attachment.doubt(r, claims)
			a.claims[name] = claims
		} else {
			delete(a.claims, name)
		}
	}
	a.problems = nil
	for _, gw := range objects.gateways {
		// One that cannot be read may be of any class.
		if len(options.GatewayClasses) == 0 || gw.Class == "" || slices.Contains(options.GatewayClasses, gw.Class) {
			a.problems = append(a.problems, gw.Targets.Problems...)
		}
	}
	for _, class := range objects.classes {
		a.problems = append(a.problems, class.Problems...)
	}
	for _, set := range objects.sets {
		a.problems = append(a.problems, set.Problems...)
	}
}

// doubt takes back that nothing stands behind a route's hosts, where that depends on a kind that is
// there and cannot be read: which is said of the kind, once.
func (a *attachment) doubt(r *object.Route, claims []*claim) {
	if len(a.unknown) == 0 || !slices.ContainsFunc(a.parents(r), a.unsure) {
		return
	}
	for _, c := range claims {
		for n := range c.Problems {
			if c.Problems[n].Reason == object.ReasonNoTarget {
				c.Problems[n].Reason = object.ReasonUnread
			}
		}
	}
}

// unsure reports whether a kind that cannot be read decides on what attaches by the reference.
func (a *attachment) unsure(ref object.ParentRef) bool {
	name, listeners, selections := ref.KindName, []object.Listener(nil), []object.NamespaceSelection(nil)
	if set := a.sets[name]; set != nil {
		name, listeners = set.Parent, set.Listeners
	}
	if gw := a.gateways[cache.NewObjectName(name.Namespace, name.Name)]; gw != nil && name.Kind == object.KindGateway {
		selections = append(selections, gw.AllowedListeners)
		listeners = slices.Concat(listeners, gw.Listeners)
	}
	for n := range listeners {
		selections = append(selections, listeners[n].AllowedRoutes)
	}
	return a.unread(strings.ToLower(name.Kind), name.Namespace) || a.unread("namespace", "") && slices.ContainsFunc(selections, func(s object.NamespaceSelection) bool {
		return s.From == gatewayv1.NamespacesFromSelector
	})
}

// unread reports whether a kind is there and cannot be read, everywhere or in the namespace.
func (a *attachment) unread(kind, namespace string) bool {
	return a.unknown[object.KindName{Kind: kind}] == CauseUnread || a.unknown[object.KindName{Kind: kind, Namespace: namespace}] == CauseUnread
}

// concerns reports whether what has changed may change what the route claims.
func (a *attachment) concerns(r *object.Route, changed *stale) bool {
	if changed.all || changed.objects[r.KindName()] || changed.namespaces[r.Namespace] {
		return true
	}
	depends := func(ref object.ParentRef) bool {
		if changed.objects[ref.KindName] {
			return true
		}
		set := a.sets[ref.KindName]
		return set != nil && (changed.objects[set.Parent] || changed.namespaces[set.Namespace])
	}
	return slices.ContainsFunc(r.Parents, depends) ||
		r.UseDefaultGateways && slices.ContainsFunc(r.Statuses, func(v object.RouteStatus) bool { return depends(v.Parent) })
}
