package source

import (
	"context"
	"fmt"
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
	server    *server
	settled   func() // called after each complete list, and when it turns out that there will be none

	synced    atomic.Bool
	refused   atomic.Bool  // 403 or 404 before the first list
	lastEvent atomic.Int64 // unix nanoseconds

	mu      sync.Mutex
	failing kube.Kind // reason last reported, "" while it works
}

// server is the API server as all watches of one kubeconfig see it: what concerns the server
// and not a kind is reported once and not by each watch.
type server struct {
	log Logger

	read    atomic.Bool // some of its objects are known
	mu      sync.Mutex
	failing kube.Kind // reason last reported, "" while it answers
}

func (h *health) event() { h.lastEvent.Store(time.Now().UnixNano()) }

// setSynced notes that the objects are all known, as handed on to the subscribers (D71).
func (h *health) setSynced() {
	h.server.read.Store(true)
	h.refused.Store(false)
	h.synced.Store(true)
}

// observe takes note of a request's outcome and logs it if it differs from the one before.
func (h *health) observe(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // we are shutting down
	}
	failure := kube.Explain("list and watch", h.what(), err)
	switch {
	case failure == nil:
		h.report(nil, false)
		h.server.report(nil)
	case apierrors.IsResourceExpired(err), apierrors.IsGone(err):
		// The reflector lists anew, as it should.
	case failure.Kind == kube.Forbidden, failure.Kind == kube.Refused:
		h.report(failure, failure.Kind == kube.Forbidden || apierrors.IsNotFound(err))
		h.server.report(nil)
	default:
		h.server.report(failure)
	}
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

// report logs why this kind cannot be read, once for each kind of reason. If the API server
// refuses to show it, it is not waited for any longer.
func (h *health) report(failure *kube.Failure, refused bool) {
	h.mu.Lock()
	before := h.failing
	h.failing = kindOf(failure)
	h.mu.Unlock()
	switch {
	case kindOf(failure) == before:
		return
	case failure == nil:
		h.server.log.Infof("%s: can be read again", h.what())
	case h.synced.Load():
		h.server.log.Warningf("%s; serving the last known state", failure.Text)
	default:
		h.server.log.Warningf("%s", failure.Text)
	}
	if refused && !h.synced.Load() && !h.refused.Swap(true) {
		h.settled() // the other kinds need not wait for this one (G7)
	}
}

// report logs why the API server cannot be read at all, once for each kind of reason.
func (s *server) report(failure *kube.Failure) {
	s.mu.Lock()
	before := s.failing
	s.failing = kindOf(failure)
	s.mu.Unlock()
	switch {
	case kindOf(failure) == before:
	case failure == nil:
		s.log.Infof("The API server answers again")
	case s.read.Load():
		s.log.Warningf("%s; retrying, and serving the last known state", failure.Text)
	default:
		s.log.Warningf("%s; retrying", failure.Text)
	}
}

// kindOf returns the kind of a failure, "" for none.
func kindOf(failure *kube.Failure) kube.Kind {
	if failure == nil {
		return ""
	}
	return failure.Kind
}
