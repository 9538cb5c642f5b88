package check

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/pager"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// read reads the cluster. Without permission to list nodes these are left out, with a problem.
func (c *checker) read(ctx context.Context) (err error) {
	if c.runs, err = c.dryRun(ctx, c.options...); err != nil {
		return err
	}
	c.served = served(c.runs)
	for _, namespace := range c.namespaces() {
		err := each(ctx, "services", c.client.CoreV1().Services(namespace).List, func(service *corev1.Service) {
			c.services = append(c.services, service)
		})
		if err != nil {
			return err
		}
		err = each(ctx, "endpointslices", c.client.DiscoveryV1().EndpointSlices(namespace).List, func(slice *discoveryv1.EndpointSlice) {
			service := cache.NewObjectName(slice.Namespace, slice.Labels[discoveryv1.LabelServiceName]) // E1
			c.slices[service] = append(c.slices[service], slice)
		})
		if err != nil {
			return err
		}
	}
	err = each(ctx, "nodes", c.client.CoreV1().Nodes().List, func(node *corev1.Node) { c.nodes = append(c.nodes, node) })
	switch {
	case apierrors.IsForbidden(err):
		c.add(Problem{Warning, "APIResource", "", "nodes", "Unread",
			"nodes may not be listed by this account: routes are not checked", "run this with an account that may list nodes"})
	case err != nil:
		return err
	}
	if len(c.nodes) > 0 {
		if c.found, err = c.networks.Read(ctx, c.LAN.Provider); err != nil {
			return err
		}
		if err := c.cni(ctx); err != nil {
			return err
		}
	}
	if c.LAN, err = c.LAN.Locate(ctx, c.client); err != nil && len(c.nodes) > 0 {
		c.add(Problem{Warning, "APIResource", "", "nodes", "Unread", err.Error(),
			"run this where the API server's name can be resolved, with an account that may list endpointslices in the namespace default"})
	}
	return nil
}

// each calls f for all objects of a list.
func each[L, T runtime.Object](
	ctx context.Context, resource string, list func(context.Context, metav1.ListOptions) (L, error), f func(T),
) error {
	pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return list(ctx, options)
	})
	err := pages.EachListItem(ctx, metav1.ListOptions{}, func(object runtime.Object) error {
		f(object.(T))
		return nil
	})
	if err != nil {
		return kube.Classify("list", resource, err)
	}
	return nil
}
