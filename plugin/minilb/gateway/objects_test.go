package gateway

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// customObject reads an object of the Gateway API.
func customObject(t testing.TB, manifest string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(strings.TrimSuffix(strings.TrimSpace(manifest), "---")), &obj.Object); err != nil {
		t.Fatalf("%v in\n%s", err, manifest)
	}
	return obj
}

// testObjects reads the objects of a manifest.
func testObjects(t testing.TB, manifest string) *Routes {
	t.Helper()
	objects := New(&config.Options{})
	for document := range strings.SplitSeq(manifest, "\n---\n") {
		obj := customObject(t, document)
		switch kind := obj.GetKind(); kind {
		case "":
		case object.KindGateway:
			objects.Set(object.NewGateway(obj, nil))
		case object.KindGatewayClass:
			objects.Set(object.NewGatewayClass(obj, nil))
		case object.KindListenerSet, object.KindXListenerSet:
			objects.Set(object.NewListenerSet(kind)(obj, nil))
		case "Namespace":
			objects.Set(object.NewNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: obj.GetName(), Labels: obj.GetLabels()}}, nil))
		case object.KindHTTPRoute, object.KindGRPCRoute, object.KindTLSRoute:
			objects.Set(object.NewRoute(kind)(obj, nil))
		default:
			t.Fatalf("kind %q", kind)
		}
	}
	return objects
}

// none is what leaves out no routes.
func none(string, string) bool { return false }

// told returns what the claims of all routes say, one a line: "a.ex.org. -> 10.0.0.1" for a
// host and its targets, "a.ex.org.: reason" for one without, "!reason" for a problem.
func told(objects *Routes, options config.Options) []string {
	var lines []string
	objects.options = &options
	objects.Recompute(nil, none)
	for name := range objects.routes {
		for _, c := range objects.Claims(name) {
			var targets []string
			for _, target := range c.List {
				switch {
				case target.Addr.IsValid():
					targets = append(targets, target.Addr.String())
				case target.Host != "":
					targets = append(targets, target.Host)
				default:
					targets = append(targets, "svc:"+target.Service.String())
				}
			}
			for _, host := range c.Hosts {
				lines = append(lines, host+" -> "+strings.Join(targets, " "))
			}
			for _, p := range c.Problems {
				host, why, unserved := strings.Cut(p.Text, ` is not served: `)
				if host, err := strconv.Unquote(strings.TrimPrefix(host, "host ")); unserved && p.Reason == object.ReasonNoTarget && err == nil {
					lines = append(lines, host+".: "+why)
				} else {
					lines = append(lines, "!"+p.Ref.String()+": "+p.Text)
				}
			}
		}
	}
	slices.Sort(lines)
	return lines
}

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
