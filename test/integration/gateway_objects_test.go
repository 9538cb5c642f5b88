package integration_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/minilb/minilb/test/cluster"
)

// The API groups of the Gateway API.
const (
	gatewayGroup             = "gateway.networking.k8s.io"
	experimentalGatewayGroup = "gateway.networking.x-k8s.io"
)

// gatewayRelease is what one channel of a release serves of the kinds that not every release
// does: their versions, the one first that is to be watched (G3). All serve the others, as v1
// and v1beta1.
type gatewayRelease struct {
	release, channel            string
	grpcRoutes, tlsRoutes       []string
	listenerSets, xListenerSets []string // the latter in the experimental group
}

var gatewayReleases = []gatewayRelease{
	{release: "v1.0.0", channel: "standard"},
	{release: "v1.0.0", channel: "experimental", grpcRoutes: []string{"v1alpha2"}, tlsRoutes: []string{"v1alpha2"}},
	{release: "v1.2.1", channel: "standard", grpcRoutes: []string{"v1"}},
	{release: "v1.2.1", channel: "experimental", grpcRoutes: []string{"v1"}, tlsRoutes: []string{"v1alpha2"}},
	{release: "v1.4.1", channel: "standard", grpcRoutes: []string{"v1"}},
	{release: "v1.4.1", channel: "experimental", grpcRoutes: []string{"v1"}, tlsRoutes: []string{"v1alpha3", "v1alpha2"}, xListenerSets: []string{"v1alpha1"}},
	{release: "v1.5.1", channel: "standard", grpcRoutes: []string{"v1"}, tlsRoutes: []string{"v1"}, listenerSets: []string{"v1"}},
	{release: "v1.5.1", channel: "experimental", grpcRoutes: []string{"v1"}, tlsRoutes: []string{"v1", "v1alpha3", "v1alpha2"}, listenerSets: []string{"v1"}},
	{release: "v1.6.3", channel: "standard", grpcRoutes: []string{"v1"}, tlsRoutes: []string{"v1"}, listenerSets: []string{"v1"}},
	{release: "v1.6.3", channel: "experimental", grpcRoutes: []string{"v1"}, tlsRoutes: []string{"v1", "v1alpha3", "v1alpha2"}, listenerSets: []string{"v1"}},
}

// newestGateways is what the newest release serves without experiments.
var newestGateways = gatewayReleases[len(gatewayReleases)-2]

// served returns the versions of each kind by its resource and group.
func (r gatewayRelease) served() map[string][]string {
	return map[string][]string{
		"gateways." + gatewayGroup:                  {"v1", "v1beta1"},
		"gatewayclasses." + gatewayGroup:            {"v1", "v1beta1"},
		"httproutes." + gatewayGroup:                {"v1", "v1beta1"},
		"grpcroutes." + gatewayGroup:                r.grpcRoutes,
		"tlsroutes." + gatewayGroup:                 r.tlsRoutes,
		"listenersets." + gatewayGroup:              r.listenerSets,
		"xlistenersets." + experimentalGatewayGroup: r.xListenerSets,
	}
}

// The addresses of the Gateways of objects.
const (
	gatewayPod = "10.244.1.7" // behind a Service of ours
	gatewayIP  = "10.9.0.9"
)

// names returns the address of each name that the routes of objects have.
func (r gatewayRelease) names() map[string]string {
	names := map[string]string{"http-v1.ex.org": gatewayPod, "http-v1beta1.ex.org": gatewayIP, "selected.ex.org": gatewayPod}
	for _, version := range r.grpcRoutes {
		names["grpc-"+version+".ex.org"] = gatewayPod
	}
	for _, version := range r.tlsRoutes {
		names["tls-"+version+".ex.org"] = gatewayPod
	}
	if len(r.listenerSets)+len(r.xListenerSets) > 0 {
		names["set.ex.org"] = gatewayPod
	}
	return names
}

// namesBut returns those names without some.
func (r gatewayRelease) namesBut(some ...string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(r.names())), func(name string) bool { return slices.Contains(some, name) })
}

// gatewayNames are those of all releases.
var gatewayNames = func() []string {
	names := map[string]string{}
	for _, r := range gatewayReleases {
		maps.Copy(names, r.names())
	}
	return slices.Sorted(maps.Keys(names))
}()

// definitions returns the release's CustomResourceDefinitions: of the kinds of these plural
// names, all without any.
func (r gatewayRelease) definitions(t *testing.T, resources ...string) string {
	t.Helper()
	manifest, err := cluster.GatewayAPI(t.Context(), r.release, r.channel, resources...)
	must(t, err)
	return manifest
}

const (
	// gatewayAccepted are the conditions of what a controller has accepted.
	gatewayAccepted = `[{type: Accepted, status: "True", reason: Accepted, message: "", lastTransitionTime: "2026-01-01T00:00:00Z"}]`

	// gatewayBackground is what stands beside the Gateway API's objects and is served without them.
	gatewayBackground = `
{apiVersion: v1, kind: Namespace, metadata: {name: edge}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: edge}
spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, namespace: edge}
spec: {rules: [{host: ingress.ex.org, HTTP}]}
status: {loadBalancer: {ingress: [{hostname: web.edge.minilb}]}}
`
)

// objects returns a GatewayClass, Gateways, a ListenerSet if there are any, and a route in each
// version of each kind, all with the status that a controller gives them.
func (r gatewayRelease) objects() string {
	const kinds = "supportedKinds: [{kind: HTTPRoute}]"
	allowed, set, setGroup := "", "ListenerSet", gatewayGroup
	if len(r.listenerSets)+len(r.xListenerSets) > 0 {
		allowed = "allowedListeners: {namespaces: {from: Same}}" // G51
	}
	if len(r.xListenerSets) > 0 {
		set, setGroup = "XListenerSet", experimentalGatewayGroup
	}
	manifest := `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: example}
spec: {controllerName: example.org/gateways}
`
	for version, address := range map[string]string{"v1": "{type: Hostname, value: web.edge.minilb}", "v1beta1": "{value: " + gatewayIP + "}"} {
		manifest += `
---
apiVersion: gateway.networking.k8s.io/` + version + `
kind: Gateway
metadata: {name: gateway-` + version + `, namespace: edge}
spec:
  gatewayClassName: example
  ` + allowed + `
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}
  - name: selected
    port: 8000
    protocol: HTTP
    allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: edge}}}}
status:
  addresses: [` + address + `]
  listeners:
  - {name: http, attachedRoutes: 1, ` + kinds + `, conditions: ` + gatewayAccepted + `}
`
	}
	for _, version := range slices.Concat(r.listenerSets, r.xListenerSets) {
		port := ""
		if len(r.xListenerSets) > 0 {
			port = "port: 8080, " // required in the experimental group, unknown outside
		}
		manifest += `
---
apiVersion: ` + setGroup + "/" + version + `
kind: ` + set + `
metadata: {name: set, namespace: edge}
spec: {parentRef: {name: gateway-v1}, listeners: [{name: extra, port: 8080, protocol: HTTP}]}
status:
  conditions: ` + gatewayAccepted + `
  listeners: [{name: extra, ` + port + `attachedRoutes: 1, ` + kinds + `, conditions: ` + gatewayAccepted + `}]
`
	}
	for _, version := range []string{"v1", "v1beta1"} {
		manifest += gatewayRoute("HTTPRoute", version, "http-"+version, "name: gateway-"+version+", sectionName: http")
	}
	for _, version := range r.grpcRoutes {
		manifest += gatewayRoute("GRPCRoute", version, "grpc-"+version, "name: gateway-v1")
	}
	for _, version := range r.tlsRoutes {
		manifest += gatewayRoute("TLSRoute", version, "tls-"+version, "name: gateway-v1")
	}
	// Where there are no ListenerSets, one can be named all the same.
	return manifest + gatewayRoute("HTTPRoute", "v1", "set", "name: set, kind: "+set+", group: "+setGroup) +
		gatewayRoute("HTTPRoute", "v1", "selected", "name: gateway-v1, sectionName: selected")
}

// gatewayRoute is the manifest of a route for one host, named for the route, which the parent
// has accepted (G20).
func gatewayRoute(kind, version, name, parent string) string {
	return `
---
apiVersion: gateway.networking.k8s.io/` + version + `
kind: ` + kind + `
metadata: {name: ` + name + `, namespace: edge}
spec:
  parentRefs: [{` + parent + `}]
  hostnames: [` + name + `.ex.org]
  rules: [{backendRefs: [{name: web, port: 80}]}]
status:
  parents:
  - {parentRef: {` + parent + `}, controllerName: example.org/gateways, conditions: ` + gatewayAccepted + `}
`
}

// exposeGateways applies the background of the Gateways, with a ready pod.
func exposeGateways(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	must(t, apply(c, gatewayBackground))
	must(t, c.Node(t.Context(), "n1", "192.168.1.31"))
	must(t, c.Pod(t.Context(), cluster.PodSpec{Namespace: "edge", Name: "web", Labels: map[string]string{"app": "web"}, Node: "n1", IPs: []string{gatewayPod}}))
}

// applyTogether applies the objects of a manifest at once: each CustomResourceDefinition takes
// the API server a while, and they need not wait for each other.
func applyTogether(t *testing.T, c *cluster.Cluster, manifest string) {
	t.Helper()
	objects := documents(t, manifest)
	parallel(t, len(objects), func(i int) error { return c.Apply(context.Background(), objects[i]) })
}

// deleteDefinitions deletes the CustomResourceDefinitions of these plural names, or all, with
// their objects, and waits until they are gone.
func deleteDefinitions(t *testing.T, c *cluster.Cluster, resources ...string) {
	t.Helper()
	definitions := c.Dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	must(t, cluster.Wait(ctx, 30*time.Second, func() error {
		list, err := definitions.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		var left []string
		for _, item := range list.Items {
			if resource, _, _ := strings.Cut(item.GetName(), "."); len(resources) > 0 && !slices.Contains(resources, resource) {
				continue
			}
			left = append(left, item.GetName())
			if item.GetDeletionTimestamp() == nil {
				if err := definitions.Delete(ctx, item.GetName(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
					return err
				}
			}
		}
		if len(left) > 0 {
			return fmt.Errorf("not gone yet: %q", left)
		}
		return nil
	}))
}
