package informer

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// State is how far the objects of one watch are known.
type State int

const (
	Unknown   State = iota // nothing yet: the first list is under way
	Restored               // from a snapshot
	Listed                 // by the API server, maybe a while ago
	NotServed              // the API server does not serve the kind
	Forbidden              // the API server refuses to show objects that it has never shown
	Failing                // the kind is optional, and could not be read for optionalTimeout, or not listed for listTimeout
)

func (s State) known() bool { return s == Restored || s == Listed }

const (
	// forbiddenGrace is for how long a kind must be forbidden before that counts: an API server has no roles at first.
	forbiddenGrace = 2 * time.Second
	// optionalTimeout is for how long an optional kind that fails is awaited: longer than forbiddenGrace and a retry, and
	// less than the default startup_timeout.
	optionalTimeout = 4 * time.Second
	// notFoundGrace is for how long 404 for a kind that was served goes unreported: a busy API server still announces
	// deleted CRDs.
	notFoundGrace = 15 * time.Second
	// listTimeout is how long the first list of an optional kind may take.
	listTimeout = 30 * time.Second
)

// Resource is what one watch reads.
type Resource struct {
	Kind      string // "service"
	Name      string // "services", as permissions are written
	Group     string // API group, "" for the core's
	Namespace string // "" for all
	Verbs     string // what is asked for, "" for list and watch
	Optional  bool   // what depends on other kinds only can do without it
	Without   string // what follows in the log while an optional kind is not known, "" for nothing
}

// String returns the resource as an administrator would grant it.
func (r *Resource) String() string {
	text := schema.GroupResource{Group: r.Group, Resource: r.Name}.String()
	if r.Namespace != "" {
		text += fmt.Sprintf(" in namespace %q", r.Namespace)
	}
	return text
}

// Status is the state of one watch. It logs once why the kind cannot be read, and once that it can be read again.
type Status struct {
	Resource
	Log Logger // of what concerns this kind

	server     *Server
	gone       func() // called at 404; nil for a kind that every API server has
	notAwaited atomic.Bool
	unwatched  atomic.Bool  // listed, and its watch is not requested yet
	lastEvent  atomic.Int64 // unix nanoseconds, not monotonic; 0 for never

	mu sync.Mutex
	progress
}

// progress is what is known of a watch. It is not safe for concurrent use.
type progress struct {
	state    State     // never Failing, which depends on the time
	last     State     // when a change was last reported
	begun    time.Time // when the first list was requested, zero before
	since    time.Time // of the first failure in a row, zero while requests succeed
	kind     kube.Kind // of the last failure, "" for none
	alike    time.Time // of the first failure in a row of that kind
	answer   int       // the server's recoveries at the last failure while it answered
	reported report
}

func (p *progress) now(optional bool) State {
	if p.state == Unknown && optional &&
		(!p.begun.IsZero() && time.Since(p.begun) > listTimeout || !p.since.IsZero() && time.Since(p.since) > optionalTimeout) {
		return Failing
	}
	return p.state
}

// State returns how far the objects are known.
func (s *Status) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now(s.Optional)
}

// Known reports whether there are objects to be used: the API server's, or those of a snapshot.
func (s *Status) Known() bool { return s.State().known() }

// Decided reports whether the objects are known, or there will be none for the time being.
func (s *Status) Decided() bool { return s.State() != Unknown }

// Unavailable reports whether there may be objects that are not known.
func (s *Status) Unavailable() bool {
	state := s.State()
	return !state.known() && state != NotServed
}

// Awaited reports whether the start has to wait for this kind (G7).
func (s *Status) Awaited() bool { return !s.Decided() && !s.notAwaited.Load() }

// Complete reports whether a snapshot would have all objects that the API server shows.
func (s *Status) Complete() bool {
	state := s.State()
	return state == Listed || s.Optional && (state == NotServed || state == Forbidden)
}

// Waive makes the start not wait for this kind.
func (s *Status) Waive() { s.notAwaited.Store(true) }

// LastEvent returns when the API server last sent anything about the kind, a bookmark included; zero for never.
func (s *Status) LastEvent() time.Time {
	if last := s.lastEvent.Load(); last != 0 {
		return time.Unix(0, last)
	}
	return time.Time{}
}

func (s *Status) event() { s.lastEvent.Store(time.Now().UnixNano()) }

// Failure returns why the kind cannot be read, nil if it can.
func (s *Status) Failure() *kube.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reported.failure
}

// Set moves the watch to a state.
func (s *Status) Set(state State) {
	s.move(func(p *progress) { p.state = state })
	s.notify()
}

// move changes what is known. Its caller calls notify, once no lock is held.
func (s *Status) move(change func(*progress)) {
	s.mu.Lock()
	before := s.state
	change(&s.progress)
	after := s.state
	s.mu.Unlock()
	switch server := s.server; {
	case before == after:
	case after == Restored:
		server.restored.Add(1)
	case before == Restored && server.restored.Add(-1) == 0:
		server.Log.Infof("All that was served from the snapshot is now as the API server has it")
	}
}

// notify calls the server's OnStatus if the state has changed since the last call.
func (s *Status) notify() {
	s.mu.Lock()
	state := s.now(s.Optional)
	changed := state != s.last
	s.last = state
	s.mu.Unlock()
	if changed && s.server.OnStatus != nil {
		s.server.OnStatus()
	}
}

// begin records that the first list is requested now.
func (s *Status) begin() {
	s.move(func(p *progress) {
		p.begun = time.Now() // with the monotonic clock, which nobody sets
		if p.state == NotServed {
			p.state = Unknown
		}
	})
}

// restored records that the objects are a snapshot's, unless they have been listed by now.
func (s *Status) restored() {
	s.move(func(p *progress) {
		if p.state != Listed {
			p.state = Restored
		}
	})
}

// forget resets the watch of a kind that is no longer served.
func (s *Status) forget() {
	s.move(func(p *progress) { *p = progress{state: NotServed, last: p.last} })
}

// outcome records how a request failed, and returns the failure, nil for success, and for how long requests have failed alike.
func (s *Status) outcome(err error) (failure *kube.Error, lasting time.Duration) {
	failure = kube.Classify(cmp.Or(s.Verbs, "list and watch"), s.String(), err)
	kind, now := kindOf(failure), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind != s.kind {
		s.kind, s.alike = kind, now
	}
	switch {
	case kind == "":
		s.since = time.Time{}
	case s.since.IsZero():
		s.since = now
	}
	return failure, now.Sub(s.alike)
}

// Observe records a request's outcome, and logs it if it differs from the one before.
func (s *Status) Observe(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	failure, lasting := s.outcome(err)
	if s.State() == NotServed {
		s.begin()
	}
	switch {
	case failure == nil:
		s.report(nil)
		s.server.report(nil)
	case apierrors.IsResourceExpired(err), apierrors.IsGone(err):
		if s.server.OnExpired != nil {
			s.server.OnExpired()
		}
	case failure.Kind == kube.Unreachable, failure.Kind == kube.Unauthorized:
		s.unanswered(failure, lasting)
	case failure.Kind == kube.Forbidden && lasting < forbiddenGrace:
	case s.gone != nil && apierrors.IsNotFound(err) && (lasting < optionalTimeout || s.State() == Listed && lasting < notFoundGrace):
		s.gone()
	default:
		s.report(failure)
		s.server.report(nil)
		if failure.Kind == kube.Forbidden || apierrors.IsNotFound(err) {
			s.move(func(p *progress) { // what was listed stays, as does what was restored of a kind that all depends on
				if p.state == Unknown || s.Optional && p.state == Restored {
					p.state = Forbidden
				}
			})
		}
	}
	s.notify()
}

// listed records a list that works. Only the watch that follows shows whether the kind can be read: an account may have
// one permission without the other.
func (s *Status) listed() {
	s.unwatched.Store(true)
	s.server.report(nil)
}

// unanswered reports a request without an answer as the server's failure, or as this kind's if the server has answered
// others since the kind began to fail. The first failure after an outage is neither: the request may be older than its end.
func (s *Status) unanswered(failure *kube.Error, lasting time.Duration) {
	s.server.mu.Lock()
	answers, recoveries := s.server.failing.failure == nil, s.server.recoveries
	s.server.mu.Unlock()
	if lasting == 0 || !answers {
		s.server.report(failure)
		return
	}
	s.mu.Lock()
	again := s.answer == recoveries
	s.answer = recoveries
	s.mu.Unlock()
	if again {
		s.report(&kube.Error{Kind: failure.Kind, Text: s.String() + ": " + failure.Text})
	}
}

// Dismiss records that a kind on which nothing depends at present cannot be read: it counts as not served. If it stays
// forbidden, that is logged once, followed by note, unless note is empty.
func (s *Status) Dismiss(err error, note string) {
	failure, lasting := s.outcome(err)
	s.move(func(p *progress) {
		if p.state != Listed && (p.state != Restored || lasting >= forbiddenGrace) {
			p.state = NotServed
		}
	})
	s.notify()
	if note != "" && failure.Kind == kube.Forbidden && lasting >= forbiddenGrace {
		failure.Text += note
		s.report(failure)
	}
}

// report logs why this kind cannot be read, once for each kind of reason, and as a reminder.
func (s *Status) report(failure *kube.Error) {
	remind, consequence := s.server.Remind, s.server.Consequence
	if s.Optional {
		remind, consequence = 0, ""
	}
	s.mu.Lock()
	repeats := s.reported.repeats(failure, remind)
	known := s.now(s.Optional).known()
	s.mu.Unlock()
	if !known {
		consequence = cmp.Or(consequence, s.Without)
	}
	switch {
	case repeats:
	case failure == nil:
		s.Log.Infof("%s: can be read again", s)
	default:
		s.Log.Warningf("%s%s", failure.Text, follows("; ", consequence, known))
	}
}

// kindOf returns the kind of a failure, "" for none.
func kindOf(failure *kube.Error) kube.Kind {
	if failure == nil {
		return ""
	}
	return failure.Kind
}
