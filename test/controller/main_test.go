// Package controller_test runs the real "minilb controller": statuses, Events, permissions and
// what it does when others write.
package controller_test

import (
	"testing"

	"github.com/minilb/minilb/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
