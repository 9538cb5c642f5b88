package translator

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/util/flowcontrol"

	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// reporter logs each problem once for as long as it lasts, however many plugin blocks have it.
type reporter struct {
	log    informer.Logger
	budget *logBudget

	mu       sync.Mutex
	reported map[logKey]int // how often each is a problem at present
}

// logKey is what is logged of a problem.
type logKey struct{ owner, text string }

func newReporter(log informer.Logger) *reporter {
	budget := &logBudget{log: log, byNamespace: map[string]*namespaceBudget{}}
	return &reporter{log: log, budget: budget, reported: map[logKey]int{}}
}

// report logs the new ones of the problems that have come, and forgets those that are gone; a problem may be in both.
func (r *reporter) report(come, gone []object.Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh := map[string][]object.Problem{} // by owner
	for _, p := range come {
		key := logKey{p.Ref.String(), p.Text}
		if r.reported[key]++; r.reported[key] == 1 {
			fresh[key.owner] = append(fresh[key.owner], p)
		}
	}
	for _, p := range gone {
		key := logKey{p.Ref.String(), p.Text}
		if r.reported[key]--; r.reported[key] == 0 {
			delete(r.reported, key)
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

// rank orders problems in the log: notices last, problems of many hosts after those of one.
func rank(p object.Problem) (n int) {
	if p.Reason == object.ReasonNotice {
		n = 2
	}
	return n + min(p.Hosts, 1)
}

// The log lines about the objects of one namespace: lineBurst at once, and lineRate a second in the long run. Without a limit
// whoever may write there could fill the log.
const (
	lineBurst = 500
	lineRate  = 1
)

// maxBudgets is how many namespaces have a budget before whole ones are dropped.
const maxBudgets = 1024

// logBudget limits the log lines about the objects of each namespace.
type logBudget struct {
	log informer.Logger

	mu          sync.Mutex
	byNamespace map[string]*namespaceBudget
}

type namespaceBudget struct {
	lines   flowcontrol.PassiveRateLimiter
	notices flowcontrol.PassiveRateLimiter // that lines are left out
	used    time.Time
}

// allows reports whether one more line about the objects of a namespace may be logged. It logs at most once a minute that
// lines are left out.
func (l *logBudget) allows(namespace string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.byNamespace[namespace]
	if b == nil {
		if len(l.byNamespace) >= maxBudgets {
			whole := time.Now().Add(-lineBurst / lineRate * time.Second)
			maps.DeleteFunc(l.byNamespace, func(_ string, b *namespaceBudget) bool { return b.used.Before(whole) })
		}
		b = &namespaceBudget{
			lines:   flowcontrol.NewTokenBucketPassiveRateLimiter(lineRate, lineBurst),
			notices: flowcontrol.NewTokenBucketPassiveRateLimiter(1./60, 1),
		}
		l.byNamespace[namespace] = b
	}
	b.used = time.Now()
	if b.lines.TryAccept() {
		return true
	}
	if b.notices.TryAccept() {
		l.log.Warningf("Namespace %s: there is more to be said of its objects than is logged; "+
			"the metrics claims_rejected and endpoints count it", namespace)
	}
	return false
}
