package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// discoveryInterval is the least time between two discoveries (G5). It is a variable for tests, which set it when they link.
var discoveryInterval = "30s"

// Versions has the resources in which each kind of the Gateway API may be served, the preferred version first (G3).
var Versions = map[string][]schema.GroupVersionResource{
	object.KindGateway:      versions(object.GatewayGroup, "gateways", "v1", "v1beta1"),
	object.KindGatewayClass: versions(object.GatewayGroup, "gatewayclasses", "v1", "v1beta1"),
	object.KindListenerSet:  versions(object.GatewayGroup, "listenersets", "v1"),
	object.KindXListenerSet: versions(object.GatewayXGroup, "xlistenersets", "v1alpha1"),
	object.KindHTTPRoute:    versions(object.GatewayGroup, "httproutes", "v1", "v1beta1"),
	object.KindGRPCRoute:    versions(object.GatewayGroup, "grpcroutes", "v1", "v1alpha2"),
	object.KindTLSRoute:     versions(object.GatewayGroup, "tlsroutes", "v1", "v1alpha3", "v1alpha2"),
}

func versions(group, resource string, versions ...string) []schema.GroupVersionResource {
	var all []schema.GroupVersionResource
	for _, version := range versions {
		all = append(all, schema.GroupVersionResource{Group: group, Version: version, Resource: resource})
	}
	return all
}

// Kinds of the Gateway API. A cluster may have both kinds of ListenerSets (G3).
var (
	ListenerSetKinds = []string{object.KindListenerSet, object.KindXListenerSet}
	RouteKinds       = []string{object.KindHTTPRoute, object.KindGRPCRoute, object.KindTLSRoute}
)

// Stores of kinds that not every API server has, or that only these need.
type (
	Namespaces           = informer.Store[*corev1.Namespace, *object.Namespace]
	Custom[T kindObject] = informer.Store[*unstructured.Unstructured, T]
)

// Discovery returns the discovery of the Gateway API's kinds.
func (c *Cluster) Discovery() *informer.Discovery {
	if c.discovery == nil {
		c.discovery = informer.NewDiscovery(c.Server, "/apis/"+object.GatewayGroup, c.clients.Served, c.clients.interval)
		c.discovery.Log = c.log
		c.discovery.OnVersion, c.discovery.OnDiscovered = c.logVersion, c.logVersions
		c.run = append(c.run, c.discovery.Run)
	}
	return c.discovery
}

// GatewayClasses returns the store of all GatewayClasses.
func (c *Cluster) GatewayClasses() *Custom[*object.GatewayClass] {
	return custom(c, object.KindGatewayClass, "", object.NewGatewayClass)
}

// Gateways returns the store of Gateways in a namespace, "" for all.
func (c *Cluster) Gateways(namespace string) *Custom[*object.Gateway] {
	return custom(c, object.KindGateway, namespace, object.NewGateway)
}

// ListenerSets returns the store of a kind of ListenerSets in a namespace, "" for all.
func (c *Cluster) ListenerSets(kind, namespace string) *Custom[*object.ListenerSet] {
	return custom(c, kind, namespace, object.NewListenerSet(kind))
}

// Routes returns the store of a kind of routes in a namespace, "" for all.
func (c *Cluster) Routes(kind, namespace string) *Custom[*object.Route] {
	return custom(c, kind, namespace, object.NewRoute(kind))
}

func custom[T kindObject](c *Cluster, kind, namespace string, reduce func(*unstructured.Unstructured, *object.Fields) T) *Custom[T] {
	return kept(c, kind, namespace, func() *Custom[T] {
		name := Versions[kind][0]
		resource := informer.Resource{Kind: strings.ToLower(kind), Name: name.Resource, Group: name.Group, Namespace: namespace, Optional: true}
		s := newStore(c, resource, namespace, reduce)
		informer.Follow(c.Discovery(), s,
			func(s informer.Served) schema.GroupVersionResource { return s.First(Versions[kind]) },
			func(version schema.GroupVersionResource) informer.Client[*unstructured.UnstructuredList] {
				return c.clients.Dynamic.Resource(version).Namespace(namespace)
			}, "")
		return s
	})
}

// Namespaces returns the store of all Namespaces, or of one by its name. Gateways select them by their labels (G16), and
// their names in a zone are kept for them (C7). Without Gateways they are optional.
func (c *Cluster) Namespaces(name string) *Namespaces {
	return kept(c, "namespace", name, func() *Namespaces {
		resource, selector := "namespaces", ""
		if name != metav1.NamespaceAll {
			resource, selector = fmt.Sprintf("namespaces %q", name), metav1.ObjectNameField+"="+name
		}
		gateways := c.Gateways(name)
		s := newStore(c, informer.Resource{Kind: "namespace", Name: resource, Optional: true}, name, object.NewNamespace)
		s.OnRequest = func(_ context.Context, err error) bool {
			if !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) || gateways.State() != informer.NotServed {
				return false
			}
			note := ""
			if c.namespaceNames {
				note = "; as long as it is, others may claim the name of a namespace in a zone"
			}
			s.Dismiss(err, note)
			return true
		}
		informer.Follow(c.Discovery(), s,
			func(informer.Served) schema.GroupVersionResource {
				return corev1.SchemeGroupVersion.WithResource("namespaces")
			},
			func(schema.GroupVersionResource) informer.Client[*corev1.NamespaceList] {
				return c.clients.Core.Namespaces()
			}, selector)
		return s
	})
}

// Versions returns the version in which each kind of the Gateway API is read, "" for one that is not served.
func (c *Cluster) Versions() map[string]string {
	versions := map[string]string{}
	c.Discovery().Versions(func(of *informer.Status, version string) {
		for kind := range Versions {
			if strings.EqualFold(of.Kind, kind) {
				versions[kind] = version
			}
		}
	})
	return versions
}

func (c *Cluster) logVersions() {
	var kinds []string
	c.Discovery().Versions(func(of *informer.Status, version string) {
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
		kind := object.GetObjectKind().GroupVersionKind()
		for _, version := range Versions[kind.Kind] {
			if version.GroupVersion() == kind.GroupVersion() {
				served[version] = true
			}
		}
	}
	if c.discovery != nil {
		c.discovery.Load(served)
	}
	for _, s := range c.stores {
		scope := s.scope
		if s.Kind == "node" {
			scope = "" // the Store itself goes by the selector
		}
		if s.State() != informer.NotServed {
			s.load(objects, scope)
		}
	}
}
