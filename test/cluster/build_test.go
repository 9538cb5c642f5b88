package cluster

import (
	"os/exec"
	"strings"
	"testing"
)

func TestBuild(t *testing.T) {
	// Any command will do; this one comes with every toolchain.
	path, err := Build(t.Context(), t.TempDir(), "cmd/gofmt", "-trimpath")
	must(t, err)
	cmd := exec.CommandContext(t.Context(), path)
	cmd.Stdin = strings.NewReader("package   p")
	if out, err := cmd.Output(); err != nil || string(out) != "package p\n" {
		t.Errorf("the built gofmt says %q, %v", out, err)
	}

	_, err = Build(t.Context(), t.TempDir(), "./no/such/command")
	if err == nil || !strings.Contains(err.Error(), "no/such/command") {
		t.Errorf("build of nothing: %v, want what go says", err)
	}
}
