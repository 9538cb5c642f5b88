package check

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/pager"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// state is what the dry run does not have: all fields of Services and EndpointSlices, Services of other types, nodes.
type state struct {
	services []*corev1.Service
	byName   map[cache.ObjectName]*corev1.Service
	slices   map[cache.ObjectName][]*discoveryv1.EndpointSlice // by Service
	nodes    []*corev1.Node
	groups   map[string]bool // of the API
	unread   []Problem
}

// read reads the namespaces. Without permission to list nodes these are left out, with a problem.
func read(ctx context.Context, c kubernetes.Interface, namespaces []string) (*state, error) {
	s := &state{byName: map[cache.ObjectName]*corev1.Service{}, slices: map[cache.ObjectName][]*discoveryv1.EndpointSlice{}, groups: map[string]bool{}}
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
