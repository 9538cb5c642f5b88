package translator

import (
	"reflect"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/gateway"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// onIngress takes in an Ingress that appeared, changed or went.
func (t *Translator) onIngress(old, new *object.Ingress) {
	var was, is *claim.Claim
	var ref object.Ref
	if old != nil {
		was, ref = claim.FromIngress(&t.options, old), old.Ref("Ingress")
	}
	if new != nil {
		is, ref = claim.FromIngress(&t.options, new), new.Ref("Ingress")
	}
	if !reflect.DeepEqual(was, is) { // else nothing that a name depends on
		t.setClaim(ref, is)
	}
}

// setClaim takes in what a Service or Ingress claims, nil for nothing.
func (t *Translator) setClaim(of object.Ref, c *claim.Claim) {
	t.mu.Lock()
	defer t.mu.Unlock()
	name := object.KindName{Kind: of.Kind, Namespace: of.Namespace, Name: of.Name}
	if t.claims[name] == nil && c == nil || of.Kind == "Service" && !t.options.Services {
		return
	}
	if t.claims[name] = c; c == nil {
		delete(t.claims, name)
	}
	t.changedClaims[name] = true
	t.changed()
}

func (t *Translator) onRoute(old, new *object.Route) { onGatewayObject(t, old, new) }

func (t *Translator) onGateway(old, new *object.Gateway) {
	onGatewayObject(t, old.Limited(t.options.Addresses), new.Limited(t.options.Addresses))
}

func (t *Translator) onListenerSet(old, new *object.ListenerSet) { onGatewayObject(t, old, new) }

func (t *Translator) onGatewayClass(old, new *object.GatewayClass) { onGatewayObject(t, old, new) }

func (t *Translator) onNamespace(old, new *object.Namespace) { onGatewayObject(t, old, new) }

// onGatewayObject queues an object that appeared, changed or (new is nil) went for the run loop, unless nothing that
// counts has changed.
func onGatewayObject[T interface {
	comparable
	gateway.Object
}](t *Translator, old, new T) {
	var none T
	was, is := old, new // as they count (M8)
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
		t.changedObjects[old.KindName()] = nil
	}
	if new != none {
		t.changedObjects[new.KindName()] = new
	}
	t.changed()
}

// parents returns the kinds that routes attach to, or that decide on it, of which nothing is known, with the namespaces
// that they are read in and the reason. It reports whether that is certain: until then routes are not recomputed.
func (t *Translator) parents() (unavailable map[object.KindName]gateway.Cause, certain bool) {
	unavailable, certain = map[object.KindName]gateway.Cause{}, true
	for _, h := range t.optional {
		switch h.Kind {
		case "ingress", "httproute", "grpcroute", "tlsroute":
			continue
		}
		certain = certain && h.Decided()
		switch name := (object.KindName{Kind: h.Kind, Namespace: h.Namespace}); {
		case h.Known():
		case h.State() == informer.NotServed:
			unavailable[name] = gateway.CauseUnserved
		default:
			unavailable[name] = gateway.CauseUnavailable
		}
	}
	return unavailable, certain
}
