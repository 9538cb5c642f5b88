package events

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
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
	log       *slog.Logger
	hostDelay time.Duration // the delay of New

	limiter    flowcontrol.PassiveRateLimiter
	wake       chan struct{}               // holds a token while there may be something to write
	bySource   map[string]sets.Set[string] // the keys of the entries that each source has reported
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
	key      string
	due      time.Time
	once     bool            // it is dropped once it is written
	resolves *condition      // that an Event of Resolved is about
	sources  int             // how many have reported it
	limit    *namespaceLimit // of the Event's namespace, once it is added
}

func newEntry(p Problem, delay time.Duration) *entry {
	return &entry{Problem: p, key: p.key(), due: time.Now().Add(delay)}
}

// lasting reports whether it is a condition that holds until it is fixed.
func (e *entry) lasting() bool { return !e.Normal && !e.once }

// compare orders entries by when they are due.
func (e *entry) compare(other *entry) int {
	return cmp.Or(e.due.Compare(other.due), strings.Compare(e.key, other.key))
}

func newSchedule(hostDelay time.Duration, log *slog.Logger) *schedule {
	return &schedule{
		log: log, hostDelay: hostDelay,
		limiter:    flowcontrol.NewTokenBucketPassiveRateLimiter(eventRate, eventBurst),
		wake:       make(chan struct{}, 1),
		bySource:   map[string]sets.Set[string]{},
		entries:    map[string]*entry{},
		conditions: map[Problem]*condition{},
		namespaces: map[string]*namespaceLimit{},
	}
}

func (s *schedule) replace(source string, problems []Problem) {
	if len(problems) == 0 && len(s.bySource[source]) == 0 {
		return
	}
	keys := s.bySource[source].Clone()
	found := make([]*entry, 0, len(problems))
	lasting := make(sets.Set[string], len(problems)) // the keys of those found
	holds := make(map[Problem]bool, len(problems))   // by condition; true where the source cannot find out
	for _, p := range problems {
		condition := p.condition()
		holds[condition] = holds[condition] || p.Unknown
		if p.Unknown {
			continue
		}
		if c := s.conditions[condition]; c != nil {
			p.round = c.resolved.round
		}
		delay := problemDelay
		if p.Reason == HostNotServed {
			delay = s.hostDelay
		}
		e := newEntry(p, delay)
		found = append(found, e)
		lasting.Insert(e.key)
	}
	for key := range keys {
		e := s.entries[key]
		unknown, persists := holds[e.condition()]
		if unknown || lasting.Has(key) {
			continue
		}
		keys.Delete(key)
		if e.sources--; e.sources == 0 {
			s.drop(e)
			if !persists {
				s.resolve(e.condition())
			}
		}
	}
	for _, e := range found { // after the removals, which make room
		if keys.Has(e.key) {
			continue
		}
		if known := s.entries[e.key]; known != nil {
			e = known
		} else if !s.add(e) {
			continue
		}
		e.sources++
		keys.Insert(e.key)
	}
	s.bySource[source] = keys
	if len(keys) == 0 {
		delete(s.bySource, source)
	}
}

func (s *schedule) report(p Problem) {
	e := newEntry(p, 0)
	e.once = true
	if s.once < maxOnce && s.entries[e.key] == nil && !s.namespaces[p.eventNamespace()].muted() {
		s.add(e)
	}
}

// add reports whether there is room for an entry.
func (s *schedule) add(e *entry) bool {
	n := s.namespaces[e.eventNamespace()]
	if len(s.entries) >= maxProblems || n != nil && n.entries >= maxNamespaceProblems {
		if !s.full {
			s.full = true
			s.log.Warn("too many problems to write Events of all: the rest is reported when some are fixed",
				"namespace", e.eventNamespace(), "most", maxNamespaceProblems, "most in all", maxProblems)
		}
		return false
	}
	if n == nil {
		n = &namespaceLimit{limiter: flowcontrol.NewTokenBucketPassiveRateLimiter(namespaceEventRate, namespaceEventBurst)}
		s.namespaces[e.eventNamespace()] = n
	}
	n.entries++
	e.limit = n
	s.entries[e.key] = e
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
	if s.entries[e.key] != e {
		return
	}
	delete(s.entries, e.key)
	if e.once {
		s.once--
	}
	if e.resolves != nil {
		e.resolves.resolving = false
	}
	if e.lasting() {
		s.conditions[e.condition()].problems--
	}
	if e.limit.entries--; e.limit.entries == 0 {
		e.limit.idle = time.Now()
	}
}

// next returns the entry whose Event is to be written now, or nil and how long there is none. Of each namespace the entry
// that is due first comes first, and the namespaces take turns by that.
func (s *schedule) next() (*entry, time.Duration) {
	now := time.Now()
	if pause := s.pause.Sub(now); pause > 0 {
		return nil, pause
	}
	s.tidy(now)
	pause := repeatDelay
	first := map[*namespaceLimit]*entry{}
	for _, e := range s.entries {
		if wait := max(e.due.Sub(now), e.limit.pause.Sub(now)); wait > 0 {
			pause = min(pause, wait)
		} else if other := first[e.limit]; other == nil || e.compare(other) < 0 {
			first[e.limit] = e
		}
	}
	for _, e := range slices.SortedFunc(maps.Values(first), (*entry).compare) {
		if !e.limit.limiter.TryAccept() {
			continue
		}
		if !s.limiter.TryAccept() {
			break
		}
		return e, 0
	}
	if len(first) > 0 {
		pause = min(pause, time.Second/eventRate)
	}
	return nil, pause
}

// written notes that there is an Event of an entry, written by us or by another controller.
func (s *schedule) written(e *entry) {
	if e.limit.denials >= maxDenials && s.denied {
		s.denied = false
		s.log.Info("events can be written again")
	}
	e.limit.denials, e.limit.pause, e.limit.rejected = 0, time.Time{}, false
	s.skip(e)
	if c := e.resolves; c != nil {
		c.written, c.lastResolved = false, time.Now()
		c.resolved.round++
	} else if c := s.conditions[e.condition()]; c != nil && e.lasting() {
		c.written = true
		s.resolve(e.condition()) // it was fixed meanwhile
	}
}

// skip does without an Event of an entry until it is repeated.
func (s *schedule) skip(e *entry) {
	e.due = time.Now().Add(repeatDelay)
	if e.once || e.resolves != nil {
		s.drop(e)
	}
}
