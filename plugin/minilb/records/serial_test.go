package records

import (
	"sync"
	"testing"
)

// D24: a serial moves with each change that can be seen: to its time, or past itself.
func TestSerialAt(t *testing.T) {
	const noon = 1_800_000_000
	var s serial
	read := func(now, want uint32) {
		t.Helper()
		if got := following(s.state.Load(), now); got != want {
			t.Errorf("at %d: peeked at %d, want %d", now-noon, int64(got)-noon, int64(want)-noon)
		}
		if got := s.numberAt(now); got != want {
			t.Errorf("at %d: got %d, want %d", now-noon, int64(got)-noon, int64(want)-noon)
		}
	}
	s.changeAt(noon)
	read(noon+5, noon) // the time of the change, not of the question, so that replicas agree
	read(noon+6, noon)
	s.changeAt(noon)
	s.changeAt(noon)
	read(noon, noon+1) // two changes that nobody could tell apart
	s.follow(noon - 3)
	read(noon, noon+1)
	s.changeAt(noon)
	s.follow(noon + 3)
	read(noon, noon+4)
	s.changeAt(noon + 10)
	read(noon+11, noon+10)
	for i := range uint32(MaxAhead) {
		s.changeAt(noon + 10)
		read(noon+10, noon+11+i)
	}
	s.changeAt(noon + 10) // too far ahead: it waits for the clock
	read(noon+10, noon+70)
	read(noon+10, noon+70)
	read(noon+11, noon+71)
	read(noon+20, noon+71)
	s.changeAt(noon - 100) // the clock was set back
	read(noon-100, noon+71)
	read(noon+12, noon+72)
}

// Readers beside changes see no number twice for two states, and none that goes back.
func TestSerialConcurrent(t *testing.T) {
	var s serial
	s.changeAt(1000)
	var done sync.WaitGroup
	for range 4 {
		done.Go(func() {
			last := uint32(0)
			for range 10_000 {
				if now := s.numberAt(1_000_000); now < last {
					t.Errorf("%d after %d", now, last)
					return
				} else {
					last = now
				}
			}
		})
	}
	for i := range uint32(10_000) {
		before := s.numberAt(1_000_000)
		s.changeAt(1001 + i)
		if after := s.numberAt(1_000_000); after <= before {
			t.Fatalf("a change moved it from %d to %d", before, after)
		}
	}
	done.Wait()
}
