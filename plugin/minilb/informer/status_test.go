package informer

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	errForbidden    = apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "", errors.New("no"))
	errAbsent       = apierrors.NewNotFound(schema.GroupResource{Resource: "services"}, "")
	errUnauthorized = apierrors.NewUnauthorized("no")
	errUnwell       = apierrors.NewInternalError(errors.New("etcd"))
	errGone         = apierrors.NewResourceExpired("too old")
	errUnreachable  = &url.Error{Op: "Get", URL: "https://api.example/x", Err: errors.New("connection refused")}
)

// G7: who is waited for, and for how long.
func TestStatusWaived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			name     string
			optional bool
			err      error
			at       time.Duration // when it is waived
		}{
			{"refused", false, errForbidden, forbiddenGrace},
			{"absent", true, errAbsent, 0},
			{"an optional kind fails", true, errUnwell, optionalTimeout + time.Second},
			{"an optional kind is out of reach", true, errUnreachable, optionalTimeout + time.Second},
		} {
			settled := 0
			server := &Server{Log: &testLog{}, OnStatus: func() { settled++ }}
			h := server.Watch(Resource{Name: "things", Optional: tc.optional}, nil)
			h.Observe(t.Context(), tc.err)
			if tc.at > 0 && (!h.Awaited() || settled > 0) {
				t.Errorf("%s: waived at once", tc.name)
			}
			time.Sleep(tc.at)
			h.Observe(t.Context(), tc.err)
			if h.Awaited() || settled != 1 {
				t.Errorf("%s: not waived after %s", tc.name, tc.at)
			}
		}
		synced := (&Server{Log: &testLog{}}).Watch(Resource{Name: "services"}, nil)
		synced.Set(Listed)
		synced.Observe(t.Context(), errForbidden)
		time.Sleep(forbiddenGrace)
		if synced.Observe(t.Context(), errForbidden); synced.State() != Listed {
			t.Error("a permission that is lost later is waived: what is known must be served")
		}
		required := (&Server{Log: &testLog{}}).Watch(Resource{Name: "services"}, nil)
		required.Observe(t.Context(), errUnwell)
		time.Sleep(time.Hour)
		if !required.Awaited() {
			t.Error("a required kind that fails is waived")
		}
	})
}

// G5: a kind that comes again is as new.
func TestStatusForget(t *testing.T) {
	log := &testLog{}
	h := (&Server{Log: log}).Watch(Resource{Name: "things", Optional: true}, nil)
	h.begin()
	h.Set(Listed)
	h.Observe(t.Context(), errUnwell)
	if h.forget(); h.State() != NotServed || !h.begun.IsZero() || !h.since.IsZero() || h.Failure() != nil {
		t.Errorf("got %+v", &h.progress)
	}
	log.take()
	if h.Observe(t.Context(), errUnwell); len(log.take()) != 1 {
		t.Error("its failures are not logged again")
	}
}

// A kind that is known wants nothing published when it fails; an answer of whatever content tells
// that the API server is there.
func TestStatusKnown(t *testing.T) {
	log, settled := &testLog{}, 0
	h := (&Server{Log: log}).Watch(Resource{Name: "things"}, nil)
	h.Set(Listed)
	h.Waive()
	h.server.OnStatus = func() { settled++ }
	for _, err := range []error{errUnreachable, errUnwell} {
		h.Observe(t.Context(), err)
	}
	if settled > 0 {
		t.Errorf("%d publications", settled)
	}
	if lines := log.take(); !slices.Contains(lines, "I The API server answers again") {
		t.Errorf("got the log %q", lines)
	}
}

// Whenever a watch cannot be resumed, the API server may have become another one, with other kinds (G5).
func TestStatusDoubt(t *testing.T) {
	log, doubts := &testLog{}, 0
	h := (&Server{Log: log, OnExpired: func() { doubts++ }}).Watch(Resource{Name: "services"}, nil)
	for _, err := range []error{nil, errUnwell, errGone} {
		log.take()
		h.Observe(t.Context(), err)
		if want := err == errGone; (doubts > 0) != want || want && len(log.take()) > 0 {
			t.Errorf("%v: %d doubts, want one %v, without a line", err, doubts, want)
		}
	}
}

// A kind is not given up because its first list is long ago.
func TestStatusHealthyForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := (&Server{Log: &testLog{}}).Watch(Resource{Name: "ingresses", Optional: true}, nil)
		h.begin()
		h.Set(Listed)
		time.Sleep(time.Hour)
		if h.State() != Listed || h.Unavailable() {
			t.Errorf("got state %v", h.State())
		}
		hangs := (&Server{Log: &testLog{}}).Watch(Resource{Name: "ingresses", Optional: true}, nil)
		hangs.begin()
		if time.Sleep(listTimeout + 1); hangs.State() != Failing {
			t.Errorf("a list that does not end: got state %v", hangs.State())
		}
	})
}

// Only a change of the state is reported: not each retry of a kind that stays as it is.
func TestStatusUnchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, err := range map[string]error{"forbidden": errForbidden, "failing": errUnwell, "unreachable": errUnreachable} {
			changes := 0
			h := (&Server{Log: &testLog{}, OnStatus: func() { changes++ }}).Watch(Resource{Name: "things", Optional: true}, nil)
			for range 1800 {
				h.Observe(t.Context(), err)
				time.Sleep(2 * time.Second)
			}
			if changes != 1 {
				t.Errorf("%s: %d changes in an hour", name, changes)
			}
		}
	})
}

// What follows from each state.
func TestStatusConsequences(t *testing.T) {
	for state, want := range map[State]string{
		Unknown: "awaited unavailable", Restored: "known decided", Listed: "known decided complete", NotServed: "decided complete",
		Forbidden: "decided complete unavailable", Failing: "decided unavailable",
	} {
		h := (&Server{Log: &testLog{}}).Watch(Resource{Name: "things", Optional: true}, nil)
		h.Set(state)
		var got []string
		for _, of := range []struct {
			name string
			is   bool
		}{{"awaited", h.Awaited()}, {"known", h.Known()}, {"decided", h.Decided()}, {"complete", h.Complete()}, {"unavailable", h.Unavailable()}} {
			if of.is {
				got = append(got, of.name)
			}
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("state %v: got %q, want %q", state, got, want)
		}
	}
	if h := (&Server{Log: &testLog{}}).Watch(Resource{Name: "services"}, nil); true {
		if h.Set(Forbidden); h.Complete() {
			t.Error("nothing lacks without a kind that all depends on")
		}
	}
}

// A kind that nothing depends on counts as not served when it may not be read; what follows is logged once.
func TestStatusDismiss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &testLog{}
		h := (&Server{Log: log}).Watch(Resource{Name: "namespaces", Optional: true}, nil)
		h.Dismiss(errForbidden, "; beware")
		if h.State() != NotServed || len(log.take()) > 0 {
			t.Errorf("got state %v", h.State())
		}
		for range 3 {
			time.Sleep(forbiddenGrace)
			h.Dismiss(errForbidden, "; beware")
		}
		if lines := log.take(); len(lines) != 1 || !strings.HasSuffix(lines[0], "; beware") {
			t.Errorf("got the log %q", lines)
		}
		if h.Observe(t.Context(), errForbidden); h.State() != Forbidden {
			t.Errorf("once it is needed: got state %v", h.State())
		}
		h.Set(Restored)
		if h.Dismiss(errUnwell, ""); h.State() != Restored {
			t.Errorf("what was restored goes at once: got state %v", h.State())
		}
		time.Sleep(forbiddenGrace)
		if h.Dismiss(errUnwell, ""); h.State() != NotServed {
			t.Errorf("what was restored stays: got state %v", h.State())
		}
	})
}

// Who leaves the last of what was restored is logged.
func TestServerRestored(t *testing.T) {
	log := &testLog{}
	server := &Server{Log: log}
	a, b := server.Watch(Resource{Name: "a"}, nil), server.Watch(Resource{Name: "b"}, nil)
	a.Set(Restored)
	b.Set(Restored)
	a.Set(Listed)
	if !server.Restored() || len(log.take()) > 0 {
		t.Error("one is restored still")
	}
	if b.Set(Listed); server.Restored() || len(log.take()) != 1 {
		t.Error("none is restored any longer")
	}
}
