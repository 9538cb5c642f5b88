package controller

import (
	"context"
	"errors"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/validation/field"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

const (
	// fieldManager owns what we write (S11).
	fieldManager = "minilb"
	// writeTimeout is how long a single write may take.
	writeTimeout = 10 * time.Second
)

// reduce returns what we need of a Service, nil if its status is not for us to write (S6, M8).
func (c *Controller) reduce(full *corev1.Service) *service {
	if lb.Ignored(full.Labels) {
		return nil
	}
	if !lb.Exposed(&full.Spec, c.options.Class, c.options.DefaultClass) {
		return c.reduceForeign(full)
	}
	s := &service{
		name:     cache.MetaObjectToName(full),
		uid:      full.UID,
		version:  full.ResourceVersion,
		deleting: full.DeletionTimestamp != nil,
		settled:  apiequality.Semantic.DeepEqual(full.Status.LoadBalancer.Ingress, wanted(full, c.options.Domain)),
	}
	if !s.settled {
		s.rival = lastManager(full.ManagedFields)
	}
	if c.recorder != nil {
		s.find(full)
	}
	return s
}

// wanted returns what the status of a Service should say. It depends on name, namespace and
// domain alone (S1), never on pods, and has neither IP nor port (S2, S3, S4).
func wanted(service metav1.Object, domain string) []corev1.LoadBalancerIngress {
	return []corev1.LoadBalancerIngress{{Hostname: lb.Hostname(service, domain)}}
}

// write makes the status of a Service say want (S11). A Service that is gone, was re-created
// or has changed its type meanwhile is left alone: its own event follows or has come already.
func (c *Controller) write(ctx context.Context, s *service) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()

	want := wanted(&metav1.ObjectMeta{Namespace: s.name.Namespace, Name: s.name.Name}, c.options.Domain)
	status := applycorev1.LoadBalancerStatus()
	for _, ingress := range want {
		status.WithIngress(applycorev1.LoadBalancerIngress().WithHostname(ingress.Hostname))
	}
	body := applycorev1.Service(s.name.Name, s.name.Namespace).
		WithUID(s.uid).
		WithStatus(applycorev1.ServiceStatus().WithLoadBalancer(status))
	written, err := c.client.CoreV1().Services(s.name.Namespace).ApplyStatus(ctx, body,
		metav1.ApplyOptions{FieldManager: fieldManager, Force: true})

	name := s.name.String()
	switch {
	case err == nil:
		c.writes.WithLabelValues(resultSuccess).Inc()
		c.contests.wrote(s, written.ResourceVersion)
		if c.complaints.settle(writing) {
			c.log.Info("writing the status of services again")
		}
		c.log.Info("status written", "service", name, "hostname", want[0].Hostname)
		updated := s.finding(reasonStatusUpdated, "The Service is reached as "+want[0].Hostname+", which its status says now")
		updated.normal = true
		c.recorder.tell(updated)
	case overtaken(ctx, c.client, s, err):
		c.writes.WithLabelValues(resultDropped).Inc()
		c.log.Debug("status not written: the Service is not the one we knew", "service", name, "err", err)
		err = nil
	default:
		c.writes.WithLabelValues(resultError).Inc()
	}
	return err
}

// overtaken reports whether a write failed because the Service has changed since we read it,
// so that writing the same again would be pointless: it is gone, another one has its name now (S11) or it is
// no LoadBalancer any more (S8).
func overtaken(ctx context.Context, client kubernetes.Interface, s *service, err error) bool {
	switch {
	case apierrors.IsNotFound(err):
		return true
	case apierrors.IsConflict(err): // which does not say of what: the Service does
		list, err := client.CoreV1().Services(s.name.Namespace).List(ctx, metav1.ListOptions{
			FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, s.name.Name).String(),
		})
		return err == nil && !slices.ContainsFunc(list.Items, func(now corev1.Service) bool { return now.UID == s.uid })
	}
	var answer apierrors.APIStatus
	return apierrors.IsInvalid(err) && errors.As(err, &answer) && answer.Status().Details != nil &&
		slices.ContainsFunc(answer.Status().Details.Causes, outdated)
}

// outdated reports whether the API server complains of what the Service has become, not of what
// we write: it has another uid, or may have no such status.
func outdated(cause metav1.StatusCause) bool {
	return cause.Field == "metadata.uid" || cause.Field == "status.loadBalancer.ingress" && cause.Type == metav1.CauseType(field.ErrorTypeForbidden)
}
