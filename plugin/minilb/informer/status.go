package informer

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// Resource is what one watch reads.
type Resource struct {
	Kind      string // "service"
	Name      string // "services", as permissions are written
	Group     string // API group, "" for the core's
	Namespace string // "" for all
	Verbs     string // what is asked for, "" for list and watch
	Optional  bool   // what depends on other kinds only can do without it
}

// String returns the resource as an administrator would grant it.
func (r *Resource) String() string {
	text := r.Name
	if r.Group != "" {
		text += "." + r.Group
	}
	if r.Namespace != "" {
		text += fmt.Sprintf(" in namespace %q", r.Namespace)
	}
	return text
}

// Status is the state of one watch. It logs once why the kind cannot be read, and that it can be again.
type Status struct {
	Resource
	Log Logger // of what concerns this kind

	server     *Server
	gone       func()       // called at 404; nil for a kind that every API server has
	notAwaited atomic.Bool  // it came only after the start
	unwatched  atomic.Bool  // it was listed, and its watch is still to be asked for
	lastEvent  atomic.Int64 // unix nanoseconds, of the machine's clock as others see it

	mu sync.Mutex
	progress
}

// State returns what is known of the objects.
func (s *Status) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now(s.Optional)
}

// Known reports whether there are objects to be used: the API server's, or those of a snapshot.
func (s *Status) Known() bool { return consequences[s.State()].known }

// Decided reports whether the objects are known, or there will be none for the time being.
func (s *Status) Decided() bool { return consequences[s.State()].decided }

// Unavailable reports whether there may be objects that nobody knows.
func (s *Status) Unavailable() bool { return consequences[s.State()].unavailable }

// Awaited reports whether the start has to wait for this kind (G7).
func (s *Status) Awaited() bool { return !s.Decided() && !s.notAwaited.Load() }

// Complete reports whether all is known that the API server lets be known.
func (s *Status) Complete() bool {
	state := s.State()
	return state == Listed || s.Optional && consequences[state].complete
}

// Waive lets the start not wait for this kind.
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
	return s.reported
}

// Set moves the watch to a state.
func (s *Status) Set(state State) {
	s.move(func(p *progress) { p.state = state })
	s.notify()
}

// move changes what is known. Whoever calls it calls notify, once no lock is held.
func (s *Status) move(change func(*progress)) {
	s.mu.Lock()
	before := s.state
	change(&s.progress)
	after := s.state
	s.mu.Unlock()
	s.server.restore(before, after)
}

// notify lets the server's OnStatus be called if the state is another than when that was last done.
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

// begin notes that the first list is asked for from now on.
func (s *Status) begin() {
	s.move(func(p *progress) {
		p.begun = time.Now() // with the monotonic clock, which nobody sets
		if p.state == NotServed {
			p.state = Unknown
		}
	})
}

// restored notes that the objects are a snapshot's, unless the API server has listed them by now.
func (s *Status) restored() {
	s.move(func(p *progress) {
		if p.state != Listed {
			p.state = Restored
		}
	})
}

// forget lets the watch begin anew, of a kind that the API server does not serve any longer.
func (s *Status) forget() {
	s.move(func(p *progress) { *p = progress{state: NotServed, last: p.last} })
}

// fails notes how the last request failed, "" if it did not, and returns for how long they have failed like that.
func (s *Status) fails(kind kube.Kind) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fail(kind)
}

// explain returns a request's error as it is reported.
func (s *Status) explain(err error) *kube.Error {
	return kube.Classify(cmp.Or(s.Verbs, "list and watch"), s.String(), err)
}

// Observe takes note of a request's outcome, and logs it if it differs from the one before.
func (s *Status) Observe(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // we are shutting down
	}
	failure := s.explain(err)
	lasting := s.fails(kindOf(failure))
	s.move(func(p *progress) {
		if p.state == NotServed { // it is asked for, after all
			p.state, p.begun = Unknown, time.Now()
		}
	})
	switch {
	case failure == nil:
		s.report(nil)
		s.server.report(nil)
	case apierrors.IsResourceExpired(err), apierrors.IsGone(err):
		// The reflector lists anew, as it should. The API server may be another one than before.
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
			s.move(func(p *progress) { p.refuse(s.Optional) })
		}
	}
	s.notify()
}

// listed takes note of a list that works. Whether the kind can be read shows the watch that follows: an account may have the
// one permission without the other.
func (s *Status) listed() {
	s.unwatched.Store(true)
	s.server.report(nil)
}

// unanswered tells whether a request that got no answer is the server's failure or this kind's. It is the kind's if
// the server has answered others since the kind began to fail. The first failure after an outage is neither: the
// request may have been made before the server was back.
func (s *Status) unanswered(failure *kube.Error, lasting time.Duration) {
	answers, recoveries := s.server.answers()
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

// Dismiss takes note that a kind cannot be read that nothing depends on at present: it counts as not served. If it
// stays forbidden, that is logged once, followed by note, unless that is empty.
func (s *Status) Dismiss(err error, note string) {
	failure := s.explain(err)
	lasting := s.fails(kindOf(failure))
	s.move(func(p *progress) {
		if p.state == Restored && lasting < forbiddenGrace || p.state == Listed {
			return
		}
		p.state = NotServed
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
	repeats := repeats(failure, s.reported, &s.logged, remind)
	s.reported = failure
	known := consequences[s.now(s.Optional)].known
	s.mu.Unlock()
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
