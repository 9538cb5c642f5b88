package source

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Stats counts what a Translator made of the cluster.
type Stats struct {
	Names       map[string]int // names that are answered, by the kind of object they come from
	Endpoints   map[string]int // endpoints of the exposed Services: "ready", "terminating", "not_ready" or "suspect"
	Rejected    map[string]int // claims on hosts that do not count, by reason
	Unreachable int            // hosts outside the server blocks' zones (D8)
}

// Stats returns the present counts.
func (t *Translator) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.Endpoints = map[string]int{"ready": t.states.ready, "terminating": t.states.terminating, "not_ready": t.states.notReady, "suspect": t.states.suspect}
	return s
}

// reporter logs each problem once for as long as it lasts, however many stanzas of the
// Corefile meet it.
type reporter struct {
	log Logger

	mu       sync.Mutex
	reported map[*Translator]map[string]bool // lines, by who has the problem at present
}

// maxLines is how many new problems of one object are logged at a time: one object must not
// be able to drown the others.
const maxLines = 5

// report takes all problems that a Translator has now.
func (r *reporter) report(t *Translator, problems []problem) {
	slices.SortFunc(problems, func(a, b problem) int {
		return cmp.Or(strings.Compare(a.owner.String(), b.owner.String()), strings.Compare(a.text, b.text))
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	current := make(map[string]bool, len(problems))
	fresh := map[string]int{}
	for _, p := range problems {
		line := p.owner.String() + ": " + p.text
		known := current[line] || r.known(line)
		current[line] = true
		if known {
			continue
		}
		if fresh[p.owner.String()]++; fresh[p.owner.String()] > maxLines {
			continue
		}
		if p.reason == dead {
			r.log.Infof("%s", line) // most often an object that is being set up
		} else {
			r.log.Warningf("%s", line)
		}
	}
	for _, owner := range slices.Sorted(maps.Keys(fresh)) {
		if more := fresh[owner] - maxLines; more > 0 {
			r.log.Warningf("%s: %d more of its hosts or addresses have problems", owner, more)
		}
	}
	r.reported[t] = current
}

func (r *reporter) known(line string) bool {
	for _, lines := range r.reported {
		if lines[line] {
			return true
		}
	}
	return false
}
