package controller

import (
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/flowcontrol"
)

// audience is a namespace with findings, or one that had some a moment ago.
type audience struct {
	findings int
	idle     time.Time // since when there are none
	limiter  flowcontrol.PassiveRateLimiter
	denied   int       // how often in a row
	pause    time.Time // nothing is written before
	refused  bool      // that one was refused, by whatever but our rights, was said
}

// left notes that there is one finding less.
func (a *audience) left(now time.Time) {
	if a.findings--; a.findings == 0 {
		a.idle = now
	}
}

// spent returns when a namespace without findings has nothing left to be remembered for: its limiter is
// full again, and its pause is over. One that has bad objects for a moment, again and again, does not
// begin anew each time.
func (a *audience) spent() time.Time {
	full := a.idle.Add(namespaceEventBurst * time.Second / namespaceEventRate)
	if a.pause.After(full) {
		return a.pause
	}
	return full
}

// mute lets nothing be written in a namespace for a while, and forgets its news, which would keep those of others from
// being told.
func (r *recorder) mute(to *audience, namespace string) {
	to.pause = r.now().Add(deniedPatience)
	for key, t := range r.told {
		if t.once && t.home() == namespace {
			r.forget(key)
		}
	}
}

// muted reports whether nothing is written in a namespace, which may be an unknown one.
func (a *audience) muted(now time.Time) bool {
	return a != nil && (a.refused || a.denied >= denials) && now.Before(a.pause)
}

// tidy drops the namespaces that there is nothing to be remembered of. It is called with the lock held,
// whenever there may be something to write and once in renewal.
func (r *recorder) tidy(now time.Time) {
	denied := false
	for name, a := range r.namespaces {
		if a.findings == 0 && !a.spent().After(now) {
			delete(r.namespaces, name)
		} else {
			denied = denied || a.denied >= denials
		}
	}
	r.complained = r.complained && denied // the next who may not is told so again
	maps.DeleteFunc(r.troubles, func(_ about, t *trouble) bool {
		return t.findings == 0 && !t.ending && (now.Sub(t.told) >= renewal || len(r.troubles) > 2*maxFindings) // the API server forgets it, too
	})
}

// settle notes that Events of a namespace can be written.
func (r *recorder) settle(to *audience) {
	if to.denied >= denials && r.complained {
		r.complained = false
		r.log.Info("events can be written again")
	}
	to.denied, to.pause, to.refused = 0, time.Time{}, false
}

// leaving reports whether an Event was refused because its namespace goes or is gone.
func leaving(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || apierrors.IsNotFound(err)
}
