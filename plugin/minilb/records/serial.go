package records

import (
	"sync/atomic"
	"time"
)

// serial is the number of a zone's version (D24). It moves to the time of the latest change when
// it is read for the first time after it, and past itself where the clock has not moved on: what
// nobody has asked for in between needs no number of its own. So it grows with each change that
// can be seen, but hardly ever faster than the clock, which is what it starts from after a restart.
type serial struct {
	// number in the upper half; in the lower half when the content has changed since the number
	// was read, in unix seconds, 0 if it has not
	state atomic.Uint64
}

// maxAhead is by how many seconds a serial may be ahead of the clock. A zone that changes, and is
// asked for it, all the time would else be so far ahead that after a restart its secondaries would
// take the new state for an old one; beyond this its changes wait for the clock, which takes a
// second.
const maxAhead = 60

// change says that the content has changed.
func (s *serial) change() { s.changeAt(uint32(time.Now().Unix())) }

func (s *serial) changeAt(now uint32) {
	for {
		state := s.state.Load()
		if uint32(state) == now || s.state.CompareAndSwap(state, state&^(1<<32-1)|uint64(now)) {
			return
		}
	}
}

// read returns the number of the present content.
func (s *serial) read() uint32 {
	state := s.state.Load()
	if uint32(state) == 0 {
		return uint32(state >> 32)
	}
	return s.readAt(uint32(time.Now().Unix()))
}

func (s *serial) readAt(now uint32) uint32 {
	for {
		state := s.state.Load()
		number, changed := uint32(state>>32), uint32(state)
		next := max(number+1, changed)
		if changed == 0 || number != 0 && next > now+maxAhead {
			return number
		}
		if s.state.CompareAndSwap(state, uint64(next)<<32) {
			return next
		}
	}
}
