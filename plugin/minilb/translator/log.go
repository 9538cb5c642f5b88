package translator

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// reporter logs each problem once for as long as it lasts, however many plugin blocks have it.
type reporter struct {
	log    informer.Logger
	budget *logBudget

	mu       sync.Mutex
	reported map[*Translator]map[logKey]int // how often, by whose problem it is at present
}

// logKey is what is logged of a problem.
type logKey struct{ owner, text string }

func newReporter(log informer.Logger) *reporter {
	return &reporter{log: log, budget: newLogBudget(log), reported: map[*Translator]map[logKey]int{}}
}

// report logs the new ones of the problems that have come, and forgets those that are gone; a problem may be in both.
func (r *reporter) report(t *Translator, come, gone []object.Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	current := r.reported[t]
	if current == nil {
		current = map[logKey]int{}
		r.reported[t] = current
	}
	fresh := map[string][]object.Problem{} // by owner
	for _, p := range come {
		c := logKey{p.Ref.String(), p.Text}
		if !r.known(c) {
			fresh[c.owner] = append(fresh[c.owner], p)
		}
		current[c]++
	}
	for _, p := range gone {
		c := logKey{p.Ref.String(), p.Text}
		if current[c]--; current[c] == 0 {
			delete(current, c)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fresh)) {
		r.logNew(name, fresh[name])
	}
}

// logNew logs the new problems of one object, those of single hosts before those of many.
func (r *reporter) logNew(owner string, problems []object.Problem) {
	slices.SortFunc(problems, func(a, b object.Problem) int {
		return cmp.Or(rank(a)-rank(b), strings.Compare(a.Text, b.Text), cmp.Compare(a.Reason, b.Reason))
	})
	namespace := problems[0].Ref.Namespace
	for _, p := range problems[:min(object.MaxLines, len(problems))] {
		write := r.log.Warningf
		if p.Reason.Counted() == string(object.ReasonNoTarget) || p.Reason == object.ReasonNotice {
			write = r.log.Infof // most often an object that is being set up, or nothing is wrong
		}
		if r.budget.allows(namespace) {
			write("%s: %s", owner, p.Text)
		}
	}
	more := 0
	for _, p := range problems[min(object.MaxLines, len(problems)):] {
		more += max(1, p.Hosts)
	}
	if more > 0 && r.budget.allows(namespace) {
		r.log.Warningf("%s: %d more of its hosts or addresses have problems", owner, more)
	}
}

func (r *reporter) known(c logKey) bool {
	for _, reported := range r.reported {
		if reported[c] > 0 {
			return true
		}
	}
	return false
}

// rank orders problems in the log: notices last, problems of many hosts after those of one.
func rank(p object.Problem) (n int) {
	if p.Reason == object.ReasonNotice {
		n = 2
	}
	return n + min(p.Hosts, 1)
}
