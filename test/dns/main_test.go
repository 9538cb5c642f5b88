// Package dns_test asks the real server for whatever there is: names, records, messages as a
// whole, transfers aside.
package dns_test

import (
	"testing"

	"github.com/minilb/minilb/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
