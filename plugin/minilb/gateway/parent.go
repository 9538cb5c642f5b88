package gateway

import (
	"cmp"
	"slices"

	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// parent is what a route can attach to: the listeners of a Gateway, or of one of its ListenerSets (G52).
type parent struct {
	object.KindName
	gateway   *object.Gateway
	set       *object.ListenerSet // nil for the Gateway's own listeners
	listeners []object.Listener
	targets   *object.Targets // the Gateway's addresses, or an annotation's (M7)
}

// parent returns what a reference names, or why routes cannot attach to it.
func (rs *Routes) parent(name object.KindName) (*parent, *obstacle) {
	switch name.Kind {
	case object.KindGateway:
		gw, o := rs.gateway(name)
		if o != nil {
			return nil, o
		}
		return &parent{KindName: name, gateway: gw, listeners: gw.Listeners, targets: &gw.Targets}, nil
	case object.KindListenerSet, object.KindXListenerSet:
		set := rs.sets[name]
		switch {
		case set == nil:
			return nil, rs.missing(name)
		case set.Problems != nil:
			return nil, malformed(name)
		}
		gw, o := rs.gateway(set.Parent) // G50
		if o == nil {
			o = rs.detached(set, gw)
		}
		if o != nil {
			return nil, o
		}
		return &parent{KindName: name, gateway: gw, set: set, listeners: set.Listeners, targets: cmp.Or(set.Targets, &gw.Targets)}, nil
	}
	return nil, unknownKind(name)
}

// gateway returns a Gateway of the configured classes.
func (rs *Routes) gateway(name object.KindName) (*object.Gateway, *obstacle) {
	gw := rs.gateways[name]
	switch {
	case name.Kind != object.KindGateway:
		return nil, unknownKind(name)
	case gw == nil:
		return nil, rs.missing(name)
	case gw.Malformed:
		return nil, malformed(name)
	case len(rs.options.GatewayClasses) > 0 && !slices.Contains(rs.options.GatewayClasses, gw.Class):
		return nil, obstruct(CauseOtherClass, "%s is of GatewayClass %q, which is not among gateway_classes", name, printable.Shorten(gw.Class))
	}
	return gw, nil
}

func malformed(name object.KindName) *obstacle {
	return obstruct(CauseMalformed, "%s is not as its kind should be", name)
}

// detached returns why a ListenerSet adds nothing to its Gateway, nil if it does (G51).
func (rs *Routes) detached(set *object.ListenerSet, gw *object.Gateway) *obstacle {
	switch {
	case !gw.AllowedListeners.Selects(set.Namespace, gw.Namespace, rs.labelled):
		return obstruct(CauseNotLetIn, "%s does not allow %s by its allowedListeners", set.Parent, set.KindName())
	case rs.options.IgnoreAccepted || set.Accepted == object.ConditionTrue:
		return nil
	case set.Accepted == object.ConditionFalse:
		return obstruct(CauseRefused, "%s is refused by its controller", set.KindName())
	}
	return obstruct(CausePending, "%s is not accepted by its controller yet", set.KindName())
}
