package controller

import (
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"
)

// contests counts how often somebody else overwrites what we have written, and decides when
// to give way for a while (S12). It never counts what it has not seen us write.
type contests struct {
	// limit is how many overwrites within window are put right at once.
	limit  int
	window time.Duration
	// pause is how long a Service is left alone after one too many.
	pause time.Duration
	now   func() time.Time

	mu     sync.Mutex
	byName map[cache.ObjectName]*contest
}

// contest is what we remember of one Service.
type contest struct {
	// uid tells the Service from another one of its name.
	uid types.UID
	// version is the newest resourceVersion that is accounted for: the one of our last write,
	// or that of the last overwrite counted. An older one in the cache is no news.
	version string
	// overwrites are the times of those within the window.
	overwrites []time.Time
	// until is when the pause ends.
	until time.Time
}

func newContests() *contests {
	return &contests{
		limit:  5,
		window: 10 * time.Minute,
		pause:  10 * time.Minute,
		now:    time.Now,
		byName: map[cache.ObjectName]*contest{},
	}
}

// wrote remembers the resourceVersion that our write has left a Service at.
func (c *contests) wrote(s *service, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.byName[s.name]
	if known == nil || known.uid != s.uid {
		known = &contest{uid: s.uid}
		c.byName[s.name] = known
	}
	known.version = version
}

// overwritten takes a Service whose status is not ours and returns how long to leave it alone,
// 0 for not at all. When a pause begins it also returns the rival's name as far as known.
func (c *contests) overwritten(s *service) (pause time.Duration, rival string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.byName[s.name]
	if known == nil || known.uid != s.uid {
		return 0, ""
	}
	now := c.now()
	if now.Before(known.until) {
		return known.until.Sub(now), ""
	}
	if newer(s.version, known.version) {
		known.version = s.version
		known.overwrites = slices.DeleteFunc(known.overwrites, func(t time.Time) bool { return now.Sub(t) > c.window })
		known.overwrites = append(known.overwrites, now)
	}
	if len(known.overwrites) <= c.limit {
		return 0, ""
	}
	known.overwrites = nil
	known.until = now.Add(c.pause)
	return c.pause, s.rival
}

// paused returns how many Services are left alone at present.
func (c *contests) paused() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, n := c.now(), 0
	for _, known := range c.byName {
		if now.Before(known.until) {
			n++
		}
	}
	return n
}

// forget drops what is remembered of a Service that is none of ours any more.
func (c *contests) forget(name cache.ObjectName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byName, name)
}

// newer reports whether resourceVersion a is later than b, false if they cannot be compared.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}

// lastManager returns who wrote the load balancer's status last, out of all who own some of a Service.
func lastManager(all []metav1.ManagedFieldsEntry) string {
	last, manager := time.Time{}, "unknown"
	for _, entry := range all {
		if entry.FieldsV1 == nil || !strings.Contains(entry.FieldsV1.GetRawString(), `"f:loadBalancer"`) {
			continue
		}
		if at := entry.Time; at != nil && !at.Time.Before(last) {
			last, manager = at.Time, entry.Manager
		}
	}
	if manager == fieldManager {
		return "another minilb controller, which has another -domain"
	}
	return manager
}
