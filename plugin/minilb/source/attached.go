package source

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/client-go/tools/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// attached is what a Translator knows of the Gateway API, and what routes claim by it.
type attached struct {
	gatewayObjects
	stale stale

	// What follows is touched by the run loop alone.
	claims   map[kindName][]*claim // by route
	unknown  map[kindName]Cause    // as of when they were made
	problems []problem             // of the other objects
}

// stale is what has changed since the routes were last judged.
type stale struct {
	all        bool
	objects    map[kindName]bool // Gateways, ListenerSets and routes
	namespaces map[string]bool
}

func newAttached() attached {
	return attached{
		gatewayObjects: gatewayObjects{
			gateways:   map[cache.ObjectName]*gateway{},
			classes:    map[string]*gatewayClass{},
			sets:       map[kindName]*listenerSet{},
			namespaces: map[string]*namespace{},
			routes:     map[kindName]*route{},
			ignored:    map[kindName]bool{},
		},
		stale:  newStale(),
		claims: map[kindName][]*claim{},
	}
}

func newStale() stale {
	return stale{objects: map[kindName]bool{}, namespaces: map[string]bool{}}
}

func (s *stale) empty() bool { return !s.all && len(s.objects)+len(s.namespaces) == 0 }

// onRoute takes in a route that appeared, changed or went.
func (t *Translator) onRoute(old, new *route) {
	take(t, t.attached.routes, (*route).kindName, old, new, func(r *route) {
		t.attached.stale.objects[r.kindName()] = true
	})
}

// onGateway takes in a Gateway that appeared, changed or went.
func (t *Translator) onGateway(old, new *gateway) {
	take(t, t.attached.gateways, (*gateway).key, old.limited(t.options.Addresses), new.limited(t.options.Addresses), func(g *gateway) {
		t.attached.stale.objects[g.kindName()] = true
	})
}

// onListenerSet takes in a ListenerSet or XListenerSet that appeared, changed or went.
func (t *Translator) onListenerSet(old, new *listenerSet) {
	take(t, t.attached.sets, (*listenerSet).kindName, old, new, func(s *listenerSet) {
		t.attached.stale.objects[s.kindName()] = true
		if t.options.Unaccepted { // G53: it may have to do with the others of its Gateway
			t.attached.stale.objects[s.parent] = true
		}
	})
}

// onGatewayClass takes in a GatewayClass that appeared, changed or went.
func (t *Translator) onGatewayClass(old, new *gatewayClass) {
	take(t, t.attached.classes, func(c *gatewayClass) string { return c.name }, old, new, func(*gatewayClass) {
		t.attached.stale.all = true
	})
}

// onNamespace takes in a Namespace that appeared, changed or went.
func (t *Translator) onNamespace(old, new *namespace) {
	take(t, t.attached.namespaces, func(n *namespace) string { return n.name }, old, new, func(n *namespace) {
		t.attached.stale.namespaces[n.name] = true
		for _, s := range t.attached.sets {
			if t.options.Unaccepted && s.namespace == n.name { // G53: its sets may be let in now, or no longer
				t.attached.stale.objects[s.parent] = true
			}
		}
	})
}

// take stores an object as it is now, as absent if it is to be ignored (M8). If that is news,
// affects is told of what was and of what is.
func take[K comparable, T interface {
	comparable
	hidden() bool
	kindName() kindName
}](t *Translator, objects map[K]T, key func(T) K, old, new T, affects func(T)) {
	var none T
	was, is := old, new // as they count
	if old != none && old.hidden() {
		was = none
	}
	if new != none && new.hidden() {
		is = none
	}
	if reflect.DeepEqual(was, is) && (was != old) == (is != new) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if old != none {
		delete(objects, key(old))
		delete(t.attached.ignored, old.kindName())
		affects(old)
	}
	switch {
	case is != none:
		objects[key(new)] = new
		affects(new)
	case new != none:
		t.attached.ignored[new.kindName()] = true
		affects(new)
	}
	t.changed()
}

// parents returns those kinds that routes attach to, or that decide on it, of which nothing is known,
// with the namespaces that they are read in and the reason, and reports whether that is certain: before
// that nothing is judged.
func (t *Translator) parents() (unknown map[kindName]Cause, certain bool) {
	unknown, certain = map[kindName]Cause{}, true
	for _, h := range t.optional {
		switch h.kind {
		case "ingress", "httproute", "grpcroute", "tlsroute":
			continue
		}
		certain = certain && h.decided()
		switch name := (kindName{kind: h.kind, namespace: h.namespace}); {
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
	routes := make(map[kindName]*route, len(a.routes))
	for name, r := range a.routes {
		if leftOut(r.kind, r.namespace) {
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
func (a *attached) judge(options *Options, objects *gatewayObjects, unknown map[kindName]Cause, changed stale) {
	if !maps.Equal(a.unknown, unknown) {
		a.unknown, changed.all = unknown, true
	}
	attachment := attachment{gatewayObjects: objects, options: options, unknown: unknown}
	maps.DeleteFunc(a.claims, func(name kindName, _ []*claim) bool { return objects.routes[name] == nil })
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
		if len(options.GatewayClasses) == 0 || gw.class == "" || slices.Contains(options.GatewayClasses, gw.class) {
			a.problems = append(a.problems, gw.lead.problems...)
		}
	}
	for _, class := range objects.classes {
		a.problems = append(a.problems, class.problems...)
	}
	for _, set := range objects.sets {
		a.problems = append(a.problems, set.problems...)
	}
}

// doubt takes back that nothing stands behind a route's hosts, where that depends on a kind that is
// there and cannot be read: which is said of the kind, once.
func (a *attachment) doubt(r *route, claims []*claim) {
	if len(a.unknown) == 0 || !slices.ContainsFunc(a.parents(r), a.unsure) {
		return
	}
	for _, c := range claims {
		for n := range c.problems {
			if c.problems[n].reason == ReasonNoTarget {
				c.problems[n].reason = ReasonUnread
			}
		}
	}
}

// unsure reports whether a kind that cannot be read decides on what attaches by the reference.
func (a *attachment) unsure(ref parentRef) bool {
	name, listeners, selections := ref.kindName, []listener(nil), []selection(nil)
	if set := a.sets[name]; set != nil {
		name, listeners = set.parent, set.listeners
	}
	if gw := a.gateways[cache.NewObjectName(name.namespace, name.name)]; gw != nil && name.kind == gatewayKind {
		selections = append(selections, gw.sets)
		listeners = slices.Concat(listeners, gw.listeners)
	}
	for n := range listeners {
		selections = append(selections, listeners[n].routes)
	}
	return a.unread(strings.ToLower(name.kind), name.namespace) || a.unread("namespace", "") && slices.ContainsFunc(selections, func(s selection) bool {
		return s.from == gatewayv1.NamespacesFromSelector
	})
}

// unread reports whether a kind is there and cannot be read, everywhere or in the namespace.
func (a *attachment) unread(kind, namespace string) bool {
	return a.unknown[kindName{kind: kind}] == CauseUnread || a.unknown[kindName{kind: kind, namespace: namespace}] == CauseUnread
}

// concerns reports whether what has changed may change what the route claims.
func (a *attachment) concerns(r *route, changed *stale) bool {
	if changed.all || changed.objects[r.kindName()] || changed.namespaces[r.namespace] {
		return true
	}
	depends := func(ref parentRef) bool {
		if changed.objects[ref.kindName] {
			return true
		}
		set := a.sets[ref.kindName]
		return set != nil && (changed.objects[set.parent] || changed.namespaces[set.namespace])
	}
	return slices.ContainsFunc(r.parents, depends) ||
		r.anywhere && slices.ContainsFunc(r.verdicts, func(v verdict) bool { return depends(v.parent) })
}
