package informer

import (
	"context"
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

// Each state of the API server is told once, when it changes, however many watches meet it.
func TestStatusLog(t *testing.T) { synctest.Test(t, testStatusLog) }

func testStatusLog(t *testing.T) {
	log := &testLog{}
	server := &Server{Log: log}
	watch := func(resource string, optional bool) *Status {
		return server.Watch(Resource{Name: resource, Optional: optional}, nil)
	}
	services, ingresses := watch("services", false), watch("ingresses", true)
	steps := []struct {
		h    *Status
		err  error
		want string // begin of the line, "" for none
	}{
		{services, errUnreachable, "W cannot reach the API server at api.example"},
		{ingresses, errUnreachable, ""},
		{services, errUnauthorized, "W the API server does not accept our credentials (401"},
		{ingresses, nil, "I The API server answers again"},
		{ingresses, errForbidden, ""}, // as a server does that has just started
		{ingresses, nil, ""},
		{ingresses, errForbidden, ""},
		{services, nil, ""},
		{ingresses, errForbidden, "W ingresses: list and watch is forbidden"},
		{ingresses, errForbidden, ""},
		{services, errUnwell, "W services: cannot list and watch"},
		{ingresses, nil, "I ingresses: can be read again"}, // another kind's answer says nothing of this one
		{services, errUnwell, ""},
		{services, nil, "I services: can be read again"},
		{services, errGone, ""},
	}
	for i, step := range steps {
		time.Sleep(forbiddenGrace / 2)
		step.h.Observe(t.Context(), step.err)
		var want []string
		if step.want != "" {
			want = strings.Split(step.want, "|")
		}
		got := log.take()
		slices.Sort(got)
		if !slices.EqualFunc(got, want, strings.HasPrefix) {
			t.Errorf("step %d: got %q, want %q", i, got, want)
		}
	}

	services.Set(Listed)
	services.Observe(t.Context(), errUnreachable)
	if got := log.take(); len(got) != 1 || !strings.HasSuffix(got[0], "; retrying, and serving the last known state") {
		t.Errorf("after the first list: got %q", got)
	}
	services.Observe(t.Context(), errForbidden)
	if services.State() != Listed {
		t.Error("a permission that is lost later is waived: what is known must be served")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	log.take()
	services.Observe(ended, errUnauthorized)
	if got := log.take(); len(got) != 0 {
		t.Errorf("while shutting down: got %q", got)
	}
}

// A failure that lasts is logged again each Remind, with what follows; one of an optional kind once.
func TestStatusRemind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &testLog{}
		server := &Server{Log: log, Remind: 10 * time.Minute, Consequence: "all stays"}
		services, ingresses := server.Watch(Resource{Name: "services"}, nil), server.Watch(Resource{Name: "ingresses", Optional: true}, nil)
		for _, tc := range []struct {
			err  error
			want []string // of half an hour
		}{
			{errUnreachable, slices.Repeat([]string{"W cannot reach the API server at api.example: connection refused; retrying, and all stays"}, 3)},
			{nil, []string{"I The API server answers again"}},
			{errUnwell, append(slices.Repeat([]string{"W services: cannot list and watch: Internal error occurred: etcd; all stays"}, 3), "W ingresses: cannot list and watch: Internal error occurred: etcd")},
			{nil, []string{"I services: can be read again", "I ingresses: can be read again"}},
		} {
			for range 30 {
				services.Observe(t.Context(), tc.err)
				ingresses.Observe(t.Context(), tc.err)
				time.Sleep(time.Minute)
			}
			got := log.take()
			slices.Sort(got)
			slices.Sort(tc.want)
			if !slices.Equal(got, tc.want) {
				t.Errorf("%v: got %q, want %q", tc.err, got, tc.want)
			}
		}
	})
}

// A kind that cannot be reached while others have answers is told of by itself, once, and the API
// server is not taken for away.
func TestStatusAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &testLog{}
		server := &Server{Log: log}
		alone, other := server.Watch(Resource{Name: "things"}, nil), server.Watch(Resource{Name: "services"}, nil)
		for range 5 {
			alone.Observe(t.Context(), errUnreachable)
			other.Observe(t.Context(), nil)
			time.Sleep(time.Second)
		}
		lines := log.take()
		about := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !strings.HasPrefix(line, "W things: ") })
		if len(about) != 1 || len(lines) > 3 || server.OutageDuration() != 0 {
			t.Errorf("got the log %q, away for %v", lines, server.OutageDuration())
		}
		alone.Observe(t.Context(), nil)
		if lines := log.take(); len(lines) != 1 || lines[0] != "I things: can be read again" {
			t.Errorf("once it answers: got the log %q", lines)
		}
	})
}

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

// An API server that comes back knows neither roles nor definitions for a moment, and one that
// deletes definitions is at odds with itself for a while. How long it was away before does not make
// that last longer.
func TestStatusAfterOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			err    error
			synced bool
			told   time.Duration // after what time it is
			line   string
		}{
			{errForbidden, true, forbiddenGrace, "W things: list and watch is forbidden"},
			{errForbidden, false, forbiddenGrace, "W things: list and watch is forbidden"},
			{errAbsent, true, notFoundGrace, "W things: cannot list and watch"},
			{errAbsent, false, optionalTimeout, "W things: cannot list and watch"},
		} {
			log := &testLog{}
			h := (&Server{Log: log}).Watch(Resource{Name: "things", Optional: true}, nil)
			h.gone = func() {}
			h.Observe(t.Context(), nil)
			if test.synced {
				h.Set(Listed)
			}
			for range 60 {
				h.Observe(t.Context(), errUnreachable)
				time.Sleep(2 * time.Second)
			}
			log.take()
			h.Observe(t.Context(), test.err)
			time.Sleep(test.told - time.Second)
			h.Observe(t.Context(), test.err)
			if lines := log.take(); len(lines) > 0 {
				t.Errorf("%+v: too early: got the log %q", test, lines)
			}
			time.Sleep(time.Second)
			h.Observe(t.Context(), test.err)
			if lines := log.take(); len(lines) == 0 || !strings.HasPrefix(lines[0], test.line) {
				t.Errorf("%+v: got the log %q", test, lines)
			}
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

// A request that was made during an outage may fail after another was answered: that is no failure of its kind.
func TestStatusAfterOutageInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &testLog{}
		server := &Server{Log: log}
		services, ingresses := server.Watch(Resource{Name: "services"}, nil), server.Watch(Resource{Name: "ingresses"}, nil)
		for range 3 {
			services.Observe(t.Context(), errUnreachable)
			ingresses.Observe(t.Context(), errUnreachable)
			time.Sleep(time.Second)
		}
		services.Observe(t.Context(), nil)
		log.take()
		ingresses.Observe(t.Context(), errUnreachable) // asked for before that
		time.Sleep(time.Second)
		ingresses.Observe(t.Context(), nil)
		if lines := log.take(); len(lines) > 0 || server.OutageDuration() > 0 {
			t.Errorf("got the log %q", lines)
		}
	})
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
