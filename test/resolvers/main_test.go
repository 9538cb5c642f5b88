// Package resolvers_test lets DNS software that is not ours ask the real server, or stand in front
// of it: resolvers, stubs, validators, programs that transfer zones, and those that discover servers.
package resolvers_test

import (
	"testing"

	"github.com/minilb/minilb/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
