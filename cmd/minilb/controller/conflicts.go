package controller

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/cmd/minilb/controller/events"
)

// conflicts counts how often somebody else overwrites what we have written, and decides when to give way for a while (S12).
type conflicts struct {
	mu     sync.Mutex
	byName map[cache.ObjectName]*conflict
}

// maxOverwrites within overwriteWindow are repaired at once. After one more the Service is left alone for conflictPause.
const (
	maxOverwrites                  = 5
	overwriteWindow, conflictPause = 10 * time.Minute, 10 * time.Minute
)

// conflict is what is remembered of one Service.
type conflict struct {
	uid        types.UID   // distinguishes it from another one of its name
	version    string      // the resourceVersion of our last write or the last overwrite: an older one in the cache is stale
	overwrites []time.Time // within the window
	until      time.Time   // the end of the pause
}

func (c *conflicts) wrote(s *service, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.byName[s.name]
	if known == nil || known.uid != s.uid {
		known = &conflict{uid: s.uid}
		c.byName[s.name] = known
	}
	known.version = version
}

// overwritten takes a Service whose status is pending and returns how long to leave it alone,
// 0 for not at all, and whether that has just begun.
func (c *conflicts) overwritten(s *service) (pause time.Duration, began bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.byName[s.name]
	if known == nil || known.uid != s.uid {
		return 0, false
	}
	now := time.Now()
	if now.Before(known.until) {
		return known.until.Sub(now), false
	}
	if newer(s.version, known.version) {
		known.version = s.version
		known.overwrites = slices.DeleteFunc(known.overwrites, func(t time.Time) bool { return now.Sub(t) > overwriteWindow })
		known.overwrites = append(known.overwrites, now)
	}
	if len(known.overwrites) <= maxOverwrites {
		return 0, false
	}
	known.overwrites = nil
	known.until = now.Add(conflictPause)
	return conflictPause, true
}

func (c *conflicts) paused() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, known := range c.byName {
		if time.Now().Before(known.until) {
			n++
		}
	}
	return n
}

func (c *conflicts) forget(name cache.ObjectName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byName, name)
}

// newer reports whether resourceVersion a is later than b, false if they cannot be compared.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}

// reportConflict logs that a Service is left alone, and who overwrites its status.
func (c *Controller) reportConflict(s *service, pause time.Duration) {
	manager := cmp.Or(s.manager, "unknown")
	if manager == fieldManager {
		manager = "another minilb controller, which has another -domain"
	}
	c.log.Warn("another controller keeps overwriting the status of a Service: give the Service a "+
		"loadBalancerClass that is not that controller's, or turn that controller off for it",
		"service", s.name.String(), "other", manager, "paused", pause)
	c.recorder.Report(s.problem(events.StatusConflict, fmt.Sprintf(
		"Field manager %q keeps overwriting the status: give the Service a loadBalancerClass that is not its, "+
			"or turn it off for this Service; the status is left alone for %v", manager, pause)))
}
