package events

import (
	"maps"
	"time"

	"k8s.io/client-go/util/flowcontrol"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

const (
	// maxDenials in a row are taken for permanent: an API server that has just started denies all until it has read its roles.
	maxDenials = 3
	// firstDenialDelay and denialDelay are the pauses after a denial, before and after that.
	firstDenialDelay, denialDelay = time.Second, 10 * time.Minute
)

// namespaceLimit is a namespace that has entries, or had some recently.
type namespaceLimit struct {
	entries  int
	idle     time.Time // since when there are none
	limiter  flowcontrol.PassiveRateLimiter
	denials  int       // in a row
	pause    time.Time // nothing is written before
	rejected bool      // that an Event was rejected, for another reason than our permissions, was logged
}

// muted reports whether nothing is written in a namespace, which may be an unknown one.
func (n *namespaceLimit) muted() bool {
	return n != nil && (n.rejected || n.denials >= maxDenials) && time.Now().Before(n.pause)
}

// fail takes a failed write.
func (s *schedule) fail(e *entry, failure *kube.Error) {
	retry := time.Now().Add(retryDelay)
	switch failure.Kind {
	case kube.Forbidden, kube.Rejected:
		s.refuse(e, failure)
		return
	case kube.ServerError: // perhaps of a webhook for one namespace
		e.limit.pause = retry
	default:
		s.pause = retry
	}
	e.due = retry
	s.log.Debug("event not written: " + failure.Text) // the watch of Services logs it
}

// refuse takes a denial for want of permissions, or that a policy or a quota refuses an Event, perhaps that one only: others
// of the namespace come first then.
func (s *schedule) refuse(e *entry, failure *kube.Error) {
	n, denied := e.limit, failure.Kind == kube.Forbidden
	if denied {
		if n.denials++; n.denials < maxDenials {
			n.pause = time.Now().Add(firstDenialDelay)
			return
		}
	}
	n.pause = time.Now().Add(denialDelay)
	e.due = n.pause
	for _, waiting := range s.entries {
		if waiting.once && waiting.limit == n { // it would block those of others
			s.drop(waiting)
		}
	}
	switch {
	case denied && !s.denied:
		s.denied = true
		// Statuses are written all the same.
		s.log.Info("events are not written, or not everywhere (-events=false does without): " + failure.Text)
	case !denied && !n.rejected:
		n.rejected = true
		s.log.Warn("event not written: "+failure.Text, "reason", e.Reason, "object", e.Kind+" "+e.Namespace+"/"+e.Name)
	}
}

// tidy drops the namespaces and conditions of which nothing needs to be remembered.
func (s *schedule) tidy(now time.Time) {
	const refilled = namespaceEventBurst * time.Second / namespaceEventRate
	denied := false
	for name, n := range s.namespaces {
		if n.entries == 0 && now.Sub(n.idle) >= refilled && !now.Before(n.pause) {
			delete(s.namespaces, name)
		} else {
			denied = denied || n.denials >= maxDenials
		}
	}
	s.denied = s.denied && denied                                      // the next denial is logged again
	maps.DeleteFunc(s.conditions, func(_ Problem, c *condition) bool { // the API server has dropped the Event, too
		return c.problems == 0 && !c.resolving && (now.Sub(c.lastResolved) >= repeatDelay || len(s.conditions) > 2*maxProblems)
	})
}
