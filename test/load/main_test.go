// Package load_test measures time and loads the machine, alone on it. Its bounds are wide: figures
// are those of test/bench.
package load_test

import (
	"testing"

	"github.com/minilb/minilb/test/harness"
)

func TestMain(m *testing.M) { harness.MainAlone(m) }
