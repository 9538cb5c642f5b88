// Package security_test attacks the real server as a tenant may, and holds the shipped accounts to
// what the programs use.
package security_test

import (
	"testing"

	"github.com/minilb/minilb/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
