// Command bench measures what minilb costs, side by side with plugins of stock CoreDNS, and
// prints a table of what must be reached and what is. It starts a real control plane, fills it,
// runs the servers on loopback ports and asks them with dnsperf.
//
//	go run ./test/bench [-quick] [-only REGEXP]
//
// It needs Linux, Go, this repository and dnsperf, and a machine that does nothing else: 45
// minutes of two cores, or about six with -quick. Ratios are of rounds in which each server has its
// turn, so that they bear a machine that is slow; times are as the machine is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"syscall"
)

func main() {
	// The kernel kills what we start when the thread that did so ends. This one lives as long as
	// we do.
	runtime.LockOSThread()

	quick := flag.Bool("quick", false, "measure for about six minutes instead of 45, with fewer rounds (default false)")
	only := flag.String("only", "", "measure only the parts that `REGEXP` matches: "+strings.Join(partNames(), ", "))
	profile := flag.String("profile", "", "write profiles of our server under load to `DIR`")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Measures minilb beside stock CoreDNS, and prints a table in Markdown.\n\nUsage:\n  go run ./test/bench [flags]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "bench: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: -only %q: %v\n", *only, err)
		os.Exit(2)
	}
	b := &bench{log: os.Stderr, effort: thorough, profile: *profile}
	if *quick {
		b.effort = hasty
	}
	if err := measure(b, wanted, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// measure runs the parts that are wanted and prints what they have found.
func measure(b *bench, wanted *regexp.Regexp, out io.Writer) error {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return errors.New("CPU time and memory are read from /proc: run this on Linux")
	}
	if _, err := exec.LookPath("dnsperf"); err != nil {
		return errors.New("dnsperf is not installed: apt-get install --no-install-recommends dnsperf")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	// A second Ctrl-C ends us at once; the system and the cluster's janitor then clean up.
	context.AfterFunc(ctx, stop)
	running, died := context.WithCancelCause(ctx)
	defer died(nil)
	b.died = died

	err := b.run(running, wanted)
	if cause := context.Cause(running); cause != nil && ctx.Err() == nil {
		err = cause // the error follows from it
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	// What was found before something went wrong is worth showing.
	b.report.print(out)
	return errors.Join(err, b.stop())
}
