package records

import "sync/atomic"

// serial is the serial number of a zone (D24). The first query after a change sets it to the time of the change, or
// increments it if that is no later. So each content that can be seen has its own: with the unix second of the last
// change, as CoreDNS takes, secondaries would miss the second change within a second. And a new process can start from
// the clock, which serials hardly ever overtake.
type serial struct {
	// upper half: the number; lower half: the unix second of a change since the number was read, 0 for none
	state atomic.Uint64
	now   func() uint32 // unix time in seconds
}

// MaxAhead is how many seconds a serial may be ahead of the clock: after a restart, secondaries take new content for older
// for as long. Beyond this, a change gets its number a second later.
const MaxAhead = 60

func (s *serial) change() {
	now := s.now()
	for {
		state := s.state.Load()
		if uint32(state) == now || s.state.CompareAndSwap(state, state&^(1<<32-1)|uint64(now)) {
			return
		}
	}
}

// follow makes the numbers continue from one that has been used elsewhere.
func (s *serial) follow(number uint32) {
	for {
		state := s.state.Load()
		if uint32(state>>32) >= number || s.state.CompareAndSwap(state, uint64(number)<<32|uint64(uint32(state))) {
			return
		}
	}
}

// number returns the serial of the present content, which no later content gets.
func (s *serial) number() uint32 {
	for {
		state := s.state.Load()
		next := s.following(state)
		if next == uint32(state>>32) || s.state.CompareAndSwap(state, uint64(next)<<32) {
			return next
		}
	}
}

// peek returns the serial of the present content, which later content may get as well.
func (s *serial) peek() uint32 { return s.following(s.state.Load()) }

// following returns the number that follows in a state: the same if nothing has changed, or if the change has to wait.
func (s *serial) following(state uint64) uint32 {
	number, changed := uint32(state>>32), uint32(state)
	next := max(number+1, changed)
	if changed == 0 || number != 0 && next > s.now()+MaxAhead {
		return number
	}
	return next
}
