package translator

import (
	"maps"
	"sync"
	"time"

	"k8s.io/client-go/util/flowcontrol"

	"github.com/minilb/minilb/plugin/minilb/informer"
)

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

func newLogBudget(log informer.Logger) *logBudget {
	return &logBudget{log: log, byNamespace: map[string]*namespaceBudget{}}
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
		l.log.Warningf("Namespace %s: there is more to be said of its objects than is logged; the metrics claims_rejected and endpoints count it", namespace)
	}
	return false
}
