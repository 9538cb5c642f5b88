package records

import (
	"testing"
	"time"
)

// The time goes forward with the machine's clock, and not back with it.
func TestClock(t *testing.T) {
	const noon = int64(1_800_000_000 * time.Second)
	c := &clock{}
	for _, step := range []struct {
		elapsed, set, want time.Duration // set is how far somebody has set the machine's clock
	}{
		{0, 0, 0},
		{time.Second, 0, time.Second},
		{2 * time.Second, time.Hour, time.Hour + 2*time.Second},
		{3 * time.Second, 0, time.Hour + 3*time.Second},
		{4 * time.Second, -time.Hour, time.Hour + 4*time.Second},
		{time.Minute, time.Minute, time.Hour + time.Minute},
		{time.Minute, 2 * time.Hour, 2*time.Hour + time.Minute},
		{2 * time.Hour, time.Hour, 4 * time.Hour},
	} {
		if got := c.reach(noon+int64(step.elapsed+step.set), step.elapsed); got != noon+int64(step.want) {
			t.Errorf("after %v, set by %v: got %v, want %v", step.elapsed, step.set, time.Duration(got-noon), step.want)
		}
	}
}

// D24: what takes the place of an index goes on from the time that it has had, which the machine's
// clock may be behind by now.
func TestContinueAhead(t *testing.T) {
	before := NewIndex([]string{"minilb."})
	ahead := time.Now().Add(time.Hour)
	before.clock.reach(ahead.UnixNano(), time.Since(before.clock.begun)) // and then set back
	before.MarkChanged("minilb.")
	last := before.Serial("minilb.")
	if int64(last) < ahead.Unix() {
		t.Fatalf("the serial is %d, want %d at least", last, ahead.Unix())
	}
	after := NewIndex([]string{"minilb."})
	after.InheritSerials(before)
	after.Update(nil, nil, false)
	for range 3 {
		next := after.Serial("minilb.")
		if next <= last || next > last+MaxAhead {
			t.Fatalf("the serial went from %d to %d", last, next)
		}
		last = next
		after.MarkChanged("minilb.")
	}
}
