package controller

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// What is written: so many Events a second in the long run, and so many at a time, of all
// namespaces and of each. Whoever may write in a namespace decides how much is wrong there.
const (
	eventRate, eventBurst                   = 10, 50
	namespaceEventRate, namespaceEventBurst = 1, 20
)

// What is remembered: so many findings of all namespaces and of each. Of what is beyond that nothing
// is told until others are put right.
const (
	maxFindings          = 4096
	maxNamespaceFindings = 512
	// maxNews is how many findings wait that are told once and do not last: those of a burst of Services
	// are not worth minutes of writing.
	maxNews = 32
)

const (
	// settling is how long a finding must last to be told: most changes of objects come in twos and threes.
	settling = 2 * time.Second
	// renewal is when a finding that lasts is told again: API servers forget Events after an hour.
	// One that is still there is not written twice, for it has the same name.
	renewal = time.Hour + time.Minute
	// denials is after how many refusals one is taken for lasting: an API server that has just
	// started forbids for a moment what it allows once it has read its roles.
	denials = 3
	// deniedRetry and deniedPatience are the pauses after a refusal, before and after that.
	deniedRetry, deniedPatience = time.Second, 10 * time.Minute
	// eventRetry is the pause after any other failure.
	eventRetry = 10 * time.Second
)

// becoming is how long a host that leads nowhere must do so to be told: most often its object is being
// set up. It is a variable for tests, which set it when they link.
var becoming = "30s"

// recorder writes an Event of each finding, once for as long as the finding lasts (S17). Nobody waits
// for it: what cannot be written now is written later, or never.
type recorder struct {
	// create writes an Event.
	create func(context.Context, *eventsv1.Event) error
	// may reports whether our account may write Events in a namespace, whatever else refuses them.
	may func(ctx context.Context, namespace string) bool
	// there reports whether an object is there, as far as can be told.
	there func(context.Context, *corev1.ObjectReference) (bool, error)
	// instance is which of the controllers this is.
	instance string
	// becoming is the variable of that name.
	becoming time.Duration
	log      *slog.Logger
	now      func() time.Time
	// written counts the Events that were created, by reason; failed those that were not.
	written *prometheus.CounterVec
	failed  prometheus.Counter

	limiter flowcontrol.PassiveRateLimiter
	wake    chan struct{} // holds a token while there may be something to write

	mu         sync.Mutex
	topics     map[string][]string // what findings there are, by who has found them
	told       map[string]*telling // by their keys
	troubles   map[about]*trouble
	namespaces map[string]*audience
	news       int
	pause      time.Time // nothing is written before
	complained bool
	crowded    bool // that something was left out was said
}

// telling is the state of a finding.
type telling struct {
	finding
	due    time.Time
	once   bool     // it is forgotten once it is told
	ends   *trouble // whose end it tells
	topics int      // how many have found it
}

// lasts reports whether something is wrong, until that is put right.
func (t *telling) lasts() bool { return !t.normal && !t.once }

func newRecorder(create func(context.Context, *eventsv1.Event) error, may func(context.Context, string) bool,
	there func(context.Context, *corev1.ObjectReference) (bool, error), instance string, becoming time.Duration, log *slog.Logger) *recorder {
	return &recorder{
		create: create, may: may, there: there, instance: instance, becoming: becoming, log: log, now: time.Now,
		written: newEventsWritten(), failed: newEventsFailed(),
		limiter:    flowcontrol.NewTokenBucketPassiveRateLimiter(eventRate, eventBurst),
		wake:       make(chan struct{}, 1),
		topics:     map[string][]string{},
		told:       map[string]*telling{},
		troubles:   map[about]*trouble{},
		namespaces: map[string]*audience{},
	}
}

// replace takes all findings of a topic, which is whoever has found them. Without a recorder nothing
// is recorded.
func (r *recorder) replace(topic string, findings []finding) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(findings) == 0 && len(r.topics[topic]) == 0 {
		return
	}
	findings = slices.Clone(findings)
	found := make(map[string]*finding, len(findings))
	still := make(map[about]bool, len(findings)) // what is wrong, and whether nobody can tell
	keys := make([]string, 0, len(findings))
	for i := range findings {
		f := &findings[i]
		still[f.about()] = still[f.about()] || f.unsure
		if f.unsure {
			continue
		}
		if before := r.troubles[f.about()]; before != nil {
			f.round = before.end.round
		}
		found[f.key()] = f
	}
	for _, key := range r.topics[topic] {
		t := r.told[key]
		if found[key] != nil || still[t.about()] {
			keys = append(keys, key)
			delete(found, key)
		} else if t.topics--; t.topics == 0 {
			r.forget(key)
			if _, is := still[t.about()]; !is {
				r.end(t.about())
			}
		}
	}
	for i := range findings { // once there is room
		key := findings[i].key()
		if found[key] == nil {
			continue
		}
		delete(found, key)
		if t := r.told[key]; t != nil {
			t.topics++
		} else if !r.add(key, &telling{finding: findings[i], due: r.now().Add(r.patience(&findings[i])), topics: 1}) {
			continue
		}
		keys = append(keys, key)
	}
	r.topics[topic] = keys
	if len(keys) == 0 {
		delete(r.topics, topic)
	}
}

// tell takes a finding that does not last, unless too many wait.
func (r *recorder) tell(f finding) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if key := f.key(); r.news < maxNews && r.told[key] == nil && !r.namespaces[f.home()].muted(r.now()) {
		r.add(key, &telling{finding: f, due: r.now(), once: true})
	}
}

// patience is how long a finding must last to be told.
func (r *recorder) patience(f *finding) time.Duration {
	if f.reason == reasonHostNotServed {
		return r.becoming
	}
	return settling
}

// add remembers a finding if there is room. It is called with the lock held, as are those below.
func (r *recorder) add(key string, t *telling) bool {
	to := r.namespaces[t.home()]
	if len(r.told) >= maxFindings || to != nil && to.findings >= maxNamespaceFindings {
		if !r.crowded {
			r.crowded = true
			r.log.Warn("more is wrong than events are written of: put right what they tell of, and they will tell of the rest",
				"namespace", t.home(), "most", maxNamespaceFindings, "most in all", maxFindings)
		}
		return false
	}
	if to == nil {
		to = &audience{limiter: flowcontrol.NewTokenBucketPassiveRateLimiter(namespaceEventRate, namespaceEventBurst)}
		r.namespaces[t.home()] = to
	}
	to.findings++
	r.told[key] = t
	if t.once {
		r.news++
	}
	if t.lasts() {
		r.begin(&t.finding)
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return true
}

// forget drops a finding that is none any more.
func (r *recorder) forget(key string) {
	t := r.told[key]
	if t == nil {
		return
	}
	delete(r.told, key)
	if t.once {
		r.news--
	}
	if t.ends != nil {
		t.ends.ending = false
	}
	if t.lasts() {
		r.troubles[t.about()].findings--
	}
	r.namespaces[t.home()].left(r.now())
}

// count returns how many findings there are.
func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.told)
}

// run writes Events until ctx ends.
func (r *recorder) run(ctx context.Context) {
	for ctx.Err() == nil {
		key, event, pause := r.next()
		if event != nil {
			if event.Reason != reasonResolved || r.stands(ctx, key, event) {
				r.write(ctx, key, event)
			}
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// next returns an Event to write, or how long there is none. Of each namespace that which is due
// first is first, and the namespaces take turns by that.
func (r *recorder) next() (key string, event *eventsv1.Event, pause time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if pause := r.pause.Sub(now); pause > 0 {
		return "", nil, pause
	}
	r.tidy(now)
	pause = renewal
	first := map[string]string{} // key by namespace
	for key, t := range r.told {
		due := t.due
		if until := r.namespaces[t.home()].pause; until.After(due) {
			due = until
		}
		if wait := due.Sub(now); wait > 0 {
			pause = min(pause, wait)
			continue
		}
		if before, any := first[t.home()]; !any || r.sooner(key, before) {
			first[t.home()] = key
		}
	}
	if len(first) == 0 {
		return "", nil, pause
	}
	keys := slices.SortedFunc(maps.Values(first), func(a, b string) int {
		if r.sooner(a, b) {
			return -1
		}
		return 1
	})
	for _, key := range keys {
		t := r.told[key]
		if !r.namespaces[t.home()].limiter.TryAccept() {
			continue
		}
		if !r.limiter.TryAccept() {
			break
		}
		return key, t.event(r.instance, now), 0
	}
	return "", nil, min(pause, time.Second/eventRate)
}

// sooner reports whether one finding is due before another one.
func (r *recorder) sooner(a, b string) bool {
	if before := r.told[a].due.Compare(r.told[b].due); before != 0 {
		return before < 0
	}
	return a < b
}

// write creates an Event and notes when the finding is to be told again.
func (r *recorder) write(ctx context.Context, key string, event *eventsv1.Event) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	r.mu.Lock()
	t := r.told[key] // nil if it was put right meanwhile
	r.mu.Unlock()
	err := r.create(ctx, event)
	trouble := kube.Explain("create", "events.events.k8s.io", err)
	if trouble != nil && trouble.Kind == kube.Forbidden && !leaving(err) && r.may(ctx, event.Namespace) {
		trouble = &kube.Failure{Kind: kube.Refused, Text: "events.events.k8s.io: a policy or a quota of the cluster refuses it: " + err.Error(), Cause: err}
	}
	if ctx.Err() != nil && err != nil && context.Cause(ctx) == context.Canceled {
		return // we are stopping
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	to := r.namespaces[event.Namespace] // there until next tidies up
	switch {
	case err == nil:
		r.written.WithLabelValues(event.Reason).Inc()
		r.settle(to)
	case apierrors.IsAlreadyExists(err):
		r.settle(to) // by another controller, or by us before a restart
	case leaving(err):
	case trouble.Kind == kube.Forbidden:
		r.failed.Inc()
		to.denied++
		to.pause = now.Add(deniedRetry)
		if to.denied >= denials {
			r.mute(to, event.Namespace)
			if !r.complained {
				r.complained = true
				// Statuses are written all the same.
				r.log.Info("events are not written, or not everywhere (-events=false does without): " + trouble.Text)
			}
		}
		return
	case trouble.Kind == kube.Refused:
		r.failed.Inc()
		r.mute(to, event.Namespace)
		if t != nil {
			t.due = to.pause // others come first then: a policy may be about this one alone
		}
		if !to.refused {
			to.refused = true
			r.log.Warn("event not written: "+trouble.Text, "reason", event.Reason, "object", event.Regarding.Kind+" "+event.Namespace+"/"+event.Regarding.Name)
		}
		return
	default: // the watch of Services tells of it
		r.failed.Inc()
		r.log.Debug("event not written: " + trouble.Text)
		if t != nil {
			t.due = now.Add(eventRetry) // others come first then
		}
		if trouble.Kind == kube.Unwell {
			to.pause = now.Add(eventRetry) // a webhook may be so for one namespace
		} else {
			r.pause = now.Add(eventRetry)
		}
		return
	}
	if t == nil {
		return
	}
	t.due = now.Add(renewal)
	if t.once {
		r.forget(key)
	}
	if err == nil || apierrors.IsAlreadyExists(err) {
		r.shown(key, t)
	}
}
