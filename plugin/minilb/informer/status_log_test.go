package informer

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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
