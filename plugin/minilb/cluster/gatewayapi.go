package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// discoveryInterval is how often the API server is asked at least what it serves of the Gateway API: a jitter of half of
// that is added (G5). It is a variable for tests, which set it when they link.
var discoveryInterval = "30s"

// resources are what the kinds are called in requests.
var resources = map[string]string{
	object.KindGateway:      "gateways",
	object.KindGatewayClass: "gatewayclasses",
	object.KindListenerSet:  "listenersets",
	object.KindXListenerSet: "xlistenersets",
	object.KindHTTPRoute:    "httproutes",
	object.KindGRPCRoute:    "grpcroutes",
	object.KindTLSRoute:     "tlsroutes",
}

// servedVersions are the versions in which each kind is read, the preferred one first (G3).
var servedVersions = map[string][]string{
	object.KindGateway:      {"v1", "v1beta1"},
	object.KindGatewayClass: {"v1", "v1beta1"},
	object.KindListenerSet:  {"v1"},
	object.KindXListenerSet: {"v1alpha1"},
	object.KindHTTPRoute:    {"v1", "v1beta1"},
	object.KindGRPCRoute:    {"v1", "v1alpha2"},
	object.KindTLSRoute:     {"v1", "v1alpha3", "v1alpha2"},
}

// groupOf returns the API group of a kind.
func groupOf(kind string) string {
	if kind == object.KindXListenerSet {
		return object.GatewayXGroup
	}
	return object.GatewayGroup
}

// VersionsOf returns where a kind of the Gateway API may be served, the preferred version first (G3).
func VersionsOf(kind string) []schema.GroupVersionResource {
	var all []schema.GroupVersionResource
	for _, version := range servedVersions[kind] {
		all = append(all, schema.GroupVersionResource{Group: groupOf(kind), Version: version, Resource: resources[kind]})
	}
	return all
}

// Kinds of the Gateway API of which clusters may have both (G3), and those of routes.
var (
	ListenerSetKinds = []string{object.KindListenerSet, object.KindXListenerSet}
	RouteKinds       = []string{object.KindHTTPRoute, object.KindGRPCRoute, object.KindTLSRoute}
)

// Stores of kinds that the API server may serve or not, or that nothing needs unless it serves others.
type (
	Namespaces           = informer.Versioned[*corev1.Namespace, *object.Namespace]
	Custom[T kindObject] = informer.Versioned[*unstructured.Unstructured, T]
)

// gatewayAPI has the stores of the kinds that the Gateway API has in the cluster, whichever they are at present.
type gatewayAPI struct {
	discovery  *informer.Discovery // nil unless there is a store
	interval   time.Duration
	namespaces map[string]*Namespaces
	classes    map[string]*Custom[*object.GatewayClass]
	gateways   map[string]*Custom[*object.Gateway]
	sets       map[string]*Custom[*object.ListenerSet] // by kind and namespace
	routes     map[string]*Custom[*object.Route]       // by kind and namespace
}

func (c *Cluster) newGatewayAPI() (err error) {
	g := &c.gatewayAPI
	if g.interval, err = time.ParseDuration(discoveryInterval); err != nil {
		return fmt.Errorf("discovery interval: %w", err)
	}
	g.namespaces = map[string]*Namespaces{}
	g.classes = map[string]*Custom[*object.GatewayClass]{}
	g.gateways = map[string]*Custom[*object.Gateway]{}
	g.sets = map[string]*Custom[*object.ListenerSet]{}
	g.routes = map[string]*Custom[*object.Route]{}
	return nil
}

// Discovery returns the state of what is known of the Gateway API as such.
func (c *Cluster) Discovery() *informer.Status { return c.discovery().Status }

// TriggerDiscovery makes the API server be asked soon what it serves.
func (c *Cluster) TriggerDiscovery() { c.discovery().Trigger() }

func (c *Cluster) discovery() *informer.Discovery {
	g := &c.gatewayAPI
	if g.discovery == nil {
		g.discovery = informer.NewDiscovery(c.Server, "/apis/"+object.GatewayGroup, c.clients.Served, g.interval)
		g.discovery.Log = c.log
		g.discovery.OnVersion, g.discovery.OnDiscovered = c.logVersion, c.logVersions
		c.run = append(c.run, g.discovery.Run)
	}
	return g.discovery
}

// GatewayClasses returns the store of all GatewayClasses.
func (c *Cluster) GatewayClasses() *Custom[*object.GatewayClass] {
	return custom(c, c.gatewayAPI.classes, object.KindGatewayClass, "", object.NewGatewayClass)
}

// Gateways returns the store of Gateways in a namespace, "" for all.
func (c *Cluster) Gateways(namespace string) *Custom[*object.Gateway] {
	return custom(c, c.gatewayAPI.gateways, object.KindGateway, namespace, object.NewGateway)
}

// ListenerSets returns the store of a kind of ListenerSets in a namespace, "" for all.
func (c *Cluster) ListenerSets(kind, namespace string) *Custom[*object.ListenerSet] {
	return custom(c, c.gatewayAPI.sets, kind, namespace, object.NewListenerSet(kind))
}

// Routes returns the store of a kind of routes in a namespace, "" for all.
func (c *Cluster) Routes(kind, namespace string) *Custom[*object.Route] {
	return custom(c, c.gatewayAPI.routes, kind, namespace, object.NewRoute(kind))
}

// custom returns the store of a kind that a CRD brings.
func custom[T kindObject](c *Cluster, stores map[string]*Custom[T], kind, namespace string, reduce func(*unstructured.Unstructured, *object.Fields) T) *Custom[T] {
	return kept(stores, kind+" "+namespace, func(string) *Custom[T] {
		status := c.Watch(informer.Resource{Kind: strings.ToLower(kind), Name: resources[kind], Group: groupOf(kind), Namespace: namespace, Optional: true}, c.log)
		v := informer.NewVersioned(newStore(c, status, namespace, reduce),
			func(s informer.Served) schema.GroupVersionResource { return s.First(VersionsOf(kind)) },
			func(version schema.GroupVersionResource) informer.Client[*unstructured.UnstructuredList] {
				return c.clients.Dynamic.Resource(version).Namespace(namespace)
			}, "")
		c.discovery().Add(v)
		return v
	})
}

// openNames is what follows if Namespaces cannot be read.
const openNames = "; as long as it is, others may claim the name of a namespace in a zone"

// Namespaces returns the store of all Namespaces, or of one by its name. Gateways select them by their labels (G16), and
// nobody else may claim their names in a zone (C7). They are optional: nothing needs them without Gateways but that.
func (c *Cluster) Namespaces(name string) *Namespaces {
	return kept(c.gatewayAPI.namespaces, name, func(name string) *Namespaces {
		resource, selector := "namespaces", ""
		if name != metav1.NamespaceAll {
			resource, selector = fmt.Sprintf("namespaces %q", name), metav1.ObjectNameField+"="+name
		}
		var needed atomic.Bool // there may be Gateways
		status := c.Watch(informer.Resource{Kind: "namespace", Name: resource, Optional: true}, c.log)
		s := newStore(c, status, name, object.NewNamespace)
		s.OnRequest = func(_ context.Context, err error) bool {
			if !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) || needed.Load() {
				return false
			}
			note := ""
			if c.namespaceNames {
				note = openNames
			}
			s.Dismiss(err, note)
			return true
		}
		v := informer.NewVersioned(s,
			func(s informer.Served) schema.GroupVersionResource {
				needed.Store(!s.First(VersionsOf(object.KindGateway)).Empty())
				return corev1.SchemeGroupVersion.WithResource("namespaces")
			},
			func(schema.GroupVersionResource) informer.Client[*corev1.NamespaceList] {
				return c.clients.Core.Namespaces()
			}, selector)
		c.discovery().Add(v)
		return v
	})
}

// Versions returns the version in which each kind of the Gateway API is read, "" for one that is not served.
func (c *Cluster) Versions() map[string]string {
	versions := map[string]string{}
	c.discovery().Versions(func(of *informer.Status, version string) {
		for kind, resource := range resources {
			if of.Name == resource && of.Group == groupOf(kind) {
				versions[kind] = version
			}
		}
	})
	return versions
}

// logVersions logs what is read once that is known.
func (c *Cluster) logVersions() {
	var kinds []string
	c.discovery().Versions(func(of *informer.Status, version string) {
		if kind := of.Name + " " + version; version != "" && of.Group != "" && !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	})
	if kinds == nil {
		c.log.Infof("The API server does not serve the Gateway API: its routes have names once it does")
	} else {
		c.log.Infof("Reading the Gateway API: %s", strings.Join(kinds, ", "))
	}
}

// logVersion logs what has become of a kind since the last look.
func (c *Cluster) logVersion(of *informer.Status, before, after string) {
	switch {
	case of.Group == "": // Namespaces
	case before == "":
		c.log.Infof("%s: served from now on, as %s", of, after)
	case after == "":
		c.log.Infof("%s: no longer served; what they named is gone", of)
	default:
		c.log.Infof("%s: now read as %s instead of %s", of, after, before)
	}
}

// Load fills all stores as if the API server had listed these objects. A kind of the Gateway API is served in the
// versions that its objects have, and not at all if there are none.
func (c *Cluster) Load(objects []runtime.Object) {
	served := informer.Served{}
	for _, object := range objects {
		if custom, ok := object.(*unstructured.Unstructured); ok {
			kind := custom.GroupVersionKind()
			served[kind.GroupVersion().WithResource(resources[kind.Kind])] = true
		}
	}
	if c.gatewayAPI.discovery != nil {
		c.gatewayAPI.discovery.Load(served)
	}
	for _, s := range c.stores {
		s.load(objects)
	}
}
