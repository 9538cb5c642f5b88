package events

import (
	"maps"
	"time"

	"k8s.io/client-go/util/flowcontrol"
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

func newNamespaceLimit() *namespaceLimit {
	return &namespaceLimit{limiter: flowcontrol.NewTokenBucketPassiveRateLimiter(namespaceEventRate, namespaceEventBurst)}
}

// expiry returns when a namespace without entries can be forgotten: its limiter is full again, and its pause is over.
func (n *namespaceLimit) expiry() time.Time {
	full := n.idle.Add(namespaceEventBurst * time.Second / namespaceEventRate)
	if n.pause.After(full) {
		return n.pause
	}
	return full
}

// muted reports whether nothing is written in a namespace, which may be an unknown one.
func (n *namespaceLimit) muted(now time.Time) bool {
	return n != nil && (n.rejected || n.denials >= maxDenials) && now.Before(n.pause)
}

// mute pauses a namespace, and drops its entries that are written once: they would block those of others.
func (s *schedule) mute(namespace string) {
	s.namespaces[namespace].pause = s.now().Add(denialDelay)
	for _, e := range s.entries {
		if e.once && e.eventNamespace() == namespace {
			s.drop(e)
		}
	}
}

func (s *schedule) allow(n *namespaceLimit) {
	if n.denials >= maxDenials && s.denied {
		s.denied = false
		s.log.Info("events can be written again")
	}
	n.denials, n.pause, n.rejected = 0, time.Time{}, false
}

// deny takes a denial for want of permissions.
func (s *schedule) deny(namespace, text string) {
	n := s.namespaces[namespace]
	n.denials++
	n.pause = s.now().Add(firstDenialDelay)
	if n.denials < maxDenials {
		return
	}
	s.mute(namespace)
	if !s.denied {
		s.denied = true
		// Statuses are written all the same.
		s.log.Info("events are not written, or not everywhere (-events=false does without): " + text)
	}
}

// reject notes that a policy or a quota refuses an Event, perhaps that one only: others of the namespace come first then.
func (s *schedule) reject(e *entry, text string) {
	n := s.namespaces[e.eventNamespace()]
	s.mute(e.eventNamespace())
	e.due = n.pause
	if !n.rejected {
		n.rejected = true
		s.log.Warn("event not written: "+text, "reason", e.Reason, "object", e.Kind+" "+e.Namespace+"/"+e.Name)
	}
}

// postpone notes a failure that passes: of one namespace, such as that of a webhook, or of all.
func (s *schedule) postpone(e *entry, all bool) {
	until := s.now().Add(retryDelay)
	e.due = until
	if all {
		s.pause = until
	} else {
		s.namespaces[e.eventNamespace()].pause = until
	}
}

// tidy drops the namespaces and conditions of which nothing needs to be remembered.
func (s *schedule) tidy(now time.Time) {
	denied := false
	for name, n := range s.namespaces {
		if n.entries == 0 && !n.expiry().After(now) {
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
