package events

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/client-go/util/flowcontrol"
)

// Rates of writing: Events a second in the long run, and at a time, of all namespaces and of each.
const (
	eventRate, eventBurst                   = 10, 50
	namespaceEventRate, namespaceEventBurst = 1, 20
)

// Limits of what is remembered, of all namespaces and of each. Problems beyond are not reported until others are fixed.
const (
	maxProblems          = 4096
	maxNamespaceProblems = 512
	// maxOnce is how many Events wait that are written once: those of a burst of new Services are not worth minutes of writing.
	maxOnce = 32
)

const (
	// problemDelay is how long a problem must last to be reported: most changes of objects come in twos and threes.
	problemDelay = 2 * time.Second
	// repeatDelay is when a problem that lasts is reported again: API servers drop Events after an hour. One that is still there
	// has the same name.
	repeatDelay = time.Hour + time.Minute
	// retryDelay is the pause after a failure that is neither a denial nor a rejection.
	retryDelay = 10 * time.Second
)

// schedule has the problems and when their Events are due. It is not safe for concurrent use.
type schedule struct {
	log *slog.Logger
	now func() time.Time
	// hostDelay is that of the Recorder.
	hostDelay time.Duration

	limiter    flowcontrol.PassiveRateLimiter
	wake       chan struct{}       // holds a token while there may be something to write
	bySource   map[string][]string // the keys of the entries that each source has reported
	entries    map[string]*entry
	conditions map[Problem]*condition // by Problem.condition
	namespaces map[string]*namespaceLimit
	once       int       // how many entries are written once
	pause      time.Time // nothing is written before
	denied     bool      // was logged
	full       bool      // was logged
}

// entry is a problem and when its Event is due.
type entry struct {
	Problem
	due      time.Time
	once     bool       // it is dropped once it is written
	resolves *condition // that an Event of Resolved is about
	sources  int        // how many have reported it
}

// lasting reports whether it is a condition that holds until it is fixed.
func (e *entry) lasting() bool { return !e.Normal && !e.once }

func newSchedule(hostDelay time.Duration, log *slog.Logger) *schedule {
	return &schedule{
		log: log, now: time.Now, hostDelay: hostDelay,
		limiter:    flowcontrol.NewTokenBucketPassiveRateLimiter(eventRate, eventBurst),
		wake:       make(chan struct{}, 1),
		bySource:   map[string][]string{},
		entries:    map[string]*entry{},
		conditions: map[Problem]*condition{},
		namespaces: map[string]*namespaceLimit{},
	}
}

func (s *schedule) replace(source string, problems []Problem) {
	if len(problems) == 0 && len(s.bySource[source]) == 0 {
		return
	}
	problems = slices.Clone(problems)
	found := make(map[string]*Problem, len(problems))
	holds := make(map[Problem]bool, len(problems)) // by condition; true where the source cannot find out
	keys := make([]string, 0, len(problems))
	for i := range problems {
		p := &problems[i]
		holds[p.condition()] = holds[p.condition()] || p.Unknown
		if p.Unknown {
			continue
		}
		if c := s.conditions[p.condition()]; c != nil {
			p.round = c.resolved.round
		}
		found[p.key()] = p
	}
	for _, key := range s.bySource[source] {
		e := s.entries[key]
		if found[key] != nil || holds[e.condition()] {
			keys = append(keys, key)
			delete(found, key)
		} else if e.sources--; e.sources == 0 {
			s.drop(e)
			if _, is := holds[e.condition()]; !is {
				s.resolve(e.condition())
			}
		}
	}
	for i := range problems { // after the removals, which make room
		key := problems[i].key()
		if found[key] == nil {
			continue
		}
		delete(found, key)
		if e := s.entries[key]; e != nil {
			e.sources++
		} else {
			delay := problemDelay
			if problems[i].Reason == HostNotServed {
				delay = s.hostDelay
			}
			if !s.add(key, &entry{Problem: problems[i], due: s.now().Add(delay), sources: 1}) {
				continue
			}
		}
		keys = append(keys, key)
	}
	s.bySource[source] = keys
	if len(keys) == 0 {
		delete(s.bySource, source)
	}
}

func (s *schedule) report(p Problem) {
	if key := p.key(); s.once < maxOnce && s.entries[key] == nil && !s.namespaces[p.eventNamespace()].muted(s.now()) {
		s.add(key, &entry{Problem: p, due: s.now(), once: true})
	}
}

// add reports whether there is room for an entry.
func (s *schedule) add(key string, e *entry) bool {
	namespace := s.namespaces[e.eventNamespace()]
	if len(s.entries) >= maxProblems || namespace != nil && namespace.entries >= maxNamespaceProblems {
		if !s.full {
			s.full = true
			s.log.Warn("too many problems to write Events of all: the rest is reported when some are fixed",
				"namespace", e.eventNamespace(), "most", maxNamespaceProblems, "most in all", maxProblems)
		}
		return false
	}
	if namespace == nil {
		namespace = newNamespaceLimit()
		s.namespaces[e.eventNamespace()] = namespace
	}
	namespace.entries++
	s.entries[key] = e
	if e.once {
		s.once++
	}
	if e.lasting() {
		s.begin(&e.Problem)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return true
}

// drop removes an entry, unless that was done before.
func (s *schedule) drop(e *entry) {
	if s.entries[e.key()] != e {
		return
	}
	delete(s.entries, e.key())
	if e.once {
		s.once--
	}
	if e.resolves != nil {
		e.resolves.resolving = false
	}
	if e.lasting() {
		s.conditions[e.condition()].problems--
	}
	namespace := s.namespaces[e.eventNamespace()]
	if namespace.entries--; namespace.entries == 0 {
		namespace.idle = s.now()
	}
}

// next returns the Event to write now and its entry, or nil and how long there is none. Of each namespace the entry
// that is due first comes first, and the namespaces take turns by that.
func (s *schedule) next(instance string) (*entry, *eventsv1.Event, time.Duration) {
	now := s.now()
	if pause := s.pause.Sub(now); pause > 0 {
		return nil, nil, pause
	}
	s.tidy(now)
	pause := repeatDelay
	first := map[string]string{} // key by namespace
	for key, e := range s.entries {
		due := e.due
		if until := s.namespaces[e.eventNamespace()].pause; until.After(due) {
			due = until
		}
		if wait := due.Sub(now); wait > 0 {
			pause = min(pause, wait)
			continue
		}
		if other, any := first[e.eventNamespace()]; !any || s.compare(key, other) < 0 {
			first[e.eventNamespace()] = key
		}
	}
	for _, key := range slices.SortedFunc(maps.Values(first), s.compare) {
		e := s.entries[key]
		if !s.namespaces[e.eventNamespace()].limiter.TryAccept() {
			continue
		}
		if !s.limiter.TryAccept() {
			break
		}
		return e, e.event(instance, now), 0
	}
	if len(first) > 0 {
		pause = min(pause, time.Second/eventRate)
	}
	return nil, nil, pause
}

// compare orders the keys of entries by when they are due.
func (s *schedule) compare(a, b string) int {
	return cmp.Or(s.entries[a].due.Compare(s.entries[b].due), strings.Compare(a, b))
}

// written notes that there is an Event of an entry, written by us or by another controller.
func (s *schedule) written(e *entry) {
	s.allow(s.namespaces[e.eventNamespace()])
	s.skip(e)
	s.confirm(e)
}

// skip does without an Event of an entry until it is repeated.
func (s *schedule) skip(e *entry) {
	e.due = s.now().Add(repeatDelay)
	if e.once {
		s.drop(e)
	}
}
