package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	failing string // reason last reported, "" while it works
}

// server is the API server as all watches of one kubeconfig see it: what concerns the server
// and not a kind is reported once and not by each watch.
type server struct {
	log  Logger
	host string

	mu      sync.Mutex
	failing string
}

func (h *health) event() { h.lastEvent.Store(time.Now().UnixNano()) }

// setSynced notes that the objects are all known, as handed on to the subscribers (D71).
func (h *health) setSynced() {
	h.refused.Store(false)
	h.synced.Store(true)
}

// observe takes note of a request's outcome and logs it if it differs from the one before.
func (h *health) observe(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // we are shutting down
	}
	var ownReason, serverReason string
	refused := false
	switch {
	case err == nil:
	case apierrors.IsForbidden(err):
		refused = true
		ownReason = fmt.Sprintf("this user may not list and watch %s: grant it, see deploy/kustomize", h.what())
	case apierrors.IsNotFound(err):
		refused = true
		ownReason = fmt.Sprintf("it does not serve %s", h.what())
	case apierrors.IsResourceExpired(err), apierrors.IsGone(err):
		return // the reflector lists anew, as it should
	case apierrors.IsUnauthorized(err):
		serverReason = "it does not accept the credentials (401): the token may have expired"
	default:
		serverReason = describe(err)
	}
	if serverReason == "" {
		h.report(ownReason, refused)
	}
	h.server.report(serverReason)
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

func (h *health) report(failing string, refused bool) {
	h.mu.Lock()
	before := h.failing
	h.failing = failing
	h.mu.Unlock()
	if failing == before {
		return
	}
	switch {
	case failing == "":
		h.server.log.Infof("API server %s lets us read %s again", h.server.host, h.what())
	case h.synced.Load():
		h.server.log.Warningf("API server %s: %s; the last known state is served", h.server.host, failing)
	default:
		h.server.log.Warningf("API server %s: %s", h.server.host, failing)
	}
	if refused && !h.synced.Load() && !h.refused.Swap(true) {
		h.settled() // the other kinds need not wait for this one (G7)
	}
}

func (s *server) report(failing string) {
	s.mu.Lock()
	before := s.failing
	s.failing = failing
	s.mu.Unlock()
	switch {
	case failing == before:
	case failing == "":
		s.log.Infof("API server %s answers again", s.host)
	default:
		s.log.Warningf("API server %s: %s; retrying, and serving what is known", s.host, failing)
	}
}

// describe puts an error of the connection into words that do not change from one attempt to
// the next, as the port numbers and addresses in client-go's do.
func describe(err error) string {
	var opError *net.OpError
	var dnsError *net.DNSError
	switch {
	case errors.As(err, &dnsError):
		return fmt.Sprintf("its name %q does not resolve", dnsError.Name)
	case errors.As(err, &opError) && opError.Op == "dial":
		return "cannot connect: " + last(err)
	case errors.As(err, &opError):
		return "the connection broke: " + last(err)
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return fmt.Sprintf("it answers %d %s", status.Status().Code, status.Status().Reason)
	}
	return last(err)
}

// last returns the innermost error's text, on one line.
func last(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return strings.Join(strings.Fields(err.Error()), " ")
		}
		err = inner
	}
}
