//go:build linux

// Package e2e_test is the LAN that the product is for, in network namespaces: a router, a client,
// three nodes with their pods, and a real control plane with the heartbeats of the nodes. The real
// programs run in it. It needs root and iproute2, and is skipped where they are not.
package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/netns"
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	code := harness.RunTestsAlone(m)
	if shared.lab != nil {
		if err := shared.lab.close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

// shared is the LAN of all tests. They have it one after the other: most measure time, and all have the same
// router, nodes and names.
var shared struct {
	sync.Once
	lab *lab
	err error
}

// theLab returns the LAN, which the first test to need it builds. A test is skipped where it cannot be.
func theLab(t *testing.T) *lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	harness.Program(t, "ip", "iproute2")
	harness.Program(t, "curl", "curl")
	if err := unix.Access("/run", unix.W_OK); err != nil {
		t.Skipf("ip netns keeps the names of namespaces in /run: %v", err)
	}
	shared.Do(func() { shared.lab, shared.err = newLab(t.Context()) })
	if shared.err != nil {
		if denied := (*netns.DeniedError)(nil); errors.As(shared.err, &denied) {
			t.Skip(denied)
		}
		t.Fatalf("build the LAN: %v", shared.err)
	}
	return shared.lab
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
