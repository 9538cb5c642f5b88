package controller

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// A finding that was told and is none any more is told to be none, as its Event stays; when it comes back it is
// told again, later than that.
func TestRecorderResolved(t *testing.T) {
	record(t, func(t *testing.T, r *recorder, server *apiServer, log *buffer) {
		f, fleeting, notice := badHost("shop", 1), badHost("shop", 2), badHost("shop", 3)
		notice.normal = true
		r.replace("claims", []finding{f, notice})
		time.Sleep(2 * settling)
		r.replace("claims", []finding{f, notice, fleeting})
		time.Sleep(settling / 2)
		for n := range 3 {
			r.replace("claims", nil)
			time.Sleep(2 * settling)
			if got, want := server.count(""), 2+1+2*n; got != want {
				t.Fatalf("%d events once it was put right, want %d", got, want)
			}
			f.generation++ // or not
			r.replace("claims", []finding{f})
			r.replace("claims", []finding{f})
			time.Sleep(2 * settling)
			if got, want := server.count(""), 2+2+2*n; got != want {
				t.Fatalf("%d events once it was back, want %d", got, want)
			}
		}
		for _, event := range server.events {
			if resolved := event.Reason == reasonResolved; resolved && (event.Type != corev1.EventTypeNormal || event.Note != "No longer so: Host is refused" || event.Regarding.Name != "i1") {
				t.Errorf("got %+v", event)
			}
		}
		again := f
		again.generation++
		r.replace("claims", []finding{again})
		time.Sleep(2 * settling)
		if got := server.count(""); got != 9 {
			t.Errorf("%d events of another generation, want 9: nothing was put right", got)
		}
		time.Sleep(2 * renewal)
		if got := r.count(); got != 1 {
			t.Errorf("%d findings are remembered", got)
		}
		gone := badHost("shop", 4)
		r.replace("a Service", []finding{gone})
		time.Sleep(2 * settling)
		before := server.asked()
		r.drop("a Service")
		time.Sleep(2 * settling)
		if got := server.asked(); got != before || r.count() != 1 {
			t.Errorf("%d events and %d findings of an object that is gone", got-before, r.count()-1)
		}
		r.replace("claims", nil)
		time.Sleep(2 * renewal)
		if len(r.rounds) != 0 || r.count() != 0 {
			t.Errorf("%d rounds and %d findings are remembered", len(r.rounds), r.count())
		}
	})
}
