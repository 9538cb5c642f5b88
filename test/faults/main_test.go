// Package faults_test lets things go wrong around the real programs: the API server, etcd,
// connections, credentials, clocks, reloads, and all of it at random.
package faults_test

import (
	"testing"

	"github.com/minilb/minilb/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
