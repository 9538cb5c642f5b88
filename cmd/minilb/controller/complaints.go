package controller

import (
	"log/slog"
	"sync"
	"time"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// reminder is after what time a complaint that still holds is repeated.
const reminder = 10 * time.Minute

// complaints tells of each trouble once, however often it comes back while it lasts.
type complaints struct {
	log *slog.Logger
	now func() time.Time

	mu      sync.Mutex
	byTopic map[string]complaint
}

type complaint struct {
	trouble *kube.Failure
	told    time.Time
}

func newComplaints(log *slog.Logger) *complaints {
	return &complaints{log: log, now: time.Now, byTopic: map[string]complaint{}}
}

// tell logs the trouble, unless the last of this topic was of the same kind and is recent.
func (c *complaints) tell(topic string, trouble *kube.Failure, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, ok := c.byTopic[topic]
	if ok && last.trouble.Kind == trouble.Kind && c.now().Sub(last.told) < reminder {
		c.log.Debug(trouble.Text, args...)
		return
	}
	c.byTopic[topic] = complaint{trouble, c.now()}
	if trouble.Kind == kube.Unauthorized || trouble.Kind == kube.Forbidden {
		c.log.Error(trouble.Text, args...) // does not go away by itself
		return
	}
	c.log.Warn(trouble.Text+"; retrying", args...)
}

// settle ends what there was to complain of a topic, and reports whether there was anything.
func (c *complaints) settle(topic string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.byTopic[topic]
	delete(c.byTopic, topic)
	return ok
}

// last returns what there is to complain of a topic, empty if nothing.
func (c *complaints) last(topic string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if trouble := c.byTopic[topic].trouble; trouble != nil {
		return trouble.Text
	}
	return ""
}
