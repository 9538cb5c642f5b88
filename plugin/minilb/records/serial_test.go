package records

import (
	"sync"
	"sync/atomic"
	"testing"
)

// D24: a serial moves with each change that can be seen: to its time, or past itself.
func TestSerialAt(t *testing.T) {
	const noon = 1_800_000_000
	var at uint32
	s := serial{now: func() uint32 { return at }}
	change := func(now uint32) {
		at = now
		s.change()
	}
	read := func(now, want uint32) {
		t.Helper()
		at = now
		if got := s.peek(); got != want {
			t.Errorf("at %d: peeked at %d, want %d", now-noon, int64(got)-noon, int64(want)-noon)
		}
		if got := s.number(); got != want {
			t.Errorf("at %d: got %d, want %d", now-noon, int64(got)-noon, int64(want)-noon)
		}
	}
	change(noon)
	read(noon+5, noon) // the time of the change, not of the question, so that replicas agree
	read(noon+6, noon)
	change(noon)
	change(noon)
	read(noon, noon+1) // two changes that nobody could tell apart
	s.follow(noon - 3)
	read(noon, noon+1)
	change(noon)
	s.follow(noon + 3)
	read(noon, noon+4)
	change(noon + 10)
	read(noon+11, noon+10)
	for i := range uint32(MaxAhead) {
		change(noon + 10)
		read(noon+10, noon+11+i)
	}
	change(noon + 10) // too far ahead: it waits for the clock
	read(noon+10, noon+70)
	read(noon+10, noon+70)
	read(noon+11, noon+71)
	read(noon+20, noon+71)
	change(noon - 100) // the clock was set back
	read(noon-100, noon+71)
	read(noon+12, noon+72)
}

// Readers beside changes see no number twice for two states, and none that goes back.
func TestSerialConcurrent(t *testing.T) {
	var clock atomic.Uint32
	clock.Store(1000)
	s := serial{now: clock.Load}
	s.change()
	var done sync.WaitGroup
	for range 4 {
		done.Go(func() {
			last := uint32(0)
			for range 10_000 {
				if now := s.number(); now < last {
					t.Errorf("%d after %d", now, last)
					return
				} else {
					last = now
				}
			}
		})
	}
	for i := range uint32(10_000) {
		before := s.number()
		clock.Store(1001 + i)
		s.change()
		if after := s.number(); after <= before {
			t.Fatalf("a change moved it from %d to %d", before, after)
		}
	}
	done.Wait()
}
