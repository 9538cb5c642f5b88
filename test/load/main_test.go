// Package load_test measures time and loads the machine, alone on it. Its bounds are wide: figures
// are those of test/bench.
package load_test

import (
	"testing"

	"github.com/minilb/minilb/test/harness"
)

func TestMain(m *testing.M) { harness.MainAlone(m) }

// size returns how much of something there is, or how long it may take: the latter with MINILB_FULL=1,
// which is for a machine that does nothing else.
func size[T any](short, full T) T {
	if harness.Full {
		return full
	}
	return short
}
