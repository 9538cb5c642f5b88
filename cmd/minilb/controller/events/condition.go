package events

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// conditionKey is an object and a reason for which it has problems.
type conditionKey struct {
	kind, namespace, name string
	uid                   types.UID
	reason                string
}

func (p *Problem) condition() conditionKey {
	return conditionKey{p.Kind, p.Namespace, p.Name, p.UID, p.Reason}
}

// condition is that an object has problems of one reason, one or several that come and go. Its end is reported (S17):
// Events stay for an hour, and nobody may delete them.
type condition struct {
	resolved     Problem // reports the end; problems after it are of another round, so that their Events are newer
	problems     int
	written      bool // there is an Event of one
	resolving    bool // an entry for the end is scheduled
	lastResolved time.Time
}

// begin notes a problem.
func (s *schedule) begin(p *Problem) {
	c := s.conditions[p.condition()]
	if c == nil {
		c = &condition{resolved: Problem{
			Kind: p.Kind, Namespace: p.Namespace, Name: p.Name, UID: p.UID, Normal: true,
			Reason: Resolved, Aspect: p.Reason, Note: p.Reason + ": no longer so",
		}}
		s.conditions[p.condition()] = c
	}
	c.problems++
	if c.resolving {
		s.remove(c.resolved.key())
	}
}

// resolve schedules the Event of the end of a condition that has no problems left, for when that has lasted: a
// condition that comes and goes is reported as resolved no more often than Events expire.
func (s *schedule) resolve(key conditionKey) {
	c := s.conditions[key]
	if c == nil || c.problems > 0 || c.resolving || !c.written {
		return
	}
	due := s.now().Add(s.hostDelay)
	if next := c.lastResolved.Add(repeatDelay); next.After(due) {
		due = next
	}
	c.resolving = s.add(c.resolved.key(), &entry{Problem: c.resolved, due: due, resolves: c})
}

// confirm notes that the Event of an entry was written.
func (s *schedule) confirm(e *entry) {
	switch {
	case e.lasting():
		if c := s.conditions[e.condition()]; c != nil {
			c.written = true
			s.resolve(e.condition()) // it was fixed meanwhile
		}
	case e.resolves != nil:
		if s.current(e) { // else there is a problem again
			s.remove(e.key())
		}
		e.resolves.written, e.resolves.lastResolved = false, s.now()
		e.resolves.resolved.round++
	}
}

// checked notes whether the object of a scheduled end still exists, and reports whether the Event is to be written:
// not for an object that is gone, as nobody has fixed it, nor while that is not known.
func (s *schedule) checked(e *entry, exists bool, err error) bool {
	switch {
	case !s.current(e): // there is a problem again
	case err != nil:
		e.due = s.now().Add(retryDelay)
	case !exists:
		e.resolves.written = false
		s.remove(e.key())
	default:
		return true
	}
	return false
}
