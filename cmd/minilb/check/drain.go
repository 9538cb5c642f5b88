package check

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// drainTime finds the Services whose pods end while clients still have their addresses (L9), by one pod of each.
func (c *checker) drainTime(ctx context.Context) error {
	for _, service := range c.services {
		ttl, ours := c.Corefile.TTL(func(o *config.Options) bool {
			return lb.IsExposed(service) || lb.IsOurs(&service.Spec, o.Class, o.DefaultClass)
		})
		ref := lb.ExamplePod(c.slices[cache.MetaObjectToName(service)]...)
		if !ours || lb.Ignored(service.Labels) || ref == nil || len(service.Spec.Selector) == 0 {
			continue
		}
		pod, err := c.client.CoreV1().Pods(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err): // it has just gone
			continue
		case apierrors.IsForbidden(err):
			c.add(Problem{Notice, "APIResource", "", "pods", "Unread",
				"pods may not be read by this account: whether they serve on when they end is not checked",
				"run this with an account that may get pods"})
			return nil
		case err != nil:
			return kube.Classify("get", "pods", err)
		}
		if text, fix := lb.NoDrainTime(&pod.Spec, max(ttl, object.TTLOf(service.Annotations))); text != "" {
			c.addService(service, Notice, "NoDrainTime", text, fix)
		}
	}
	return nil
}
