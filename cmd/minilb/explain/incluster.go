package explain

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// unreachable adds which addresses only the cluster reaches, of those that claims lead to: some
// controllers publish their Service's ClusterIP. All Services are read for that, of which the server
// reads only those of type LoadBalancer; without that permission nothing is added.
func (e *explainer) unreachable(ctx context.Context) {
	var known lb.InCluster
	for i := range e.Claims {
		c := &e.Claims[i]
		for _, address := range c.Addresses {
			if known == nil {
				list, err := e.client.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
				if err != nil {
					return
				}
				var services []*corev1.Service
				for n := range list.Items {
					services = append(services, &list.Items[n])
				}
				known = lb.NewInCluster(services)
			}
			what := known.Describe(address)
			if what == "" {
				continue
			}
			text := fmt.Sprintf("%s is %s, which clients outside of the cluster do not reach", address, what)
			if !strings.Contains(e.Summary, text) {
				e.Summary += " Address " + text + "."
			}
			if c.Message != "" {
				c.Message += "; "
			}
			c.Message += fmt.Sprintf("its address %s: annotation %s can name a Service of class %s instead", text, lb.ServiceAnnotation, e.block.Options.Class)
		}
	}
}
