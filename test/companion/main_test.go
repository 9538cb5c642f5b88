// Package companion_test runs the other commands of the real companion: check, explain and routes.
package companion_test

import (
	"testing"

	"github.com/minilb/minilb/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
