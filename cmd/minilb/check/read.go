package check

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/pager"

	"github.com/minilb/minilb/cmd/minilb/inspect"
	"github.com/minilb/minilb/plugin/minilb/kube"
)

// state is what a cluster has of the objects that we look at ourselves.
type state struct {
	services []*corev1.Service
	byName   map[cache.ObjectName]*corev1.Service
	slices   map[cache.ObjectName][]*discoveryv1.EndpointSlice // by Service
	nodes    []*corev1.Node
	marked   []marked
	groups   map[string]bool // of the API
	unread   []Problem
}

// marked is an object that can be marked for us by labels and annotations, Services apart.
type marked struct {
	kind string
	*metav1.PartialObjectMetadata
}

// clients talk to one API server.
type clients struct {
	kubernetes.Interface
	metadata metadata.Interface
}

func newClients(config *rest.Config) (*clients, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client of the kubeconfig: %w", err)
	}
	// The metadata client has content types of its own.
	plain := metadata.ConfigFor(config)
	objects, err := metadata.NewForConfig(plain)
	if err != nil {
		return nil, fmt.Errorf("make a client of the kubeconfig: %w", err)
	}
	return &clients{client, objects}, nil
}

// read reads the namespaces, all if there are none, and the kinds of the Gateway API in the versions
// given. What may not be read is left out, with a problem, unless nothing could be said without it.
func (c *clients) read(ctx context.Context, namespaces []string, served []inspect.ServedKind) (*state, error) {
	s := &state{byName: map[cache.ObjectName]*corev1.Service{}, slices: map[cache.ObjectName][]*discoveryv1.EndpointSlice{}, groups: map[string]bool{}}
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	for _, namespace := range namespaces {
		err := each(ctx, func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return c.CoreV1().Services(namespace).List(ctx, options)
		}, func(service *corev1.Service) {
			s.services = append(s.services, service)
			s.byName[cache.MetaObjectToName(service)] = service
		})
		if err != nil {
			return nil, kube.Classify("list", "services", err)
		}
		err = each(ctx, func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return c.DiscoveryV1().EndpointSlices(namespace).List(ctx, options)
		}, func(slice *discoveryv1.EndpointSlice) {
			service := cache.NewObjectName(slice.Namespace, slice.Labels[discoveryv1.LabelServiceName]) // E1
			s.slices[service] = append(s.slices[service], slice)
		})
		if err != nil {
			return nil, kube.Classify("list", "endpointslices", err)
		}
		for _, kind := range append(gatewayKinds(served), objectKind{"Ingress", schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"}}) {
			if kind.kind == "GatewayClass" {
				continue // has nothing of ours
			}
			err := each(ctx, func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				return c.metadata.Resource(kind.resource).Namespace(namespace).List(ctx, options)
			}, func(object *metav1.PartialObjectMetadata) { s.marked = append(s.marked, marked{kind.kind, object}) })
			// The dry run reports these.
			if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
				return nil, kube.Classify("list", kind.resource.GroupResource().String(), err)
			}
		}
	}
	err := each(ctx, func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return c.CoreV1().Nodes().List(ctx, options)
	}, func(node *corev1.Node) { s.nodes = append(s.nodes, node) })
	switch {
	case apierrors.IsForbidden(err):
		s.unread = append(s.unread, Problem{Warning, "APIResource", "", "nodes", "Unread",
			"nodes may not be listed by this account: routes are not checked", "run this with an account that may list nodes"})
	case err != nil:
		return nil, kube.Classify("list", "nodes", err)
	}
	groups, err := c.Discovery().ServerGroups()
	if err != nil {
		return nil, kube.Classify("discover", "API groups", err)
	}
	for _, group := range groups.Groups {
		s.groups[group.Name] = true
	}
	return s, nil
}

// each calls f for all objects of a list.
func each[T runtime.Object](ctx context.Context, list pager.ListPageFunc, f func(T)) error {
	return pager.New(list).EachListItem(ctx, metav1.ListOptions{}, func(object runtime.Object) error {
		f(object.(T))
		return nil
	})
}

// objectKind is a kind of objects and where to read it.
type objectKind struct {
	kind     string
	resource schema.GroupVersionResource
}

// gatewayKinds returns those kinds that are served.
func gatewayKinds(served []inspect.ServedKind) []objectKind {
	var kinds []objectKind
	for _, s := range served {
		if s.Version != "" {
			kinds = append(kinds, objectKind{s.Kind, s.Resource.WithVersion(s.Version)})
		}
	}
	return kinds
}
