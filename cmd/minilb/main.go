// Command minilb is the companion of the CoreDNS plugin. "minilb controller" writes the name of each of our Services into its
// status, "minilb routes" prints the static routes that the LAN's router needs, "minilb explain" explains what a name is answered
// with, "minilb check" finds what keeps names from being reached, and "minilb policy" prints who may connect. None answers DNS.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/minilb/minilb/plugin/minilb/printable"
	"github.com/minilb/minilb/plugin/minilb/version"
)

const usage = `minilb makes Services of type LoadBalancer reachable by name.

Usage:
  minilb check [flags]         print what keeps names from being reached
  minilb controller [flags]    write the names of Services into their status
  minilb explain [flags] NAME  say why a name answers what it answers
  minilb policy [flags]        print NetworkPolicies by loadBalancerSourceRanges
  minilb routes [flags]        print the static routes to the pods
  minilb version               print the version

"minilb explain -h" describes its flags, and so do the others.
`

var versionHelp = help{
	synopsis: "Prints the version, what it was built with and for, and of which commit.",
	example:  "minilb version",
}

// failure is an error that is printed as it is, or not at all if that is "", and the exit status that it leads to.
type failure struct {
	line   string
	status int
}

func (f *failure) Error() string { return f.line }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// A second signal kills a process that does not end.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run executes a command line, whose output is escaped for terminals (M10), and returns the exit status: 0 for success, also when
// ctx ended it, 1 for failure, 2 for a wrong command line. "minilb check" returns 1 if it has found something, and 2 also if it
// could not read the cluster.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	stdout, stderr = printable.Writer(stdout), printable.Writer(stderr)
	err := dispatch(ctx, args, stdout, stderr)
	f, is := errors.AsType[*failure](err)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp), !is && ctx.Err() != nil && errors.Is(err, context.Canceled):
		return 0
	case !is:
		f = failed(err, 1)
	}
	if f.line != "" {
		fmt.Fprintln(stderr, f.line)
	}
	return f.status
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return misused("", "name a subcommand: check, controller, explain, policy, routes or version")
	}
	switch name, args := args[0], args[1:]; name {
	case "controller":
		return runController(ctx, args, stdout, stderr)
	case "explain":
		return runExplain(ctx, args, stdout, stderr)
	case "policy":
		return runPolicy(ctx, args, stdout, stderr)
	case "routes":
		return runRoutes(ctx, args, stdout, stderr)
	case "check":
		return runCheck(ctx, args, stdout, stderr)
	case "version", "-version", "--version":
		if err := parse(flag.NewFlagSet("version", flag.ContinueOnError), args, stdout, versionHelp); err != nil {
			return err
		}
		build := version.Current()
		_, err := fmt.Fprintf(stdout, "minilb %s %s %s/%s %s\n", build.Version, build.Go, runtime.GOOS, runtime.GOARCH, build.Revision)
		return err
	case "help", "-h", "-help", "--help":
		_, err := io.WriteString(stdout, usage)
		return err
	default:
		return misused("", "unknown subcommand %q: choose check, controller, explain, policy, routes or version", name)
	}
}

func failed(err error, status int) *failure {
	return &failure{printable.Line("minilb: " + err.Error()), status}
}

// misused returns an error about the command line of a subcommand, or of minilb itself if that is empty.
func misused(subcommand, format string, args ...any) error {
	command := strings.TrimSpace("minilb " + subcommand)
	return &failure{fmt.Sprintf("%s: %s (see %q)", command, fmt.Sprintf(format, args...), command+" -h"), 2}
}
