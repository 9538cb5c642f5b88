package events

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

const (
	// FieldManager owns what we write (S11).
	FieldManager   = "minilb"
	requestTimeout = 10 * time.Second
)

// Recorder writes an Event of each problem, once for as long as it lasts (S17). Nobody waits for a write. A nil Recorder records
// nothing.
type Recorder struct {
	client   kubernetes.Interface
	exists   func(context.Context, *Problem) (bool, error)
	instance string                 // identifies this process in Events
	written  *prometheus.CounterVec // by reason
	failed   prometheus.Counter

	mu       sync.Mutex
	schedule *schedule
}

// New returns a Recorder whose Events name instance as their writer. exists reports whether a problem's object does, as far
// as is known. delay is how long a host must lead nowhere to be reported, and a condition be resolved.
func New(client kubernetes.Interface, exists func(context.Context, *Problem) (bool, error),
	instance string, delay time.Duration, log *slog.Logger) *Recorder {
	return &Recorder{
		client: client, exists: exists, instance: instance, schedule: newSchedule(delay, log), written: newWritten(),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "minilb_controller_event_errors_total",
			Help: "Events that the API server did not accept.",
		}),
	}
}

// Replace takes all problems that a source has now: those that it had before and are not among them are resolved.
func (r *Recorder) Replace(source string, problems []Problem) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.schedule.replace(source, problems)
}

// Report takes a problem whose Event is written once, unless too many wait.
func (r *Recorder) Report(p Problem) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.schedule.report(p)
}

// Problems returns those that have an Event or are to have one, in no particular order.
func (r *Recorder) Problems() []Problem {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Problem, 0, len(r.schedule.entries))
	for _, e := range r.schedule.entries {
		all = append(all, e.Problem)
	}
	return all
}

// Run writes Events until ctx ends.
func (r *Recorder) Run(ctx context.Context) {
	for ctx.Err() == nil {
		r.mu.Lock()
		e, pause := r.schedule.next()
		r.mu.Unlock()
		if e != nil {
			if e.resolves == nil || r.fixed(ctx, e) {
				r.write(ctx, e)
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-r.schedule.wake:
		case <-time.After(pause):
		}
	}
}

// fixed reports whether the end of a condition is to be reported: not if nobody has fixed the object but it is gone, nor while
// that is unknown, nor if there is a problem again.
func (r *Recorder) fixed(ctx context.Context, e *entry) bool {
	exists, err := r.exists(ctx, &e.Problem)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil:
		e.due = time.Now().Add(retryDelay)
	case !exists:
		r.schedule.drop(e)
	}
	return err == nil && r.schedule.entries[e.key] == e
}

func (r *Recorder) write(ctx context.Context, e *entry) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	event := e.event(r.instance, time.Now())
	_, err := r.client.EventsV1().Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{FieldManager: FieldManager})
	failure := kube.Classify("create", "events.events.k8s.io", err)
	terminating := apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || apierrors.IsNotFound(err)
	if failure != nil && failure.Kind == kube.Forbidden && !terminating && r.mayCreate(ctx, event.Namespace) {
		failure = &kube.Error{Kind: kube.Rejected, Text: "events.events.k8s.io: a policy or a quota of the cluster refuses it: " + err.Error(), Cause: err}
	}
	if err != nil && context.Cause(ctx) == context.Canceled {
		return // we are stopping
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.written.WithLabelValues(event.Reason).Inc()
		r.schedule.written(e)
	case apierrors.IsAlreadyExists(err): // by another controller, or by us before a restart
		r.schedule.written(e)
	case terminating:
		r.schedule.skip(e)
	default:
		r.failed.Inc()
		r.schedule.fail(e, failure)
	}
}

// mayCreate reports whether our account may write Events in a namespace, whatever else refuses them.
func (r *Recorder) mayCreate(ctx context.Context, namespace string) bool {
	review, err := r.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: "create", Group: eventsv1.GroupName, Resource: "events",
		}},
	}, metav1.CreateOptions{})
	return err == nil && review.Status.Allowed
}
