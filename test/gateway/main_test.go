// Package gateway_test gives the real API server objects of the Gateway API, of all releases and
// channels, and asks the real server for what comes of them.
package gateway_test

import (
	"testing"

	"github.com/minilb/minilb/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
