package gateway

import (
	"testing"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// G19: the references of a route that attaches to default Gateways stay its own.
func TestDefaultGateways(t *testing.T) {
	gw := &object.Gateway{Meta: object.Meta{Namespace: "infra", Name: "gw"}, IsDefault: true}
	own := append(make([]object.ParentRef, 0, 2), object.ParentRef{Section: "own"})
	r := &object.Route{UseDefaultGateways: true, Parents: own, Statuses: []object.RouteStatus{{Parent: object.ParentRef{KindName: gw.KindName()}}}}
	routes := New(&config.Options{})
	routes.Set(gw)
	if got := routes.parents(r); len(got) != 2 || own[:2][1] != (object.ParentRef{}) {
		t.Errorf("got %v, and the route's own are %v", got, own[:2])
	}
}
