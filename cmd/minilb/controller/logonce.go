package controller

import (
	"log/slog"
	"sync"
	"time"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// reminder is after what time a failure that lasts is logged again.
const reminder = 10 * time.Minute

// logOnce logs each failure once for as long as it lasts.
type logOnce struct {
	log *slog.Logger

	mu      sync.Mutex
	byTopic map[string]loggedFailure
}

type loggedFailure struct {
	kind kube.Kind
	at   time.Time
}

// report logs a failure, unless the last of this topic was of the same kind and is recent.
func (l *logOnce) report(topic string, failure *kube.Error, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.byTopic[topic]; ok && last.kind == failure.Kind && time.Since(last.at) < reminder {
		l.log.Debug(failure.Text, args...)
		return
	}
	l.byTopic[topic] = loggedFailure{failure.Kind, time.Now()}
	if failure.Kind == kube.Unauthorized || failure.Kind == kube.Forbidden {
		l.log.Error(failure.Text, args...) // does not pass by itself
		return
	}
	l.log.Warn(failure.Text+"; retrying", args...)
}

// clear ends the failure of a topic, and reports whether there was one.
func (l *logOnce) clear(topic string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.byTopic[topic]
	delete(l.byTopic, topic)
	return ok
}
