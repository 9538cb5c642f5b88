// Command playground shows minilb at work without a cluster and without a network: it starts a
// real control plane, our CoreDNS and "minilb controller" on loopback ports, applies the
// objects of objects.yaml and shows what their names resolve to. Then it waits, for you to try
// things, until Ctrl-C removes everything again.
//
//	go run ./test/playground
//
// It needs Go and this repository. The first run builds Kubernetes, which takes some minutes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

func main() {
	// The kernel kills our daemons when the thread that started them ends, see package daemon.
	// This one then lives as long as we do.
	runtime.LockOSThread()

	exit := flag.Bool("exit", false, "leave after the show: with status 0 if everything was as it must be, else 1")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Shows minilb at work on this machine alone.\n\nUsage:\n  go run ./test/playground [-exit]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "playground: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	if err := play(*exit); err != nil {
		fmt.Fprintln(os.Stderr, "playground:", err)
		os.Exit(1)
	}
}

func play(exit bool) error {
	// A reader of our output that goes away, as in "| head", ends us like Ctrl-C.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGPIPE)
	defer stop()
	ctx, stop = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// A second Ctrl-C ends us at once; the system and the cluster's janitor then clean up.
	context.AfterFunc(ctx, stop)
	return run(ctx, os.Stdout, exit)
}
