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
	e := newEntry(c.resolved, max(s.hostDelay, time.Until(c.lastResolved.Add(repeatDelay))))
	e.resolves = c
	c.resolving = s.add(e)
}
