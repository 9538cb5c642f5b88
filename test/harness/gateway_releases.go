package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/minilb/minilb/test/cluster"
)

// The API groups of the Gateway API.
const (
	GatewayGroup             = "gateway.networking.k8s.io"
	ExperimentalGatewayGroup = "gateway.networking.x-k8s.io"
)

// GatewayRelease is what one channel of a release serves of the kinds that not every release
// does: their versions, the one first that is to be watched (G3). All serve the others, as v1
// and v1beta1.
type GatewayRelease struct {
	Release, Channel            string
	GrpcRoutes, TlsRoutes       []string
	listenerSets, XListenerSets []string // the latter in the experimental group
}

// GatewayReleases are both channels of the releases that tests install, oldest first.
var GatewayReleases = []GatewayRelease{
	{Release: "v1.0.0", Channel: "standard"},
	{Release: "v1.0.0", Channel: "experimental", GrpcRoutes: []string{"v1alpha2"}, TlsRoutes: []string{"v1alpha2"}},
	{Release: "v1.2.1", Channel: "standard", GrpcRoutes: []string{"v1"}},
	{Release: "v1.2.1", Channel: "experimental", GrpcRoutes: []string{"v1"}, TlsRoutes: []string{"v1alpha2"}},
	{Release: "v1.4.1", Channel: "standard", GrpcRoutes: []string{"v1"}},
	{Release: "v1.4.1", Channel: "experimental", GrpcRoutes: []string{"v1"}, TlsRoutes: []string{"v1alpha3", "v1alpha2"}, XListenerSets: []string{"v1alpha1"}},
	{Release: "v1.5.1", Channel: "standard", GrpcRoutes: []string{"v1"}, TlsRoutes: []string{"v1"}, listenerSets: []string{"v1"}},
	{Release: "v1.5.1", Channel: "experimental", GrpcRoutes: []string{"v1"}, TlsRoutes: []string{"v1", "v1alpha3", "v1alpha2"}, listenerSets: []string{"v1"}},
	{Release: "v1.6.3", Channel: "standard", GrpcRoutes: []string{"v1"}, TlsRoutes: []string{"v1"}, listenerSets: []string{"v1"}},
	{Release: "v1.6.3", Channel: "experimental", GrpcRoutes: []string{"v1"}, TlsRoutes: []string{"v1", "v1alpha3", "v1alpha2"}, listenerSets: []string{"v1"}},
}

// NewestGateways is what the newest release serves without experiments.
var NewestGateways = GatewayReleases[len(GatewayReleases)-2]

// Served returns the versions of each kind by its resource and group.
func (r GatewayRelease) Served() map[string][]string {
	return map[string][]string{
		"gateways." + GatewayGroup:                  {"v1", "v1beta1"},
		"gatewayclasses." + GatewayGroup:            {"v1", "v1beta1"},
		"httproutes." + GatewayGroup:                {"v1", "v1beta1"},
		"grpcroutes." + GatewayGroup:                r.GrpcRoutes,
		"tlsroutes." + GatewayGroup:                 r.TlsRoutes,
		"listenersets." + GatewayGroup:              r.listenerSets,
		"xlistenersets." + ExperimentalGatewayGroup: r.XListenerSets,
	}
}

// The addresses of the Gateways of objects.
const (
	GatewayPod = "10.244.1.7" // behind a Service of ours
	gatewayIP  = "10.9.0.9"
)

// Names returns the address of each name that the routes of objects have.
func (r GatewayRelease) Names() map[string]string {
	names := map[string]string{"http-v1.ex.org": GatewayPod, "http-v1beta1.ex.org": gatewayIP, "selected.ex.org": GatewayPod}
	for _, version := range r.GrpcRoutes {
		names["grpc-"+version+".ex.org"] = GatewayPod
	}
	for _, version := range r.TlsRoutes {
		names["tls-"+version+".ex.org"] = GatewayPod
	}
	if len(r.listenerSets)+len(r.XListenerSets) > 0 {
		names["set.ex.org"] = GatewayPod
	}
	return names
}

// NamesBut returns those names without some.
func (r GatewayRelease) NamesBut(some ...string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(r.Names())), func(name string) bool { return slices.Contains(some, name) })
}

// GatewayNames are those of all releases.
var GatewayNames = func() []string {
	names := map[string]string{}
	for _, r := range GatewayReleases {
		maps.Copy(names, r.Names())
	}
	return slices.Sorted(maps.Keys(names))
}()

// Definitions returns the release's CustomResourceDefinitions: of the kinds of these plural
// names, all without any.
func (r GatewayRelease) Definitions(t *testing.T, resources ...string) string {
	t.Helper()
	manifest, err := cluster.GatewayAPI(t.Context(), r.Release, r.Channel, resources...)
	Must(t, err)
	return manifest
}

const (
	// GatewayAccepted are the conditions of what a controller has accepted.
	GatewayAccepted = `[{type: Accepted, status: "True", reason: Accepted, message: "", lastTransitionTime: "2026-01-01T00:00:00Z"}]`

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

// Objects returns a GatewayClass, Gateways, a ListenerSet if there are any, and a route in each
// version of each kind, all with the status that a controller gives them.
func (r GatewayRelease) Objects() string {
	const kinds = "supportedKinds: [{kind: HTTPRoute}]"
	allowed, set, setGroup := "", "ListenerSet", GatewayGroup
	if len(r.listenerSets)+len(r.XListenerSets) > 0 {
		allowed = "allowedListeners: {namespaces: {from: Same}}" // G51
	}
	if len(r.XListenerSets) > 0 {
		set, setGroup = "XListenerSet", ExperimentalGatewayGroup
	}
	manifest := `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: example}
spec: {controllerName: ` + ControllerName + `}
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
  - {name: http, attachedRoutes: 1, ` + kinds + `, conditions: ` + GatewayAccepted + `}
`
	}
	for _, version := range slices.Concat(r.listenerSets, r.XListenerSets) {
		port := ""
		if len(r.XListenerSets) > 0 {
			port = "port: 8080, " // required in the experimental group, unknown outside
		}
		manifest += `
---
apiVersion: ` + setGroup + "/" + version + `
kind: ` + set + `
metadata: {name: set, namespace: edge}
spec: {parentRef: {name: gateway-v1}, listeners: [{name: extra, port: 8080, protocol: HTTP}]}
status:
  conditions: ` + GatewayAccepted + `
  listeners: [{name: extra, ` + port + `attachedRoutes: 1, ` + kinds + `, conditions: ` + GatewayAccepted + `}]
`
	}
	for _, version := range []string{"v1", "v1beta1"} {
		manifest += GatewayRoute("HTTPRoute", version, "http-"+version, "name: gateway-"+version+", sectionName: http")
	}
	for _, version := range r.GrpcRoutes {
		manifest += GatewayRoute("GRPCRoute", version, "grpc-"+version, "name: gateway-v1")
	}
	for _, version := range r.TlsRoutes {
		manifest += GatewayRoute("TLSRoute", version, "tls-"+version, "name: gateway-v1")
	}
	// Where there are no ListenerSets, one can be named all the same.
	return manifest + GatewayRoute("HTTPRoute", "v1", "set", "name: set, kind: "+set+", group: "+setGroup) +
		GatewayRoute("HTTPRoute", "v1", "selected", "name: gateway-v1, sectionName: selected")
}

// GatewayRoute is the manifest of a route for one host, named for the route, which the parent
// has accepted (G20).
func GatewayRoute(kind, version, name, parent string) string {
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
  - {parentRef: {` + parent + `}, controllerName: ` + ControllerName + `, conditions: ` + GatewayAccepted + `}
`
}

// ExposeGateways applies the background of the Gateways, with a ready pod.
func ExposeGateways(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	Must(t, Apply(c, gatewayBackground))
	Must(t, c.Node(t.Context(), "n1", "192.168.1.31"))
	Must(t, c.Pod(t.Context(), cluster.PodSpec{Namespace: "edge", Name: "web", Labels: map[string]string{"app": "web"}, Node: "n1", IPs: []string{GatewayPod}}))
}

// DeleteDefinitions deletes the CustomResourceDefinitions of these plural names, or all, with
// their objects, and waits until they are gone.
func DeleteDefinitions(t *testing.T, c *cluster.Cluster, resources ...string) {
	t.Helper()
	definitions := c.Dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	Must(t, cluster.Wait(ctx, 30*time.Second, func() error {
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

// AnswersGateways returns an error unless the server answers what stands in the cluster beside
// objects and, of the Gateway API, the release's names alone.
func AnswersGateways(s *CoreDNS, r GatewayRelease) error {
	errs := []error{s.Expect("web.edge.minilb", dns.TypeA, GatewayPod), s.Expect("ingress.ex.org", dns.TypeA, GatewayPod)}
	for _, name := range GatewayNames {
		if address := r.Names()[name]; address != "" {
			errs = append(errs, s.Expect(name, dns.TypeA, address))
		} else {
			errs = append(errs, Forwarded(s, name))
		}
	}
	return errors.Join(errs...)
}

// Forwarded returns an error unless the names do not exist here.
func Forwarded(s *CoreDNS, names ...string) error {
	var errs []error
	for _, name := range names {
		reply, err := s.Ask("udp", name, dns.TypeA)
		if err == nil && (reply.Authoritative || len(reply.Answer) != 1 || reply.Answer[0].Header().Rrtype != dns.TypeTXT) {
			err = fmt.Errorf("%s is answered here: %v", name, reply.Answer)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
