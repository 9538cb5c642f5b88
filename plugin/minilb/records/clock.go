package records

import (
	"sync/atomic"
	"time"
)

// clock is what serials are taken from: the machine's clock, but for that it does not go back when
// that one is set back. It goes on from there at the pace of time, so that what changes afterwards
// need not wait until that one has come so far again. It follows when that one is set forward.
type clock struct {
	begun time.Time    // with the monotonic clock, which nobody sets
	start atomic.Int64 // the latest that the machine's clock, as it was set at times, makes of begun, in unix nanoseconds
}

func newClock() *clock { return &clock{begun: time.Now()} }

// now returns unix time in seconds.
func (c *clock) now() uint32 { return uint32(c.at(time.Now()) / int64(time.Second)) }

// at returns unix time in nanoseconds at a time that the machine's clock tells.
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

// follow lets the time be no earlier than another clock has it.
func (c *clock) follow(before *clock) {
	now := time.Now()
	c.reach(before.at(now), now.Sub(c.begun))
}
