// Package gateway decides which hosts the Gateways of a cluster serve, as their controllers do, since a status may be out
// of date (G22). It is a pure function of the objects (C5).
package gateway

import (
	"cmp"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// Routes are the routes of a cluster, what they can attach to, and their claims. It is not safe for concurrent use.
type Routes struct {
	options     *config.Options
	unavailable map[object.KindName]Cause // kinds of which nothing is known, by the namespace they are read in, and why

	gateways   map[object.KindName]*object.Gateway
	classes    map[object.KindName]*object.GatewayClass
	sets       map[object.KindName]*object.ListenerSet
	namespaces map[object.KindName]*object.Namespace
	routes     map[object.KindName]*object.Route
	ignored    map[object.KindName]bool // treated as absent (M8)

	dirty    map[object.KindName]bool           // objects that have changed since the routes were last computed
	others   bool                               // some of them are no routes
	all      bool                               // every route is to be computed
	losers   map[*object.Listener]bool          // see superseded; nil until needed
	claims   map[object.KindName][]*claim.Claim // by route
	problems []object.Problem                   // of the other objects
}

// Object is one of those that Routes are made of: a route, Gateway, GatewayClass, ListenerSet or Namespace.
type Object interface {
	Metadata() *object.Meta
	KindName() object.KindName
}

// New returns Routes without any objects.
func New(options *config.Options) *Routes {
	return &Routes{
		options:    options,
		gateways:   map[object.KindName]*object.Gateway{},
		classes:    map[object.KindName]*object.GatewayClass{},
		sets:       map[object.KindName]*object.ListenerSet{},
		namespaces: map[object.KindName]*object.Namespace{},
		routes:     map[object.KindName]*object.Route{},
		ignored:    map[object.KindName]bool{},
		dirty:      map[object.KindName]bool{},
		claims:     map[object.KindName][]*claim.Claim{},
	}
}

// Set adds an object, in place of the one of its kind and name.
func (rs *Routes) Set(obj Object) {
	name := obj.KindName()
	rs.Delete(name)
	if obj.Metadata().Ignored {
		rs.ignored[name] = true
		return
	}
	switch obj := obj.(type) {
	case *object.Route:
		rs.routes[name] = obj
	case *object.Gateway:
		rs.gateways[name] = obj
	case *object.GatewayClass:
		rs.classes[name] = obj
	case *object.ListenerSet:
		rs.sets[name] = obj
		rs.siblings(obj)
	case *object.Namespace:
		rs.namespaces[name] = obj
	}
}

// Delete drops an object, if it is there.
func (rs *Routes) Delete(name object.KindName) {
	rs.losers = nil
	rs.dirty[name] = true
	delete(rs.ignored, name)
	switch name.Kind {
	case object.KindHTTPRoute, object.KindGRPCRoute, object.KindTLSRoute:
		delete(rs.routes, name)
		return
	case object.KindGatewayClass:
		rs.all = true
	}
	rs.others = true
	for _, set := range rs.sets {
		if set.KindName() == name || namespaceNamed(set.Namespace) == name { // its Gateway may select it now, or no longer
			rs.siblings(set)
		}
	}
	delete(rs.gateways, name)
	delete(rs.classes, name)
	delete(rs.sets, name)
	delete(rs.namespaces, name)
}

func classNamed(name string) object.KindName {
	return object.KindName{Kind: object.KindGatewayClass, Name: name}
}

func namespaceNamed(name string) object.KindName {
	return object.KindName{Kind: "Namespace", Name: name}
}

// siblings marks the other sets of a set's Gateway, with which its listeners may conflict (G53).
func (rs *Routes) siblings(set *object.ListenerSet) {
	if rs.options.IgnoreAccepted {
		rs.dirty[set.Parent] = true
	}
}

// NamespaceExists reports whether a Namespace is known to be there.
func (rs *Routes) NamespaceExists(name string) bool {
	return rs.namespaces[namespaceNamed(name)] != nil
}

// Gateways yields those of the configured classes.
func (rs *Routes) Gateways() iter.Seq[*object.Gateway] {
	return func(yield func(*object.Gateway) bool) {
		for name, gw := range rs.gateways {
			if _, o := rs.gateway(name); o == nil && !yield(gw) {
				return
			}
		}
	}
}

// Claims returns what a route claims, as last computed.
func (rs *Routes) Claims(route object.KindName) []*claim.Claim { return rs.claims[route] }

// Problems returns those of Gateways, GatewayClasses and ListenerSets, in a slice that does not change.
func (rs *Routes) Problems() []object.Problem { return rs.problems }

// RecomputeAll makes the next Recompute look at every route.
func (rs *Routes) RecomputeAll() { rs.all = true }

// Recompute recomputes the claims of the routes that changes concern, and returns the routes whose claims differ from
// before. Routes that are left out claim nothing; each call looks at them again.
func (rs *Routes) Recompute(unavailable map[object.KindName]Cause, leftOut func(kind, namespace string) bool) (changed []object.KindName) {
	if !maps.Equal(rs.unavailable, unavailable) {
		rs.unavailable, rs.all = unavailable, true
	}
	dirty, all, others := rs.dirty, rs.all, rs.all || rs.others
	rs.dirty, rs.all, rs.others = map[object.KindName]bool{}, false, false
	compute := func(name object.KindName) {
		var claims []*claim.Claim
		switch r := rs.routes[name]; {
		case r == nil:
		case leftOut(r.Kind, r.Namespace):
			rs.dirty[name] = true
		default:
			claims = rs.claimsOf(r)
			rs.doubt(r, claims)
		}
		if reflect.DeepEqual(claims, rs.claims[name]) {
			return
		}
		changed = append(changed, name)
		if rs.claims[name] = claims; claims == nil {
			delete(rs.claims, name)
		}
	}
	for name := range dirty {
		compute(name) // nothing, if it is no route
	}
	if !others {
		return changed
	}
	for name, r := range rs.routes {
		if !dirty[name] && (all || rs.concerns(r, dirty)) {
			compute(name)
		}
	}
	rs.problems = nil
	for _, gw := range rs.gateways {
		// A malformed one may be of any class.
		if len(rs.options.GatewayClasses) == 0 || gw.Class == "" || slices.Contains(rs.options.GatewayClasses, gw.Class) {
			rs.problems = append(rs.problems, gw.Targets.Problems...)
		}
	}
	for _, class := range rs.classes {
		rs.problems = append(rs.problems, class.Problems...)
	}
	for _, set := range rs.sets {
		rs.problems = append(rs.problems, set.Problems...)
	}
	return changed
}

// concerns reports whether what has changed may change what the route claims.
func (rs *Routes) concerns(r *object.Route, changed map[object.KindName]bool) bool {
	depends := func(ref object.ParentRef) bool {
		set := rs.sets[ref.KindName]
		return changed[ref.KindName] || set != nil && (changed[set.Parent] || changed[namespaceNamed(set.Namespace)])
	}
	return changed[namespaceNamed(r.Namespace)] || slices.ContainsFunc(r.Parents, depends) ||
		r.UseDefaultGateways && slices.ContainsFunc(r.Statuses, func(v object.RouteStatus) bool { return depends(v.Parent) })
}

// doubt changes the reason of problems that may only come from a kind that cannot be read: that is reported once, of the kind.
func (rs *Routes) doubt(r *object.Route, claims []*claim.Claim) {
	if len(rs.unavailable) == 0 || !slices.ContainsFunc(rs.parents(r), rs.unsure) {
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

// unsure reports whether what attaches by the reference depends on a kind that cannot be read.
func (rs *Routes) unsure(ref object.ParentRef) bool {
	name, listeners, selections := ref.KindName, []object.Listener(nil), []object.NamespaceSelection(nil)
	if set := rs.sets[name]; set != nil {
		name, listeners = set.Parent, set.Listeners
	}
	if gw := rs.gateways[name]; gw != nil {
		selections = append(selections, gw.AllowedListeners)
		listeners = slices.Concat(listeners, gw.Listeners)
	}
	for n := range listeners {
		selections = append(selections, listeners[n].AllowedRoutes)
	}
	return rs.unknown(strings.ToLower(name.Kind), name.Namespace) == CauseUnavailable || rs.unknown("namespace", "") == CauseUnavailable && slices.ContainsFunc(selections, func(s object.NamespaceSelection) bool {
		return s.From == gatewayv1.NamespacesFromSelector
	})
}

// unknown returns why nothing is known of a kind in a namespace, "" if it is read.
func (rs *Routes) unknown(kind, namespace string) Cause {
	return cmp.Or(rs.unavailable[object.KindName{Kind: kind}], rs.unavailable[object.KindName{Kind: kind, Namespace: namespace}])
}
