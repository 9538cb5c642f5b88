package cluster

import (
	"cmp"
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/snapshot"
)

// Stores of the kinds that every API server has.
type (
	Services       = informer.Store[*corev1.Service, *object.Service]
	EndpointSlices = informer.Store[*discoveryv1.EndpointSlice, *object.EndpointSlice]
	Ingresses      = informer.Store[*networkingv1.Ingress, *object.Ingress]
	Nodes          = informer.Store[*corev1.Node, *object.Node]
)

// kindObject is a pointer to one of the types of package object.
type kindObject interface {
	informer.Object
	Metadata() *object.Meta
}

// store is an informer.Store of any type.
type store struct {
	*informer.Status
	scope string // the namespace, the name of a Namespace, or the selector of Nodes; "" for all
	objects
}

type objects interface {
	uid(cache.ObjectName) types.UID // "" if it is not there
	save() []snapshot.Object
	seed([]snapshot.Object)
	load(all []runtime.Object, scope string)
}

// stored implements objects.
type stored[R informer.Full, T kindObject] struct{ *informer.Store[R, T] }

// Services returns the store of Services of type LoadBalancer in a namespace, "" for all.
func (c *Cluster) Services(namespace string) *Services {
	// A Service that changes its type is reported as deleted.
	return c.services("service", namespace, c.clients.Core.Services(namespace), "=", false)
}

// LabelledServices returns the store of Services of other types that are exposed by their label (L1).
func (c *Cluster) LabelledServices(namespace string) *Services {
	client := labelled[*corev1.ServiceList]{c.clients.Core.Services(namespace), lb.ExposeLabel + "=true"}
	s := c.services(labelledService, namespace, client, "!=", true)
	s.Log = silent{}
	return s
}

// labelledService is the kind of what LabelledServices returns.
const labelledService = "labelled service"

// silent is the log of a watch beside that of Services, which meets the same errors.
type silent struct{}

func (silent) Infof(string, ...any)    {}
func (silent) Warningf(string, ...any) {}

func (c *Cluster) services(kind, namespace string, client informer.Client[*corev1.ServiceList], operator string, byLabel bool) *Services {
	reduce := func(full *corev1.Service, f *object.Fields) *object.Service {
		if namespace != "" && full.Namespace != namespace || byLabel != (full.Spec.Type != corev1.ServiceTypeLoadBalancer && lb.IsExposed(full)) {
			return nil
		}
		return object.NewService(full, f)
	}
	return kept(c, kind, namespace, func() *Services {
		if all, there := c.made[kind+" "].(*Services); there { // one watch has them all
			return informer.Derive(all, func(full *corev1.Service) *object.Service { return reduce(full, &c.fields) })
		}
		resource := informer.Resource{Kind: kind, Name: "services", Namespace: namespace}
		return start(c, resource, reduce, client, "spec.type"+operator+string(corev1.ServiceTypeLoadBalancer))
	})
}

// EndpointSlices returns the store of EndpointSlices in a namespace, "" for all.
func (c *Cluster) EndpointSlices(namespace string) *EndpointSlices {
	return kept(c, "endpointslice", namespace, func() *EndpointSlices {
		resource := informer.Resource{Kind: "endpointslice", Name: "endpointslices", Group: discoveryv1.GroupName, Namespace: namespace}
		return start(c, resource, object.NewEndpointSlice, c.clients.Discovery.EndpointSlices(namespace), "")
	})
}

// Ingresses returns the store of Ingresses in a namespace, "" for all.
func (c *Cluster) Ingresses(namespace string) *Ingresses {
	return kept(c, "ingress", namespace, func() *Ingresses {
		resource := informer.Resource{Kind: "ingress", Name: "ingresses", Group: networkingv1.GroupName, Namespace: namespace, Optional: true}
		return start(c, resource, object.NewIngress, c.clients.Networking.Ingresses(namespace), "")
	})
}

// Nodes returns the store of the Nodes that a label selector selects.
func (c *Cluster) Nodes(selector labels.Selector) *Nodes {
	return kept(c, "node", selector.String(), func() *Nodes {
		resource := informer.Resource{Kind: "node", Name: "nodes", Optional: true, Without: "exclude_nodes has no effect"}
		s := newStore(c, resource, selector.String(), func(full *corev1.Node, _ *object.Fields) *object.Node {
			if !selector.Matches(labels.Set(full.Labels)) {
				return nil
			}
			return object.NewNode(full)
		})
		c.run = append(c.run, func(ctx context.Context) {
			informer.Run(ctx, s, labelled[*corev1.NodeList]{c.clients.Core.Nodes(), selector.String()}, "")
		})
		return s
	})
}

// labelled is a client that asks only for the objects that a label selector selects.
type labelled[L informer.List] struct {
	informer.Client[L]
	selector string
}

// List implements the informer.Client interface.
func (c labelled[L]) List(ctx context.Context, options metav1.ListOptions) (L, error) {
	options.LabelSelector = c.selector
	return c.Client.List(ctx, options)
}

// Watch implements the informer.Client interface.
func (c labelled[L]) Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	options.LabelSelector = c.selector
	return c.Client.Watch(ctx, options)
}

// kept returns the store of a kind in a namespace, "" for all. It calls make the first time.
func kept[T any](c *Cluster, kind, namespace string, make func() T) T {
	key := kind + " " + namespace
	if c.made[key] == nil {
		c.made[key] = make()
	}
	return c.made[key].(T)
}

func newStore[R informer.Full, T kindObject](
	c *Cluster, resource informer.Resource, scope string, reduce func(R, *object.Fields) T,
) *informer.Store[R, T] {
	s := informer.NewStore(c.Watch(resource, c.log), func(full R) T { return reduce(full, &c.fields) })
	c.stores = append(c.stores, store{s.Status, scope, stored[R, T]{s}})
	return s
}

// start returns a new store that Run fills.
func start[L informer.List, R informer.Full, T kindObject](
	c *Cluster, resource informer.Resource, reduce func(R, *object.Fields) T, client informer.Client[L], selector string,
) *informer.Store[R, T] {
	s := newStore(c, resource, resource.Namespace, reduce)
	c.run = append(c.run, func(ctx context.Context) { informer.Run(ctx, s, client, selector) })
	return s
}

func (s stored[R, T]) uid(name cache.ObjectName) types.UID {
	if object, there := s.Get(name); there {
		return object.Metadata().UID
	}
	return ""
}

func (s stored[R, T]) save() []snapshot.Object { return as[snapshot.Object](s.List()) }

func (s stored[R, T]) seed(objects []snapshot.Object) { s.Seed(as[T](objects)) }

// load lists those of the objects that belong to the store.
func (s stored[R, T]) load(objects []runtime.Object, scope string) {
	var list []any
	for _, full := range as[R](objects) {
		kind := full.GetObjectKind().GroupVersionKind().Kind
		if (kind == "" || strings.EqualFold(kind, strings.TrimPrefix(s.Kind, "labelled "))) && (scope == "" || scope == cmp.Or(full.GetNamespace(), full.GetName())) {
			list = append(list, full)
		}
	}
	s.Replace(list, "")
}

// as returns those of the objects that are of a type.
func as[U, T any](all []T) []U {
	some := make([]U, 0, len(all))
	for _, object := range all {
		if is, ok := any(object).(U); ok {
			some = append(some, is)
		}
	}
	return some
}
