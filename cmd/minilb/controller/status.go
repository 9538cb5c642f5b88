package controller

import (
	"context"
	"errors"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/cmd/minilb/controller/events"
	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

const (
	fieldManager   = events.FieldManager
	requestTimeout = 10 * time.Second
)

// write applies the status to a Service (S11), unless that was deleted, re-created or given another type meanwhile.
func (c *Controller) write(ctx context.Context, s *service) error {
	hostname := lb.Hostname(&metav1.ObjectMeta{Namespace: s.name.Namespace, Name: s.name.Name}, c.options.Domain)
	written, err := applyStatus(ctx, c.client, s, hostname)
	name := s.name.String()
	switch {
	case err == nil:
		c.writes.WithLabelValues(resultSuccess).Inc()
		c.conflicts.wrote(s, written.ResourceVersion)
		if c.failures.clear(writing) {
			c.log.Info("writing the status of services again")
		}
		c.log.Info("status written", "service", name, "hostname", hostname)
		updated := s.problem(events.StatusUpdated, "The Service is reached as "+hostname+", which its status has now")
		updated.Normal = true
		c.recorder.Report(updated)
	case staleWrite(ctx, c.client, s, err):
		c.writes.WithLabelValues(resultDropped).Inc()
		c.log.Debug("status not written: the Service has changed", "service", name, "err", err)
		err = nil
	default:
		c.writes.WithLabelValues(resultError).Inc()
	}
	return err
}

// applyStatus applies a hostname. "" is none, not even an empty status, which would stay ours: what only we own is removed (S13).
func applyStatus(ctx context.Context, client kubernetes.Interface, s *service, hostname string) (*corev1.Service, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	body := applycorev1.Service(s.name.Name, s.name.Namespace).WithUID(s.uid)
	if hostname != "" {
		ingress := applycorev1.LoadBalancerIngress().WithHostname(hostname)
		body.WithStatus(applycorev1.ServiceStatus().WithLoadBalancer(applycorev1.LoadBalancerStatus().WithIngress(ingress)))
	}
	return client.CoreV1().Services(s.name.Namespace).ApplyStatus(ctx, body, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
}

// staleWrite reports whether a write failed because the Service was deleted, another one has its name now (S11) or it is no
// LoadBalancer any more (S8).
func staleWrite(ctx context.Context, client kubernetes.Interface, s *service, err error) bool {
	switch {
	case apierrors.IsNotFound(err):
		return true
	case apierrors.IsConflict(err): // of an unknown field
		exists, err := serviceExists(ctx, client, s.name, s.uid, true)
		return err == nil && !exists
	}
	var answer apierrors.APIStatus
	return apierrors.IsInvalid(err) && errors.As(err, &answer) && answer.Status().Details != nil &&
		slices.ContainsFunc(answer.Status().Details.Causes, outdated)
}

// serviceExists reports whether there is a Service with the UID. One that is being deleted counts if deleting is set.
func serviceExists(ctx context.Context, client kubernetes.Interface, name cache.ObjectName, uid types.UID, deleting bool) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	// A list, as the shipped permissions have no get.
	list, err := client.CoreV1().Services(name.Namespace).List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name.Name).String()})
	return err == nil && slices.ContainsFunc(list.Items, func(now corev1.Service) bool {
		return now.UID == uid && (deleting || now.DeletionTimestamp == nil)
	}), err
}

// outdated reports whether the API server rejects what the Service has become: another UID, or one without such a status.
func outdated(cause metav1.StatusCause) bool {
	return cause.Field == "metadata.uid" || cause.Field == "status.loadBalancer.ingress" && cause.Type == metav1.CauseType(field.ErrorTypeForbidden)
}

// reportWrite logs a write that failed and will be retried: once for all Services if the cause is not the Service itself.
func (c *Controller) reportWrite(name cache.ObjectName, err error) {
	failure := kube.Classify("patch", "services/status", err)
	about := writing
	switch {
	case failure.Denied != "": // by a policy that may be about all Services
		about = writing + " " + failure.Denied
	case failure.Kind == kube.Rejected:
		about = topic(name)
	}
	c.failures.report(about, failure, "service", name.String())
}

// writing is the topic of failed writes that are not about a single Service. The first write that succeeds clears it.
const writing = "services/status"

func topic(name cache.ObjectName) string { return writing + " " + name.String() }
