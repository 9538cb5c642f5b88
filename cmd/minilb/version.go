package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/minilb/minilb/plugin/minilb/version"
)

var versionHelp = help{
	synopsis: "Prints the version, what it was built with and for, and of which commit.",
	example:  "minilb version",
}

// runVersion implements "minilb version".
func runVersion(args []string, stdout io.Writer) error {
	if err := parse(newFlags("version"), args, stdout, versionHelp); err != nil {
		return err
	}
	build := version.Current()
	_, err := fmt.Fprintf(stdout, "minilb %s %s %s/%s %s\n", build.Version, build.Go, runtime.GOOS, runtime.GOARCH, build.Revision)
	return err
}
