package source

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
func TestHealthLog(t *testing.T) { synctest.Test(t, testHealthLog) }

func testHealthLog(t *testing.T) {
	log := &testLog{}
	server := &server{log: log}
	watch := func(resource string, optional bool) *health {
		h := &health{resource: resource, server: server, optional: optional, settled: func() {}}
		server.watches = append(server.watches, h)
		return h
	}
	services, ingresses := watch("services", false), watch("ingresses", true)
	steps := []struct {
		h    *health
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
		time.Sleep(grace / 2)
		step.h.observe(t.Context(), step.err)
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

	services.setSynced()
	services.observe(t.Context(), errUnreachable)
	if got := log.take(); len(got) != 1 || !strings.HasSuffix(got[0], "; retrying, and serving the last known state") {
		t.Errorf("after the first list: got %q", got)
	}
	services.observe(t.Context(), errForbidden)
	if services.refused.Load() {
		t.Error("a permission that is lost later is waived: what is known must be served")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	log.take()
	services.observe(ended, errUnauthorized)
	if got := log.take(); len(got) != 0 {
		t.Errorf("while shutting down: got %q", got)
	}
}

// A kind that cannot be reached while others have answers is told of by itself, once, and the API
// server is not taken for away.
func TestHealthAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &testLog{}
		server := &server{log: log}
		alone := &health{resource: "things", server: server, settled: func() {}}
		other := &health{resource: "services", server: server, settled: func() {}}
		for range 5 {
			alone.observe(t.Context(), errUnreachable)
			other.observe(t.Context(), nil)
			time.Sleep(time.Second)
		}
		lines := log.take()
		about := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !strings.HasPrefix(line, "W things: ") })
		if len(about) != 1 || len(lines) > 3 || server.away() != 0 {
			t.Errorf("got the log %q, away for %v", lines, server.away())
		}
		alone.observe(t.Context(), nil)
		if lines := log.take(); len(lines) != 1 || lines[0] != "I things: can be read again" {
			t.Errorf("once it answers: got the log %q", lines)
		}
	})
}

// G7: who is waited for, and for how long.
func TestHealthWaived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			name     string
			optional bool
			err      error
			at       time.Duration // when it is waived
		}{
			{"refused", false, errForbidden, grace},
			{"absent", true, errAbsent, 0},
			{"an optional kind fails", true, errUnwell, patience + time.Second},
			{"an optional kind is out of reach", true, errUnreachable, patience + time.Second},
		} {
			settled := 0
			h := &health{resource: "things", optional: tc.optional, settled: func() { settled++ }, server: &server{log: &testLog{}}}
			h.observe(t.Context(), tc.err)
			if tc.at > 0 && (h.waived() || settled > 0) {
				t.Errorf("%s: waived at once", tc.name)
			}
			time.Sleep(tc.at)
			h.observe(t.Context(), tc.err)
			if !h.waived() || settled == 0 {
				t.Errorf("%s: not waived after %s", tc.name, tc.at)
			}
		}
		synced := &health{resource: "services", settled: func() {}, server: &server{log: &testLog{}}}
		synced.setSynced()
		synced.observe(t.Context(), errForbidden)
		time.Sleep(grace)
		if synced.observe(t.Context(), errForbidden); synced.waived() {
			t.Error("a permission that is lost later is waived: what is known must be served")
		}
		required := &health{resource: "services", settled: func() {}, server: &server{log: &testLog{}}}
		required.observe(t.Context(), errUnwell)
		time.Sleep(time.Hour)
		if required.waived() {
			t.Error("a required kind that fails is waived")
		}
	})
}

// An API server that comes back knows neither roles nor definitions for a moment, and one that
// deletes definitions is at odds with itself for a while. How long it was away before does not make
// that last longer.
func TestHealthAfterOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			err    error
			synced bool
			told   time.Duration // after what time it is
			line   string
		}{
			{errForbidden, true, grace, "W things: list and watch is forbidden"},
			{errForbidden, false, grace, "W things: list and watch is forbidden"},
			{errAbsent, true, vanishing, "W things: cannot list and watch"},
			{errAbsent, false, patience, "W things: cannot list and watch"},
		} {
			log := &testLog{}
			h := &health{resource: "things", optional: true, settled: func() {}, gone: func() {}, server: &server{log: log}}
			h.observe(t.Context(), nil)
			h.synced.Store(test.synced)
			for range 60 {
				h.observe(t.Context(), errUnreachable)
				time.Sleep(2 * time.Second)
			}
			log.take()
			h.observe(t.Context(), test.err)
			time.Sleep(test.told - time.Second)
			h.observe(t.Context(), test.err)
			if lines := log.take(); len(lines) > 0 {
				t.Errorf("%+v: too early: got the log %q", test, lines)
			}
			time.Sleep(time.Second)
			h.observe(t.Context(), test.err)
			if lines := log.take(); len(lines) == 0 || !strings.HasPrefix(lines[0], test.line) {
				t.Errorf("%+v: got the log %q", test, lines)
			}
		}
	})
}

// G5: a kind that comes again is as new.
func TestHealthForget(t *testing.T) {
	log := &testLog{}
	h := &health{resource: "things", optional: true, settled: func() {}, server: &server{log: log}}
	h.begin()
	h.setSynced()
	h.refused.Store(true)
	h.observe(t.Context(), errUnwell)
	h.forget()
	if !h.absent.Load() || h.synced.Load() || h.refused.Load() || h.begun.Load() != nil || !h.since.IsZero() {
		t.Errorf("got %+v", h)
	}
	log.take()
	if h.observe(t.Context(), errUnwell); len(log.take()) != 1 {
		t.Error("its failures are not told again")
	}
}

// A kind that is known wants nothing published when it fails; an answer of whatever content tells
// that the API server is there.
func TestHealthKnown(t *testing.T) {
	log, settled := &testLog{}, 0
	h := &health{resource: "things", settled: func() { settled++ }, server: &server{log: log}}
	h.setSynced()
	h.late.Store(true)
	for _, err := range []error{errUnreachable, errUnwell} {
		h.observe(t.Context(), err)
	}
	if settled > 0 {
		t.Errorf("%d publications", settled)
	}
	if lines := log.take(); !slices.Contains(lines, "I The API server answers again") {
		t.Errorf("got the log %q", lines)
	}
}

// Whenever a watch cannot be resumed, the API server may have become another one, with other kinds (G5).
func TestHealthDoubt(t *testing.T) {
	log, doubts := &testLog{}, 0
	h := &health{resource: "services", server: &server{log: log, doubted: func() { doubts++ }}}
	for _, err := range []error{nil, errUnwell, errGone} {
		log.take()
		h.observe(t.Context(), err)
		if want := err == errGone; (doubts > 0) != want || want && len(log.take()) > 0 {
			t.Errorf("%v: %d doubts, want one %v, without a line", err, doubts, want)
		}
	}
}

// What is said again is why the API server cannot be read, or else a kind that no zone can do without.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &Watcher{server: &server{log: &testLog{}}}
		watch := func(resource string, optional bool) *health {
			h := &health{resource: resource, optional: optional, server: w.server, settled: func() {}}
			w.server.watches = append(w.server.watches, h)
			return h
		}
		ingresses, services := watch("ingresses", true), watch("services", false)
		for _, step := range []struct {
			h    *health
			err  error
			want string // begin of it, "" for none
		}{
			{services, nil, ""},
			{ingresses, errUnwell, ""},
			{services, errForbidden, "services: list and watch is forbidden"},
			{services, errUnreachable, "cannot reach the API server at api.example"},
			{services, nil, ""},
		} {
			step.h.observe(t.Context(), step.err)
			time.Sleep(grace)
			step.h.observe(t.Context(), step.err)
			if got := w.Trouble(); !strings.HasPrefix(got, step.want) || (step.want == "") != (got == "") {
				t.Errorf("%v of %s: got %q, want %q", step.err, step.h.resource, got, step.want)
			}
		}
		services.observe(t.Context(), errUnwell)
		services.setSynced()
		if got := w.Trouble(); got != "" {
			t.Errorf("a kind that is known: got %q", got)
		}
	})
}
