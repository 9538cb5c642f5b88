// Package informer keeps objects of an API server in memory: each Store has the reduced objects of one kind, and a Status
// that reports how far they are known. It knows no kind of its own.
package informer

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// Logger is where the state of watches is reported.
type Logger interface {
	Infof(format string, args ...any)
	Warningf(format string, args ...any)
}

// Server is the API server that several watches share: a failure that concerns the server and not a kind is logged once.
// The hooks are set before the first Store is made; each may be nil.
type Server struct {
	Log Logger
	// OnChange is called after each change of a Store's objects. The Store is locked, so that it must not wait.
	OnChange func()
	// OnStatus is called after each change of a Status's State.
	OnStatus func()
	// OnExpired is called when a watch cannot be resumed: the API server may serve other kinds than before.
	OnExpired func()
	// Remind is after what time a failure that lasts is logged again, 0 for never.
	// Consequence is what follows from it in the log, by default that what is known is served. Neither is for optional kinds.
	Remind      time.Duration
	Consequence string

	Watches []*Status // fixed before anything runs

	restored atomic.Int32

	mu         sync.Mutex
	failing    report    // none while it answers
	lost       time.Time // start of the outage, if it does not
	recoveries int       // number of outages that have ended
}

// Watch adds a watch of a resource. Its log is the server's if log is nil.
func (s *Server) Watch(resource Resource, log Logger) *Status {
	status := &Status{Resource: resource, Log: cmp.Or(log, s.Log), server: s}
	s.Watches = append(s.Watches, status)
	return status
}

// OutageDuration returns for how long no request has been answered, 0 without an outage.
func (s *Server) OutageDuration() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing.failure == nil {
		return 0
	}
	return time.Since(s.lost)
}

// Failure returns why the API server cannot be read at all, nil if it can.
func (s *Server) Failure() *kube.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failing.failure
}

// Unreachable reports whether the API server could not be reached at the last attempt.
func (s *Server) Unreachable() bool { return kindOf(s.Failure()) == kube.Unreachable }

// Restored reports whether some objects are a snapshot's, and not listed by the API server yet.
func (s *Server) Restored() bool { return s.restored.Load() > 0 }

// report is the failure that was reported last, nil for none.
type report struct {
	failure *kube.Error
	logged  time.Time
}

// repeats replaces the failure. It reports whether the new one is of the same kind and need not be logged again.
func (r *report) repeats(failure *kube.Error, remind time.Duration) bool {
	alike := kindOf(failure) == kindOf(r.failure)
	r.failure = failure
	if alike && (failure == nil || remind == 0 || time.Since(r.logged) < remind) {
		return true
	}
	r.logged = time.Now()
	return false
}

// follows returns the consequence of a failure for the log, after a conjunction.
func follows(conjunction, consequence string, known bool) string {
	switch {
	case consequence != "":
		return conjunction + consequence
	case known:
		return conjunction + "serving the last known state"
	}
	return ""
}

// report logs why the API server cannot be read at all, once for each kind of reason, and as a reminder.
func (s *Server) report(failure *kube.Error) {
	s.mu.Lock()
	before := s.failing.failure
	repeats := s.failing.repeats(failure, s.Remind)
	switch {
	case failure == nil && before != nil:
		s.recoveries++
	case failure != nil && before == nil:
		s.lost = time.Now()
	}
	s.mu.Unlock()
	switch {
	case repeats:
	case failure == nil:
		s.Log.Infof("The API server answers again")
	default:
		known := !slices.ContainsFunc(s.Watches, func(w *Status) bool { return !w.Optional && !w.Known() })
		s.Log.Warningf("%s; retrying%s", failure.Text, follows(", and ", s.Consequence, known))
	}
}
