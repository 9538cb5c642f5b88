package translator

import (
	"fmt"
	"strings"
)

// The parts that the cases below are made of.
const (
	class = `
kind: GatewayClass
metadata: {name: gc}
spec: {controllerName: example.org/ctl}
---
`
	// The listeners and further fields of spec are the case's.
	gw = `
kind: Gateway
metadata: {name: gw, namespace: infra}
spec: {gatewayClassName: gc, %s}
status: {addresses: [{value: 10.0.0.5}]}
---
`
	open     = `listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]`
	accepted = `conditions: [{type: Accepted, status: "True"}]`
)

// gatewayWith returns the Gateway infra/gw.
func gatewayWith(spec string) string { return class + fmt.Sprintf(gw, spec) }

// routeOf returns a route shop/r that is accepted by each of the parents.
func routeOf(kind, hosts string, parents ...string) string {
	status := make([]string, len(parents))
	for i, parent := range parents {
		status[i] = "{parentRef: " + parent + ", controllerName: example.org/ctl, " + accepted + "}"
	}
	return fmt.Sprintf("\nkind: %s\nmetadata: {name: r, namespace: shop}\nspec: {hostnames: [%s], parentRefs: [%s]}\nstatus: {parents: [%s]}\n---\n",
		kind, hosts, strings.Join(parents, ", "), strings.Join(status, ", "))
}

const toGateway = "{name: gw, namespace: infra}"

// A Gateway that lets ListenerSets of all namespaces in, and one of them in shop.
const (
	letsIn = `allowedListeners: {namespaces: {from: All}}, listeners: [{name: http, port: 80, protocol: HTTP, hostname: gateway.org, allowedRoutes: {namespaces: {from: All}}}]`
	theSet = `
kind: ListenerSet
metadata: {name: set, namespace: shop}
spec:
  parentRef: {name: gw, namespace: infra}
  listeners: [{name: http, port: 81, protocol: HTTP, hostname: "*.set.org"}]
status:
  conditions: [{type: Accepted, status: "True"}]
  listeners: [{name: http, conditions: [{type: Accepted, status: "True"}]}]
---
`
	toSet = "{kind: ListenerSet, name: set}"
)
