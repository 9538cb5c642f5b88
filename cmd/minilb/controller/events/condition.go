package events

import "time"

// condition returns the object and the reason of a problem, as the key of its condition.
func (p *Problem) condition() Problem {
	return Problem{Kind: p.Kind, Namespace: p.Namespace, Name: p.Name, UID: p.UID, Reason: p.Reason}
}

// condition is that an object has problems of one reason, which come and go. Its end is reported (S17), as Events stay for an
// hour, and nobody may delete them.
type condition struct {
	resolved     Problem // reports the end; problems after it are of another round, so that their Events are newer
	problems     int
	written      bool // there is an Event of one
	resolving    bool // an entry for the end is scheduled
	lastResolved time.Time
}

func (s *schedule) begin(p *Problem) {
	c := s.conditions[p.condition()]
	if c == nil {
		c = &condition{resolved: p.condition()}
		c.resolved.Normal, c.resolved.Reason, c.resolved.Aspect, c.resolved.Note = true, Resolved, p.Reason, p.Reason+": no longer so"
		s.conditions[p.condition()] = c
	}
	c.problems++
	if c.resolving {
		s.drop(s.entries[c.resolved.key()])
	}
}

// resolve schedules the Event of the end of a condition that has no problems left, for when that has lasted: a
// condition that comes and goes is reported as resolved no more often than Events expire.
func (s *schedule) resolve(key Problem) {
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
		s.drop(e)
		e.resolves.written, e.resolves.lastResolved = false, s.now()
		e.resolves.resolved.round++
	}
}

// checked takes whether the object of a scheduled end still exists, and reports whether the Event is to be written: not if
// nobody has fixed the object but it is gone, nor while that is unknown.
func (s *schedule) checked(e *entry, exists bool, err error) bool {
	switch {
	case s.entries[e.key()] != e: // there is a problem again
	case err != nil:
		e.due = s.now().Add(retryDelay)
	case !exists:
		e.resolves.written = false
		s.drop(e)
	default:
		return true
	}
	return false
}
