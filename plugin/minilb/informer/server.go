// Package informer keeps objects of an API server in memory: each Store has those of one kind, reduced to what is
// needed of them, and a Status that says how far they are known. It knows no kind of its own.
package informer

import (
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

// Server is an API server as all watches of one kubeconfig see it: what concerns the server and not a kind is
// reported once and not by each watch. The hooks are set before anything runs; each may be nil.
type Server struct {
	Log Logger
	// OnChange is called after each change of a Store's objects. The Store is locked, so that it must not wait.
	OnChange func()
	// OnStatus is called after each change of a Status's State.
	OnStatus func()
	// OnExpired is called when a watch cannot be resumed: what the API server serves may not be what it served before.
	OnExpired func()
	// Remind is after what time a failure that lasts is logged again, 0 for never.
	// Consequence is what follows from it in the log, by default that what is known is served. Neither is for optional kinds.
	Remind      time.Duration
	Consequence string

	watches  []*Status // fixed before anything runs
	restored atomic.Int32

	mu         sync.Mutex
	failing    *kube.Error // last reported, nil while it answers
	logged     time.Time   // when that was logged last
	lost       time.Time   // since when it has not answered, zero while it does
	recoveries int         // how often it has come back
}

// Watch adds a watch of a resource, whose state is logged in place of the server's log if log is not nil.
func (s *Server) Watch(resource Resource, log Logger) *Status {
	status := &Status{Resource: resource, Log: log, server: s}
	if log == nil {
		status.Log = s.Log
	}
	s.watches = append(s.watches, status)
	return status
}

// Watches returns the state of all watches.
func (s *Server) Watches() []*Status { return s.watches }

// OutageDuration returns for how long no request was answered, 0 while they are.
func (s *Server) OutageDuration() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost.IsZero() {
		return 0
	}
	return time.Since(s.lost)
}

// Failure returns why the API server cannot be read at all, nil if it can.
func (s *Server) Failure() *kube.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failing
}

// Unreachable reports whether the API server cannot be reached, as far as the last attempt shows.
func (s *Server) Unreachable() bool { return kindOf(s.Failure()) == kube.Unreachable }

// Restored reports whether some objects are those of a snapshot, and the API server has not listed them yet.
func (s *Server) Restored() bool { return s.restored.Load() > 0 }

// answers reports whether the last request was answered, and how often the server has come back so far.
func (s *Server) answers() (now bool, recoveries int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failing == nil, s.recoveries
}

// serving reports whether all that is not optional is known.
func (s *Server) serving() bool {
	return !slices.ContainsFunc(s.watches, func(w *Status) bool { return !w.Optional && !w.Known() })
}

// repeats reports whether a failure is of the same kind as the one before and need not be logged again. Otherwise it sets logged.
func repeats(failure, before *kube.Error, logged *time.Time, remind time.Duration) bool {
	if kindOf(failure) == kindOf(before) && (failure == nil || remind == 0 || time.Since(*logged) < remind) {
		return true
	}
	*logged = time.Now()
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
	before := kindOf(s.failing)
	repeats := repeats(failure, s.failing, &s.logged, s.Remind)
	s.failing = failure
	switch {
	case failure == nil && before != "":
		s.lost = time.Time{}
		s.recoveries++
	case failure != nil && before == "":
		s.lost = time.Now()
	}
	s.mu.Unlock()
	switch {
	case repeats:
	case failure == nil:
		s.Log.Infof("The API server answers again")
	default:
		s.Log.Warningf("%s; retrying%s", failure.Text, follows(", and ", s.Consequence, s.serving()))
	}
}

// restore counts the watches whose objects are a snapshot's.
func (s *Server) restore(before, after State) {
	switch {
	case before == after:
	case after == Restored:
		s.restored.Add(1)
	case before == Restored && s.restored.Add(-1) == 0:
		s.Log.Infof("All that was served from the snapshot is now as the API server has it")
	}
}

// changed notes that objects have changed.
func (s *Server) changed() {
	if s.OnChange != nil {
		s.OnChange()
	}
}
