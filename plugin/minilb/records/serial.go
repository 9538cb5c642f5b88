package records

import "sync/atomic"

// serial is the number of a zone's version (D24). It moves to the time of the latest change when
// it is asked for the first time after it, and past itself where the clock has not moved on: what
// nobody has asked for in between needs no number of its own. So it grows with each change that
// can be seen, but hardly ever faster than the clock, which is what it starts from in a new process.
type serial struct {
	// number in the upper half; in the lower half when the content has changed since the number
	// was asked for, in unix seconds, 0 if it has not
	state atomic.Uint64
	clock *clock
}

// MaxAhead is by how many seconds a serial may be ahead of the clock. A zone that changes, and is
// asked for it, all the time would else be so far ahead that after a restart its secondaries would
// take the new state for an old one for as long; beyond this its changes wait for the clock, which
// takes a second.
const MaxAhead = 60

// change says that the content has changed.
func (s *serial) change() { s.changeAt(s.clock.now()) }

func (s *serial) changeAt(now uint32) {
	for {
		state := s.state.Load()
		if uint32(state) == now || s.state.CompareAndSwap(state, state&^(1<<32-1)|uint64(now)) {
			return
		}
	}
}

// follow lets the numbers go on from one that has been used elsewhere.
func (s *serial) follow(number uint32) {
	for {
		state := s.state.Load()
		if uint32(state>>32) >= number || s.state.CompareAndSwap(state, uint64(number)<<32|uint64(uint32(state))) {
			return
		}
	}
}

// number returns that of the present content, which no later content has.
func (s *serial) number() uint32 {
	state := s.state.Load()
	if uint32(state) == 0 {
		return uint32(state >> 32)
	}
	return s.numberAt(s.clock.now())
}

func (s *serial) numberAt(now uint32) uint32 {
	for {
		state := s.state.Load()
		next := following(state, now)
		if next == uint32(state>>32) || s.state.CompareAndSwap(state, uint64(next)<<32) {
			return next
		}
	}
}

// peek returns the number of the present content without making it this content's alone: for
// those who do not compare it.
func (s *serial) peek() uint32 {
	return following(s.state.Load(), s.clock.now())
}

// following returns the number that follows in a state, which is the same if nothing has changed
// or has to wait.
func following(state uint64, now uint32) uint32 {
	number, changed := uint32(state>>32), uint32(state)
	next := max(number+1, changed)
	if changed == 0 || number != 0 && next > now+MaxAhead {
		return number
	}
	return next
}
