package events

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// resolutions returns the Events that say that something was put right.
func (a *apiServer) resolutions() (all []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, event := range a.events {
		if event.Reason == Resolved {
			all = append(all, event.Regarding.Name+" "+event.Note)
		}
	}
	slices.Sort(all)
	return all
}

// expectNothing fails the test if something is remembered.
func (r *Recorder) expectNothing(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.schedule.conditions)+len(r.schedule.entries)+len(r.schedule.namespaces)+len(r.schedule.bySource)+r.schedule.once != 0 {
		t.Errorf("%d troubles, %d findings, %d namespaces, %d topics and %d news are remembered", len(r.schedule.conditions), len(r.schedule.entries), len(r.schedule.namespaces), len(r.schedule.bySource), r.schedule.once)
	}
}

// What was told and is none any more is told to be none, as its Event stays; when it comes back it is told again, later
// than that, and both no more than once an hour.
func TestRecorderResolved(t *testing.T) {
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		f, fleeting, notice := badHost("shop", 1), badHost("shop", 2), badHost("shop", 3)
		notice.Normal = true
		r.Replace("claims", []Problem{f, notice})
		time.Sleep(2 * problemDelay)
		r.Replace("claims", []Problem{f, notice, fleeting})
		time.Sleep(problemDelay / 2)
		for n := range 3 {
			r.Replace("claims", nil)
			time.Sleep(r.schedule.hostDelay - time.Second)
			if got, want := server.count(""), 2+2*n; got != want {
				t.Fatalf("%d events just after it was put right, want %d", got, want)
			}
			time.Sleep(2 * time.Second)
			if got, want := server.count(""), 2+1+2*n; got != want {
				t.Fatalf("%d events once it was put right, want %d", got, want)
			}
			f.Generation++ // or not
			r.Replace("claims", []Problem{f})
			r.Replace("claims", []Problem{f})
			time.Sleep(2 * problemDelay)
			if got, want := server.count(""), 2+2+2*n; got != want {
				t.Fatalf("%d events once it was back, want %d", got, want)
			}
			time.Sleep(repeatDelay)
		}
		for _, event := range server.events {
			if resolved := event.Reason == Resolved; resolved && (event.Type != corev1.EventTypeNormal || event.Note != "InvalidHost: no longer so" || event.Regarding.Name != "i1") {
				t.Errorf("got %+v", event)
			}
		}
		again := f
		again.Generation++
		r.Replace("claims", []Problem{again})
		time.Sleep(2 * problemDelay)
		if got := server.count(""); got != 9 {
			t.Errorf("%d events of another generation, want 9: nothing was put right", got)
		}
		r.Replace("claims", nil)
		time.Sleep(2 * repeatDelay)
		r.expectNothing(t)
	})
}

// What changes of that which is wrong for one reason puts nothing right.
func TestRecorderStillSo(t *testing.T) {
	texts := func(all ...string) []Problem { return badHost("shop", 1).Each(all, "") }
	unread := badHost("shop", 1)
	unread.Unknown = true
	for name, next := range map[string][]Problem{
		"another text":                    texts("b"),
		"one goes":                        texts("a", "c"),
		"a sixth that comes first":        texts("0", "a", "b", "c", "d", "e"),
		"nobody can tell":                 {unread},
		"of another one, nobody can tell": append(texts("x"), unread),
	} {
		record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
			r.Replace("claims", texts("a", "b", "c", "d", "e"))
			time.Sleep(2 * problemDelay)
			r.Replace("claims", next)
			time.Sleep(2 * repeatDelay)
			if got := server.resolutions(); len(got) > 0 {
				t.Errorf("%s: got %q", name, got)
			}
			r.Replace("claims", nil)
			time.Sleep(2 * time.Minute)
			if got := server.resolutions(); len(got) != 1 {
				t.Errorf("%s: got %q at the end", name, got)
			}
		})
	}
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) { // for a moment
		for range 3 {
			r.Replace("claims", texts("a"))
			time.Sleep(time.Minute)
			r.Replace("claims", nil)
			time.Sleep(r.schedule.hostDelay - time.Second)
		}
		r.Replace("claims", texts("a"))
		time.Sleep(2 * time.Minute)
		if got := server.count(""); got != 1 || len(r.Problems()) != 1 {
			t.Errorf("%d events and %d findings of what was right for a moment, want one", got, len(r.Problems()))
		}
	})
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) { // where there is no room for more
		var findings []Problem
		for n := range maxNamespaceProblems {
			findings = append(findings, badHost("shop", n))
		}
		r.Replace("claims", findings)
		time.Sleep(maxNamespaceProblems * time.Second)
		before := server.count("")
		findings[0].Note = "Another host is refused"
		r.Replace("claims", findings)
		time.Sleep(2 * time.Minute)
		if got := server.resolutions(); len(got) > 0 || server.count("") != before+1 || before != len(findings) {
			t.Errorf("%d and %d events, %q", before, server.count("")-before, got)
		}
	})
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		r.Replace("claims", []Problem{unread})
		time.Sleep(time.Minute)
		if server.asked() != 0 || len(r.Problems()) != 0 {
			t.Errorf("%d events and %d findings of what nobody can tell", server.asked(), len(r.Problems()))
		}
	})
}

// What comes and goes is told once an hour, each.
func TestRecorderFlapping(t *testing.T) {
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		f := badHost("shop", 1)
		for range 28 {
			r.Replace("claims", []Problem{f})
			time.Sleep(time.Minute)
			r.Replace("claims", nil)
			time.Sleep(time.Minute)
		}
		if got := server.resolutions(); len(got) != 1 || server.count("") != 3 {
			t.Errorf("got %d events in an hour, %q", server.count(""), got)
		}
		time.Sleep(10 * time.Minute)
		if got := server.resolutions(); len(got) != 2 {
			t.Errorf("got %q after an hour", got)
		}
	})
}

// Of many that are put right at once each is told, and more than one reason of an object, though both have more than is
// named; what is news finds room after that.
func TestRecorderResolvedMany(t *testing.T) {
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		const objects = 2 * maxOnce
		var findings []Problem
		for n := range objects {
			for _, reason := range []string{"InvalidHost", "HostReserved"} {
				f := badHost(fmt.Sprintf("ns%d", n), n)
				f.Reason = reason
				findings = append(findings, f.Each(strings.Split("abcdef", ""), "")...)
			}
		}
		r.Replace("claims", findings)
		time.Sleep(5 * time.Minute)
		r.Replace("claims", nil)
		time.Sleep(repeatDelay)
		if got := len(server.resolutions()); got != 2*objects {
			t.Errorf("%d of %d were told", got, 2*objects)
		}
		time.Sleep(repeatDelay)
		r.expectNothing(t)
	})
}

// Nobody has put right what is gone.
func TestRecorderResolvedGone(t *testing.T) {
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		r.Replace("claims", []Problem{badHost("shop", 1), badHost("shop", 2)})
		time.Sleep(2 * problemDelay)
		server.mu.Lock()
		server.gone, server.away = map[string]bool{"i1": true}, errors.New("connection refused")
		server.mu.Unlock()
		r.Replace("claims", nil)
		time.Sleep(2 * time.Minute)
		if got := server.resolutions(); len(got) > 0 || len(r.Problems()) != 2 {
			t.Errorf("got %q and %d findings before that can be told", got, len(r.Problems()))
		}
		server.mu.Lock()
		server.away = nil
		server.mu.Unlock()
		time.Sleep(time.Minute)
		if got := server.resolutions(); !slices.Equal(got, []string{"i2 InvalidHost: no longer so"}) || len(r.Problems()) != 0 {
			t.Errorf("got %q and %d findings", got, len(r.Problems()))
		}
	})
}

// What changes while its Event is being written is told as it is.
func TestRecorderResolvedMeanwhile(t *testing.T) {
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		f := badHost("shop", 1)
		meanwhile := map[string][]Problem{"InvalidHost": nil, Resolved: {f}}
		server.turn(func(event *eventsv1.Event) error {
			next, any := meanwhile[event.Reason]
			if delete(meanwhile, event.Reason); any {
				r.Replace("claims", next)
			}
			return nil
		})
		r.Replace("claims", []Problem{f})
		time.Sleep(r.schedule.hostDelay + 2*problemDelay)
		if got := server.resolutions(); len(got) != 1 {
			t.Fatalf("got %q of what was put right meanwhile", got)
		}
		r.Replace("claims", []Problem{f}) // as the next look at it finds
		time.Sleep(time.Minute)
		if got := server.count(""); got != 3 || len(r.Problems()) != 1 {
			t.Errorf("%d events and %d findings of what came back meanwhile, want 3 and 1", got, len(r.Problems()))
		}
	})
}

// That of an end which is refused is told later.
func TestRecorderResolvedRefused(t *testing.T) {
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		r.Replace("claims", []Problem{badHost("shop", 1)})
		time.Sleep(2 * problemDelay)
		server.granted = map[string]bool{"shop": true}
		server.turn(func(*eventsv1.Event) error {
			return apierrors.NewForbidden(eventsResource, "", errors.New("exceeded quota"))
		})
		r.Replace("claims", nil)
		time.Sleep(time.Minute)
		server.turn(nil)
		time.Sleep(2 * repeatDelay)
		if got := server.resolutions(); len(got) != 1 || len(r.Problems()) != 0 {
			t.Errorf("got %q and %d findings", got, len(r.Problems()))
		}
	})
}
