package records

import (
	"sync/atomic"
	"time"
)

// clock is the machine's clock for serials. If that is set forward, it follows; if that is set back, it runs on from where
// it was, so that changes need not wait until the machine's clock has caught up.
type clock struct {
	begun time.Time    // with a monotonic reading
	start atomic.Int64 // unix nanoseconds of begun by the machine's clock: the latest, as it is set
}

func newClock() *clock { return &clock{begun: time.Now()} }

// now returns unix time in seconds.
func (c *clock) now() uint32 { return uint32(c.at(time.Now()) / int64(time.Second)) }

// at returns unix time in nanoseconds at a time of the machine's clock.
func (c *clock) at(now time.Time) int64 {
	return c.reach(now.UnixNano(), now.Sub(c.begun))
}

// reach returns the time, which is no earlier than wall, after elapsed.
func (c *clock) reach(wall int64, elapsed time.Duration) int64 {
	for {
		start, latest := c.start.Load(), wall-int64(elapsed)
		if latest <= start {
			return start + int64(elapsed)
		}
		if c.start.CompareAndSwap(start, latest) {
			return wall
		}
	}
}

// follow makes the time no earlier than that of another clock.
func (c *clock) follow(before *clock) {
	now := time.Now()
	c.reach(before.at(now), now.Sub(c.begun))
}
