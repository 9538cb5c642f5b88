package source

import (
	"slices"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/printable"
)

// parent is what a route can attach to: the listeners of a Gateway, or of one of its
// ListenerSets (G52).
type parent struct {
	kindName
	gateway   *gateway
	set       *listenerSet // nil for the Gateway's own listeners
	listeners []listener
	lead      *lead // to the Gateway's addresses, or what an annotation has in their place (M7)
}

// parent finds what a reference names, or says why routes cannot attach to it.
func (a *attachment) parent(name kindName) (*parent, *obstacle) {
	switch name.kind {
	case gatewayKind:
		gw, o := a.gateway(name)
		if o != nil {
			return nil, o
		}
		return &parent{kindName: name, gateway: gw, listeners: gw.listeners, lead: &gw.lead}, nil
	case listenerSetKind, xListenerSetKind:
		set := a.sets[name]
		switch {
		case set == nil:
			return nil, a.missing(name)
		case set.problems != nil:
			return nil, malformed(name)
		}
		gw, o := a.gateway(set.parent) // G50
		if o != nil {
			return nil, o
		}
		if o := a.detached(set, gw); o != nil {
			return nil, o
		}
		p := &parent{kindName: name, gateway: gw, set: set, listeners: set.listeners, lead: &gw.lead}
		if set.lead != nil {
			p.lead = set.lead
		}
		return p, nil
	}
	return nil, stray(name)
}

// gateway finds a Gateway of the classes that count.
func (a *attachment) gateway(name kindName) (*gateway, *obstacle) {
	gw := a.gateways[cache.NewObjectName(name.namespace, name.name)]
	switch {
	case name.kind != gatewayKind:
		return nil, stray(name)
	case gw == nil:
		return nil, a.missing(name)
	case gw.unreadable:
		return nil, malformed(name)
	case len(a.options.GatewayClasses) > 0 && !slices.Contains(a.options.GatewayClasses, gw.class):
		return nil, obstruct(CauseOtherClass, "%s is of GatewayClass %q, which is not among gateway_classes", name, printable.Shorten(gw.class))
	}
	return gw, nil
}

func malformed(name kindName) *obstacle {
	return obstruct(CauseMalformed, "%s is not as its kind should be", name)
}

// detached returns why a ListenerSet adds nothing to its Gateway, nil if it does (G51).
func (a *attachment) detached(set *listenerSet, gw *gateway) *obstacle {
	switch {
	case !gw.sets.has(set.namespace, gw.namespace, a.labelled):
		return obstruct(CauseNotLetIn, "%s does not allow %s by its allowedListeners", set.parent, set.kindName())
	case a.options.Unaccepted || set.accepted == conditionTrue:
		return nil
	case set.accepted == conditionFalse:
		return obstruct(CauseRefused, "%s is refused by its controller", set.kindName())
	}
	return obstruct(CausePending, "%s is not accepted by its controller yet", set.kindName())
}
