package events

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// hostDelay is how long a host must lead nowhere to be reported, and a condition be resolved: most often an object is being
// set up. Tests set it when they link.
var hostDelay = "30s"

// requestTimeout is how long a request may take.
const requestTimeout = 10 * time.Second

// API is the API server as a Recorder needs it.
type API interface {
	CreateEvent(context.Context, *eventsv1.Event) error
	// MayCreateEvents reports whether our account may write Events in a namespace, whatever else refuses them.
	MayCreateEvents(ctx context.Context, namespace string) bool
	// Exists reports whether an object exists, as far as is known.
	Exists(context.Context, *corev1.ObjectReference) (bool, error)
}

// Recorder writes an Event of each problem, once for as long as it lasts (S17). Nobody waits for a write. A nil Recorder records
// nothing.
type Recorder struct {
	api      API
	instance string // identifies this process in Events
	log      *slog.Logger
	written  *prometheus.CounterVec // by reason
	failed   prometheus.Counter

	mu       sync.Mutex
	schedule *schedule
}

// New returns a Recorder whose Events name instance as their writer.
func New(api API, instance string, log *slog.Logger) (*Recorder, error) {
	delay, err := time.ParseDuration(hostDelay)
	if err != nil {
		return nil, fmt.Errorf("delay of hosts: %w", err)
	}
	return &Recorder{
		api: api, instance: instance, log: log, schedule: newSchedule(delay, log), written: newWritten(),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "minilb_controller_event_errors_total",
			Help: "Events that the API server did not accept.",
		}),
	}, nil
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
		e, event, pause := r.next()
		if event != nil {
			if e.resolves == nil || r.fixed(ctx, e, event) {
				r.write(ctx, e, event)
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

func (r *Recorder) next() (*entry, *eventsv1.Event, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.schedule.next(r.instance)
}

// fixed reports whether the end of a condition is to be reported.
func (r *Recorder) fixed(ctx context.Context, e *entry, event *eventsv1.Event) bool {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	exists, err := r.api.Exists(ctx, &event.Regarding)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.schedule.checked(e, exists, err)
}

func (r *Recorder) write(ctx context.Context, e *entry, event *eventsv1.Event) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := r.api.CreateEvent(ctx, event)
	failure := kube.Classify("create", "events.events.k8s.io", err)
	terminating := apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || apierrors.IsNotFound(err)
	if failure != nil && failure.Kind == kube.Forbidden && !terminating && r.api.MayCreateEvents(ctx, event.Namespace) {
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
	case failure.Kind == kube.Forbidden:
		r.failed.Inc()
		r.schedule.deny(event.Namespace, failure.Text)
	case failure.Kind == kube.Rejected:
		r.failed.Inc()
		r.schedule.reject(e, failure.Text)
	default: // logged by the watch of Services
		r.failed.Inc()
		r.log.Debug("event not written: " + failure.Text)
		r.schedule.postpone(e, failure.Kind != kube.ServerError)
	}
}
