package source

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/util/flowcontrol"

	"github.com/minilb/minilb/plugin/minilb/object"
)

// reporter logs each problem once for as long as it lasts, however many stanzas of the
// Corefile meet it.
type reporter struct {
	log Logger

	mu         sync.Mutex
	reported   map[*Translator]map[complaint]bool // by who has the problem at present
	allowances map[string]*allowance              // by namespace
}

// complaint is a problem as it is logged.
type complaint struct{ owner, text string }

// maxLines is how many new problems of one object are logged at a time: one object must not
// be able to drown the others.
const maxLines = 5

// The lines about the objects of one namespace: so many at a time, and so many a second in the
// long run. Whoever may write there decides how often there is something new to be said.
const (
	lineBurst = 500
	lineRate  = 1
)

// maxAllowances is how many namespaces have an allowance before those are forgotten which have not used
// theirs for so long that it is whole again.
const maxAllowances = 1024

// allowance is what is left of a namespace's lines.
type allowance struct {
	lines   flowcontrol.PassiveRateLimiter
	notices flowcontrol.PassiveRateLimiter // that lines are left out
	used    time.Time
}

func newReporter(log Logger) *reporter {
	return &reporter{log: log, reported: map[*Translator]map[complaint]bool{}, allowances: map[string]*allowance{}}
}

// report takes all problems that a Translator has now.
func (r *reporter) report(t *Translator, problems []object.Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	current := make(map[complaint]bool, len(problems))
	owners := map[*object.Ref]string{}
	fresh := map[string][]object.Problem{} // by owner
	for _, p := range problems {
		name, known := owners[p.Ref]
		if !known {
			name = p.Ref.String()
			owners[p.Ref] = name
		}
		c := complaint{name, p.Text}
		known = current[c] || r.known(c)
		current[c] = true
		if !known {
			fresh[name] = append(fresh[name], p)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fresh)) {
		r.tell(name, fresh[name])
	}
	r.reported[t] = current
}

// tell logs the new problems of one object, those of single hosts before what is said of many.
func (r *reporter) tell(owner string, problems []object.Problem) {
	slices.SortFunc(problems, func(a, b object.Problem) int {
		return cmp.Or(before(a.Reason == object.ReasonNotice, b.Reason == object.ReasonNotice), before(a.Hosts > 0, b.Hosts > 0), strings.Compare(a.Text, b.Text), cmp.Compare(a.Reason, b.Reason))
	})
	namespace := problems[0].Ref.Namespace
	for _, p := range problems[:min(maxLines, len(problems))] {
		write := r.log.Warningf
		if p.Reason.Counted() == string(object.ReasonNoTarget) || p.Reason == object.ReasonNotice {
			write = r.log.Infof // most often an object that is being set up, or nothing is wrong
		}
		if r.affords(namespace) {
			write("%s: %s", owner, p.Text)
		}
	}
	more := 0
	for _, p := range problems[min(maxLines, len(problems)):] {
		more += max(1, p.Hosts)
	}
	if more > 0 && r.affords(namespace) {
		r.log.Warningf("%s: %d more of its hosts or addresses have problems", owner, more)
	}
}

// allows is affords for whoever does not hold the lock.
func (r *reporter) allows(namespace string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.affords(namespace)
}

// affords reports whether one more line about the objects of a namespace may be logged. That
// others are left out is said once a minute at most.
func (r *reporter) affords(namespace string) bool {
	a := r.allowances[namespace]
	if a == nil {
		if len(r.allowances) >= maxAllowances {
			whole := time.Now().Add(-lineBurst / lineRate * time.Second)
			maps.DeleteFunc(r.allowances, func(_ string, a *allowance) bool { return a.used.Before(whole) })
		}
		a = &allowance{
			lines:   flowcontrol.NewTokenBucketPassiveRateLimiter(lineRate, lineBurst),
			notices: flowcontrol.NewTokenBucketPassiveRateLimiter(1./60, 1),
		}
		r.allowances[namespace] = a
	}
	a.used = time.Now()
	if a.lines.TryAccept() {
		return true
	}
	if a.notices.TryAccept() {
		r.log.Warningf("Namespace %s: there is more to be said of its objects than is logged; the metrics claims_rejected and endpoints count it", namespace)
	}
	return false
}

func (r *reporter) known(c complaint) bool {
	for _, reported := range r.reported {
		if reported[c] {
			return true
		}
	}
	return false
}
