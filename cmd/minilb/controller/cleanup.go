package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/pager"

	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

const cleanupListTimeout = time.Minute

// Cleanup removes what controllers have written from the status of the Services of our class (S13), whatever their domain was,
// and prints a line about each to out. It needs the permissions of a controller and leaves what others own. A write that is
// refused for a single Service does not stop it, any other failure does.
func Cleanup(ctx context.Context, client kubernetes.Interface, options Options, out io.Writer) error {
	printf := func(format string, args ...any) error {
		_, err := fmt.Fprintln(out, printable.Line(fmt.Sprintf(format, args...))) // M10
		return err
	}
	services, err := listWritten(ctx, client, options)
	if err != nil {
		return interrupted(ctx, kube.Classify("list", "services", err))
	}
	if len(services) == 0 {
		return printf("nothing to do: no Service %s has a status that minilb has applied", options.selection())
	}
	removed := 0
	var failure error
	for _, service := range services {
		name := service.name
		left, err := applyStatus(ctx, client, service, "")
		switch {
		case err == nil && len(left.Status.LoadBalancer.Ingress) == 0:
			removed++
			printf("service %s: status removed", name)
			continue
		case err == nil:
			printf("service %s: status kept, for it is also that of %s", name, ingressOwners(left))
			continue
		case staleWrite(ctx, client, service, err):
			printf("service %s: deleted or of another type meanwhile", name)
			continue
		}
		refused := kube.Classify("patch", "services/status", err)
		if refused.Kind != kube.Rejected {
			failure = refused
			break
		}
		failure = cmp.Or(failure, fmt.Errorf("service %s: %w", name, refused))
	}
	printf("removed the status of %d of %d Services %s", removed, len(services), options.selection())
	return interrupted(ctx, failure)
}

func (o Options) selection() string {
	if o.DefaultClass {
		return "of class " + o.Class + " or without a class"
	}
	return "of class " + o.Class
}

// interrupted returns err, or another error if ctx has ended: unlike a controller, a cleanup has failed then.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted: there may be Services left; run it again")
	}
	return err
}

func listWritten(ctx context.Context, client kubernetes.Interface, options Options) (services []*service, err error) {
	ctx, cancel := context.WithTimeout(ctx, cleanupListTimeout)
	defer cancel()
	list := func(ctx context.Context, page metav1.ListOptions) (runtime.Object, error) {
		return client.CoreV1().Services(metav1.NamespaceAll).List(ctx, page)
	}
	loadBalancers := fields.OneTermEqualSelector("spec.type", string(corev1.ServiceTypeLoadBalancer)).String()
	// All are read before the first is written.
	err = pager.New(list).EachListItem(ctx, metav1.ListOptions{FieldSelector: loadBalancers}, func(object runtime.Object) error {
		if full := object.(*corev1.Service); written(full, options) {
			services = append(services, &service{name: cache.MetaObjectToName(full), uid: full.UID})
		}
		return nil
	})
	return services, err
}

// written reports whether a Service is of our class and has a status that we own (S6, S11). The label minilb/ignore (M8), a
// deletion (M5) and the domain do not matter.
func written(service *corev1.Service, options Options) bool {
	return lb.IsOurs(&service.Spec, options.Class, options.DefaultClass) &&
		slices.ContainsFunc(service.ManagedFields, func(entry metav1.ManagedFieldsEntry) bool {
			return entry.Manager == fieldManager && entry.Operation == metav1.ManagedFieldsOperationApply &&
				entry.Subresource == "status" && lb.OwnsIngress(entry)
		})
}

// ingressOwners names the field managers that own a Service's status.loadBalancer.ingress.
func ingressOwners(service *corev1.Service) string {
	names := sets.New[string]()
	for _, entry := range service.ManagedFields {
		switch {
		case !lb.OwnsIngress(entry):
		case entry.Manager == fieldManager:
			names.Insert("an earlier minilb, which did not apply it") // an apply does not remove what an update owns
		default:
			names.Insert(entry.Manager)
		}
	}
	return cmp.Or(strings.Join(sets.List(names), " and "), "somebody unknown")
}
