package events

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// remembered returns the namespaces that there is something to be remembered of.
func (r *Recorder) remembered() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(r.schedule.namespaces)), " ")
}

// Namespaces whose findings are gone are not remembered for ever, and for as long as their limits are
// not as if they were new.
func TestRecorderTidies(t *testing.T) {
	const refilled = namespaceEventBurst * time.Second / namespaceEventRate
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		for n := range 100 {
			name := fmt.Sprintf("ns%d", n)
			r.Replace(name, []Problem{badHost(name, n)})
			r.Replace(name, nil)
		}
		r.Replace("claims", []Problem{badHost("shop", 1)})
		time.Sleep(refilled - time.Second)
		r.Replace("wake", []Problem{badHost("shop", 2)})
		time.Sleep(time.Millisecond)
		if got := strings.Count(r.remembered(), " ") + 1; got != 101 {
			t.Errorf("%d namespaces are remembered at first, want 101", got)
		}
		time.Sleep(time.Second)
		r.Replace("wake", []Problem{badHost("shop", 3)})
		time.Sleep(time.Millisecond)
		if got := r.remembered(); got != "shop" {
			t.Errorf("remembered are %q, want those with findings", got)
		}
		r.Replace("claims", nil)
		r.Replace("wake", nil)
		time.Sleep(2 * repeatDelay)
		if got := r.remembered(); got != "" {
			t.Errorf("remembered are %q, want none", got)
		}
	})
}

// A namespace that may have no Events is remembered until it would be asked again, and that it may not
// is told anew to the next.
func TestRecorderTidiesDenied(t *testing.T) {
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		server.turn(func(event *eventsv1.Event) error { return apierrors.NewForbidden(eventsResource, "", errors.New("no")) })
		for n, want := range []int{1, 2} {
			r.Replace("claims", []Problem{badHost("shop", n)})
			time.Sleep(time.Minute)
			r.Replace("claims", nil)
			r.Replace("wake", []Problem{badHost("dev", n)})
			r.Replace("wake", nil)
			time.Sleep(denialDelay / 2)
			r.Replace("wake", []Problem{badHost("dev", n)})
			time.Sleep(time.Millisecond)
			r.Replace("wake", nil)
			if got := r.remembered(); !strings.Contains(got, "shop") {
				t.Errorf("remembered are %q, want the one that is denied", got)
			}
			if got := strings.Count(log.String(), "events are not written, or not everywhere"); got != want {
				t.Errorf("told %d times of it, want %d", got, want)
			}
			time.Sleep(denialDelay + repeatDelay)
		}
		r.Replace("wake", nil)
		if got := r.remembered(); got != "" {
			t.Errorf("remembered are %q, want none", got)
		}
	})
}

// A namespace that has bad objects for a moment, again and again, does not begin anew each time.
func TestRecorderFloodAgain(t *testing.T) {
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		const times, pause = 4, problemDelay + time.Second
		for n := range times {
			var findings []Problem
			for i := range 2 * namespaceEventBurst {
				findings = append(findings, badHost("evil", 100*n+i))
			}
			r.Replace("claims", findings)
			time.Sleep(pause)
			r.Replace("claims", nil)
		}
		if n, most := server.count("evil"), namespaceEventBurst+namespaceEventRate*int(times*pause/time.Second); n > most || n < namespaceEventBurst {
			t.Errorf("%d events, want %d at most", n, most)
		}
	})
}
