package main

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// A release tells the version and the commit that it was linked as, whichever way it is asked.
func TestVersion(t *testing.T) {
	const set = "-X github.com/minilb/minilb/plugin/minilb/version."
	binary := filepath.Join(t.TempDir(), "minilb")
	build := exec.Command("go", "build", "-ldflags", set+"release=v1.2.3 "+set+"revision=0123abc", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := "minilb v1.2.3 " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + " 0123abc\n"
	for _, arg := range []string{"version", "-version", "--version"} {
		if out, err := exec.Command(binary, arg).CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("%s: %v, got %q, want %q", arg, err, out, want)
		}
	}
}
