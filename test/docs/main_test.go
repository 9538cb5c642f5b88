// Package docs_test follows the documentation: every Corefile starts, every recipe does what it
// says, every link leads somewhere.
package docs_test

import (
	"testing"

	"github.com/minilb/minilb/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
