package source

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// Logger is where the state of the watches and the objects that cannot be served are
// reported, each once.
type Logger interface {
	Infof(format string, args ...any)
	Warningf(format string, args ...any)
	Errorf(format string, args ...any)
}

// health is what is known of one watch: whether its first list has arrived, when it last
// said anything, and why it fails if it does.
type health struct {
	kind      string // "service"
	resource  string // "services", as permissions are written
	group     string // API group, "" for the core's
	namespace string // "" for all
	verbs     string // what is asked for, "" for list and watch
	optional  bool   // it adds names; without it those of the others are right all the same
	gone      func() // called when the API server does not know the kind; nil for those it always does
	server    *server
	settled   func() // called after each complete list, and when it turns out that there will be none

	synced    atomic.Bool
	restored  atomic.Bool               // its objects are those of a snapshot, and the API server has not listed them yet
	refused   atomic.Bool               // 403 or 404 before the first list
	absent    atomic.Bool               // the API server does not serve it
	late      atomic.Bool               // it has come to be served only after the first look
	begun     atomic.Pointer[time.Time] // when the first list was asked for, nil before
	lastEvent atomic.Int64              // unix nanoseconds, of the machine's clock as others see it

	mu      sync.Mutex
	failing *kube.Error // last reported, nil while it works
	since   time.Time   // of the first failure in a row, zero while it works
	alike   time.Time   // of the first in a row that failed as the last one did
	last    kube.Kind   // how the last one failed, "" if it did not
}

const (
	// grace is how long a kind must be forbidden, and nothing else, to be taken for it: an API
	// server that has just started knows no roles yet.
	grace = 2 * time.Second
	// patience is how long an optional kind that fails for whatever reason is waited for: until
	// after the attempt that tells of one that is forbidden, and for less than the default
	// startup_timeout.
	patience = 4 * time.Second
	// vanishing is how long a kind that was served may be unknown to the API server before that is told:
	// the definitions of a release are deleted one after the other, and a busy API server goes on to
	// offer for a while what it no longer has.
	vanishing = 15 * time.Second
	// listTimeout is how long the first list of an optional kind may take.
	listTimeout = 30 * time.Second
)

// waived reports whether the first names need not wait for this kind any longer (G7).
func (h *health) waived() bool { return h.late.Load() || h.lost() }

// lost reports whether there will be no objects of the kind for the time being: the API server
// does not serve it or refuses to show it, or it only adds names and cannot be had for a while.
func (h *health) lost() bool {
	if h.refused.Load() || h.absent.Load() {
		return true
	}
	if begun := h.begun.Load(); h.optional && begun != nil && time.Since(*begun) > listTimeout {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.optional && !h.since.IsZero() && time.Since(h.since) > patience
}

// decided reports whether its objects are all known, or there will be none.
func (h *health) decided() bool { return h.listed() || h.lost() }

// server is the API server as all watches of one kubeconfig see it: what concerns the server
// and not a kind is reported once and not by each watch.
type server struct {
	log     Logger
	shared  Logger // for what is said of the API server as such and of Services; nil for log
	watches []*health
	doubted func() // called when a watch cannot be resumed; nil for no need

	snapshot *keeper      // nil if none is kept
	restored atomic.Int32 // how many of the watches are

	lost atomic.Pointer[time.Time] // since when it has not answered, nil while it does

	mu      sync.Mutex
	failing *kube.Error // last reported, nil while it answers
}

// away returns for how long no request was answered, 0 while they are.
func (s *server) away() time.Duration {
	lost := s.lost.Load()
	if lost == nil {
		return 0
	}
	return time.Since(*lost)
}

// serving reports whether what is known suffices to answer.
func (s *server) serving() bool {
	return !slices.ContainsFunc(s.watches, func(h *health) bool { return !h.optional && !h.listed() })
}

// begin notes that the first list is asked for from now on.
func (h *health) begin() {
	now := time.Now() // with the monotonic clock, which nobody sets
	h.begun.Store(&now)
}

func (h *health) event() { h.lastEvent.Store(time.Now().UnixNano()) }

// setSynced notes that the objects are all known, as handed on to the subscribers (D71).
func (h *health) setSynced() {
	h.synced.Store(true)
	h.refused.Store(false)
	h.unrestore()
}

// forget lets the watch begin anew, of a kind that the API server does not serve any longer.
func (h *health) forget() {
	h.absent.Store(true)
	h.synced.Store(false)
	h.refused.Store(false)
	h.unrestore()
	h.begun.Store(nil)
	h.server.touch()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failing, h.last, h.since = nil, "", time.Time{}
}

// observe takes note of a request's outcome and logs it if it differs from the one before.
func (h *health) observe(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // we are shutting down
	}
	failure := kube.Classify(cmp.Or(h.verbs, "list and watch"), h.what(), err)
	switch lasting := h.fails(kindOf(failure)); {
	case failure == nil:
		h.report(nil)
		h.server.report(nil)
	case apierrors.IsResourceExpired(err), apierrors.IsGone(err):
		// The reflector lists anew, as it should. The API server may be another one than before.
		h.server.doubt()
	case (failure.Kind == kube.Unreachable || failure.Kind == kube.Unauthorized) && lasting > 0 && h.server.answers():
		// Others have had answers since it began to fail: it is this kind's alone, and to be said once.
		h.report(&kube.Error{Kind: failure.Kind, Text: h.what() + ": " + failure.Text})
	case failure.Kind == kube.Unreachable, failure.Kind == kube.Unauthorized:
		h.server.report(failure)
	case failure.Kind == kube.Forbidden && lasting < grace:
	case h.gone != nil && apierrors.IsNotFound(err) && (lasting < patience || h.synced.Load() && lasting < vanishing):
		h.gone()
	default:
		h.report(failure)
		h.server.report(nil)
		if (failure.Kind == kube.Forbidden || apierrors.IsNotFound(err)) && !h.synced.Load() {
			h.refused.Store(true)
		}
	}
	if failure != nil && !h.synced.Load() && h.waived() {
		h.settled()
	}
}

// fails notes how the last request failed, "" if it did not, and returns for how long they have
// failed like that.
func (h *health) fails(kind kube.Kind) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if kind != h.last {
		h.last, h.alike = kind, now
	}
	switch {
	case kind == "":
		h.since = time.Time{}
	case h.since.IsZero():
		h.since = now
	}
	return now.Sub(h.alike)
}

func (h *health) what() string {
	what := h.resource
	if h.group != "" {
		what += "." + h.group
	}
	if h.namespace != "" {
		what += fmt.Sprintf(" in namespace %q", h.namespace)
	}
	return what
}

// report logs why this kind cannot be read, once for each kind of reason.
func (h *health) report(failure *kube.Error) {
	h.mu.Lock()
	before := kindOf(h.failing)
	h.failing = failure
	h.mu.Unlock()
	log := h.server.log
	if h.kind == "service" {
		log = h.server.sharedLog()
	}
	switch {
	case kindOf(failure) == before:
	case failure == nil:
		log.Infof("%s: can be read again", h.what())
	case h.listed():
		log.Warningf("%s; serving the last known state", failure.Text)
	default:
		log.Warningf("%s", failure.Text)
	}
}

// report logs why the API server cannot be read at all, once for each kind of reason.
func (s *server) report(failure *kube.Error) {
	s.mu.Lock()
	before := kindOf(s.failing)
	s.failing = failure
	s.mu.Unlock()
	if failure == nil {
		s.lost.Store(nil)
	} else {
		now := time.Now()
		s.lost.CompareAndSwap(nil, &now)
	}
	log := s.sharedLog()
	switch {
	case kindOf(failure) == before:
	case failure == nil:
		log.Infof("The API server answers again")
	case s.serving():
		log.Warningf("%s; retrying, and serving the last known state", failure.Text)
	default:
		log.Warningf("%s; retrying", failure.Text)
	}
}

// sharedLog returns where is said what other watches of the API server say as well.
func (s *server) sharedLog() Logger {
	if s.shared == nil {
		return s.log
	}
	return s.shared
}

// doubt notes that what the API server serves may not be what it served before.
func (s *server) doubt() {
	if s.doubted != nil {
		s.doubted()
	}
}

// answers reports whether the last that was heard of the API server was an answer.
func (s *server) answers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failing == nil
}

// unreachable reports whether the last that was found out of it is that it cannot be reached.
func (s *server) unreachable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return kindOf(s.failing) == kube.Unreachable
}

// trouble returns why the API server cannot be read at all, nil if it can.
func (s *server) trouble() *kube.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failing
}

// trouble returns why the kind cannot be read, nil if it can.
func (h *health) trouble() *kube.Error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failing
}

// kindOf returns the kind of a failure, "" for none.
func kindOf(failure *kube.Error) kube.Kind {
	if failure == nil {
		return ""
	}
	return failure.Kind
}
