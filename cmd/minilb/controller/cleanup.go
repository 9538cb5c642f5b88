package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/pager"

	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// cleanupListTimeout is how long listing the Services may take.
const cleanupListTimeout = time.Minute

// Cleanup takes what controllers have written out of the status of the Services of our class
// (S13), whatever their domain was, and tells out of each in one line. It takes the rights that
// a controller has and leaves what others own. A Service that is refused does not keep it from
// the next, any other trouble does. A controller that still runs writes anew.
func Cleanup(ctx context.Context, client kubernetes.Interface, options Options, out io.Writer) error {
	tell := func(format string, args ...any) error {
		_, err := fmt.Fprintln(out, printable.Line(fmt.Sprintf(format, args...))) // M10
		return err
	}
	services, err := listWritten(ctx, client, options)
	if err != nil {
		return interrupted(ctx, kube.Explain("list", "services", err))
	}
	if len(services) == 0 {
		return tell("nothing to do: no Service %s has a status that minilb has applied", options.selection())
	}
	removed := 0
	var failure error
	for _, service := range services {
		name := service.name
		left, err := disown(ctx, client, service)
		switch {
		case err == nil && len(left.Status.LoadBalancer.Ingress) == 0:
			removed++
			tell("service %s: status removed", name)
			continue
		case err == nil:
			tell("service %s: status kept, for it is also that of %s", name, ingressOwners(left))
			continue
		case overtaken(ctx, client, service, err):
			tell("service %s: deleted or of another type meanwhile", name)
			continue
		}
		trouble := kube.Explain("patch", "services/status", err)
		if trouble.Kind != kube.Refused {
			failure = trouble
			break
		}
		if failure == nil {
			failure = fmt.Errorf("service %s: %w", name, trouble)
		}
	}
	tell("removed the status of %d of %d Services %s", removed, len(services), options.selection())
	return interrupted(ctx, failure)
}

// selection says in words which Services are ours.
func (o Options) selection() string {
	if o.DefaultClass {
		return "of class " + o.Class + " or without a class"
	}
	return "of class " + o.Class
}

// interrupted returns err, or a failure of its own if err came because the user has had enough:
// other than a controller, a cleanup is not done when it ends early.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted: there may be Services left; run it again")
	}
	return err
}

// listWritten returns the Services to clean up.
func listWritten(ctx context.Context, client kubernetes.Interface, options Options) (services []*service, err error) {
	ctx, cancel := context.WithTimeout(ctx, cleanupListTimeout)
	defer cancel()
	list := func(ctx context.Context, page metav1.ListOptions) (runtime.Object, error) {
		return client.CoreV1().Services(metav1.NamespaceAll).List(ctx, page)
	}
	// All are read before the first is written.
	err = pager.New(list).EachListItem(ctx, metav1.ListOptions{FieldSelector: loadBalancers}, func(object runtime.Object) error {
		if full := object.(*corev1.Service); written(full, options) {
			services = append(services, &service{name: cache.MetaObjectToName(full), uid: full.UID})
		}
		return nil
	})
	return services, err
}

// written reports whether a Service is of our class and has a status that we own (S6, S11).
// Neither the label that has us ignore it (M8), nor its deletion (M5), nor the domain matters.
func written(service *corev1.Service, options Options) bool {
	return lb.Exposed(&service.Spec, options.Class, options.DefaultClass) &&
		slices.ContainsFunc(service.ManagedFields, func(entry metav1.ManagedFieldsEntry) bool {
			return entry.Manager == fieldManager && entry.Operation == metav1.ManagedFieldsOperationApply &&
				entry.Subresource == "status" && ownsIngress(entry)
		})
}

// ownsIngress reports whether the entry's manager owns status.loadBalancer.ingress. The list
// is atomic: it is owned as a whole.
func ownsIngress(entry metav1.ManagedFieldsEntry) bool {
	if entry.FieldsV1 == nil {
		return false
	}
	var fields struct {
		Status struct {
			LoadBalancer struct {
				Ingress json.RawMessage `json:"f:ingress"`
			} `json:"f:loadBalancer"`
		} `json:"f:status"`
	}
	err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields)
	return err == nil && fields.Status.LoadBalancer.Ingress != nil
}

// ingressOwners returns the names of those who own a Service's status.loadBalancer.ingress.
func ingressOwners(service *corev1.Service) string {
	var names []string
	for _, entry := range service.ManagedFields {
		if !ownsIngress(entry) {
			continue
		}
		name := entry.Manager
		if name == fieldManager {
			name = "an earlier minilb, which did not apply it" // an apply does not remove what an update owns
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return "somebody unknown"
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " and ")
}

// disown applies a status without anything in it: what we alone own goes, what others own, too,
// stays (S13). It returns the Service as that has left it.
func disown(ctx context.Context, client kubernetes.Interface, s *service) (*corev1.Service, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	// Not even an empty status: that would stay ours.
	body := applycorev1.Service(s.name.Name, s.name.Namespace).WithUID(s.uid)
	return client.CoreV1().Services(s.name.Namespace).ApplyStatus(ctx, body, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
}
