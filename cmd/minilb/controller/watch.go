package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// watch fills c.services until ctx ends. It is a bare reflector, as an informer has a fixed way to reconnect.
func (c *Controller) watch(ctx context.Context) {
	logger := klog.FromContext(ctx)
	backoff := kube.Reconnect
	reflector := cache.NewReflectorWithOptions(
		kube.ListThenWatch{ListWatch: &cache.ListWatch{ListWithContextFunc: c.listServices, WatchFuncWithContext: c.watchServices}},
		&corev1.Service{}, c.services,
		cache.ReflectorOptions{Name: "services", ResyncPeriod: c.options.Resync, Backoff: &backoff, Logger: &logger},
	)
	reflector.RunWithContext(ctx)
}

// loadBalancers selects the Services that can be ours. One that stops being a LoadBalancer
// is reported as deleted.
var loadBalancers = fields.OneTermEqualSelector("spec.type", string(corev1.ServiceTypeLoadBalancer)).String()

// watching is the topic of failures to list and watch.
const watching = "services"

func (c *Controller) listServices(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	options.FieldSelector = loadBalancers
	list, err := kube.ListReduced(c.resumption.Listing(ctx, &options), options, c.client.CoreV1().Services(metav1.NamespaceAll).List,
		func(full runtime.Object) any { return c.services.reduced(full) })
	if err != nil {
		c.reportWatch(ctx, err)
	}
	return list, err
}

func (c *Controller) watchServices(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	options.FieldSelector = loadBalancers
	events, err := c.resumption.Watch(ctx, options, c.client.CoreV1().Services(metav1.NamespaceAll).Watch)
	if err != nil {
		c.reportWatch(ctx, err)
	} else if c.failures.clear(watching) {
		c.log.Info("watching services again")
	}
	return events, err
}

// reportWatch logs a request for Services that failed.
func (c *Controller) reportWatch(ctx context.Context, err error) {
	if ctx.Err() != nil || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return // we are stopping; or the watch cannot be resumed, and the reflector lists again
	}
	c.failures.report(watching, kube.Explain("list and watch", "services", err))
}
