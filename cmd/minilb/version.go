package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// release is set by the build of a release: -ldflags "-X main.release=v1.2.3".
var release string

// version returns the release, else what the build itself knows.
func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

var versionHelp = help{
	synopsis: "Prints the version, and what it was built with and for.",
	example:  "minilb version",
}

// runVersion implements "minilb version".
func runVersion(args []string, stdout io.Writer) error {
	if err := parse(newFlags("version"), args, stdout, versionHelp); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stdout, "minilb %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
