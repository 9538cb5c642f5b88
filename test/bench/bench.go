package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/daemon"
)

// effort is how much is measured.
type effort struct {
	rounds  int           // of all that are compared
	load    time.Duration // of one server in one round
	queries int           // of the load after which memory is looked at
	changes time.Duration // for which endpoints change
	settle  time.Duration // before memory is looked at
	idle    time.Duration // for which an idle process is watched
	writes  int           // whose latency is taken, of each kind of name
	starts  int           // of a server
	slow    bool          // whether to measure what takes long to prepare
}

var (
	thorough = effort{rounds: 11, load: 3 * time.Second, queries: 1_000_000, changes: time.Minute, settle: 20 * time.Second, idle: time.Minute, writes: 100, starts: 5, slow: true}
	hasty    = effort{rounds: 5, load: 500 * time.Millisecond, queries: 300_000, changes: 10 * time.Second, settle: 3 * time.Second, idle: 10 * time.Second, writes: 20, starts: 3}
)

// bench is everything that runs, and what has been measured.
type bench struct {
	log     io.Writer // is told how far we are
	effort  effort
	profile string // directory for profiles, or ""
	died    context.CancelCauseFunc
	report  report

	cluster *cluster.Cluster
	client  kubernetes.Interface // the cluster's, but with protobuf, which costs both sides less
	dir     string
	ours    string // paths of binaries
	minilb  string
	stock   string

	seeded  map[string]bool
	changed atomic.Int64 // how many changes of slices there have been
	running []*server
}

// part measures one or more figures. Parts run in their order: those that want to have the large
// data set to themselves are first, and what changes all Services or slows the API server down is
// last.
type part struct {
	name    string
	measure func(*bench, context.Context) error
}

func parts() []part {
	return []part{
		{"sizes", (*bench).measureSizes},
		{"start", (*bench).measureStart},
		{"memory", (*bench).measureMemory},
		{"relist", (*bench).measureRelist},
		{"changes", (*bench).measureChanges},
		{"slices", (*bench).measureSlices},
		{"names", (*bench).measureNames},
		{"hosts", (*bench).measureHosts},
		{"kinds", (*bench).measureKinds},
		{"count", (*bench).measureCount},
		{"sockets", (*bench).measureSockets},
		{"homelab", (*bench).measureHomelab},
		{"controller", (*bench).measureController},
		{"sizing", (*bench).measureSizing},
	}
}

func partNames() []string {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return names
}

// run starts the control plane and measures each part that is wanted.
func (b *bench) run(ctx context.Context, wanted *regexp.Regexp) error {
	var chosen []part
	for _, p := range parts() {
		if wanted.MatchString(p.name) {
			chosen = append(chosen, p)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("-only %q matches none of %q", wanted, partNames())
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	var errs []error
	for _, p := range chosen {
		began := time.Now()
		b.say("measuring %s", p.name)
		if err := p.measure(b, ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
		}
		b.stopServers()
		if ctx.Err() != nil {
			break
		}
		b.say("measured %s in %v", p.name, time.Since(began).Round(time.Second))
	}
	return errors.Join(errs...)
}

// needless are controllers that would look at all that is written here, to no end: Services have
// no pods, and EndpointSlices are written by hand.
var needless = []string{
	"endpoints-controller",
	"endpointslice-controller",
	"endpointslice-mirroring-controller",
	"garbage-collector-controller",
}

// prepare starts the control plane and builds the binaries as they are released: stripped,
// static and without paths.
func (b *bench) prepare(ctx context.Context) error {
	b.seeded = map[string]bool{}
	b.say("starting a control plane")
	var err error
	options := cluster.Options{ControllerManagerFlags: []string{"--controllers=-" + strings.Join(needless, ",-")}}
	if b.cluster, err = cluster.Start(ctx, options); err != nil {
		return fmt.Errorf("start the control plane: %w", err)
	}
	// The cluster's directory is removed whatever happens to us.
	b.dir = b.cluster.Dir
	if b.client, err = kubernetes.NewForConfig(kube.ClientConfig(rest.CopyConfig(b.cluster.Config), "minilb-bench")); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	b.say("building coredns, minilb and stock CoreDNS")
	// A go command that is interrupted leaves its temporary files.
	if err := errors.Join(os.Setenv("CGO_ENABLED", "0"), os.Setenv("GOTMPDIR", b.dir)); err != nil {
		return fmt.Errorf("prepare the builds: %w", err)
	}
	for pkg, binary := range map[string]*string{"./cmd/coredns": &b.ours, "./cmd/minilb": &b.minilb} {
		if *binary, err = cluster.Build(ctx, b.dir, pkg, "-trimpath", "-ldflags=-s -w"); err != nil {
			return err
		}
	}
	return b.buildStock(ctx)
}

// buildStock builds stock CoreDNS, which is a module of its own.
func (b *bench) buildStock(ctx context.Context) error {
	gomod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	root := filepath.Dir(strings.TrimSpace(string(gomod)))
	if err != nil || root == "." {
		return fmt.Errorf("find the module: run this in the repository of minilb: %w", err)
	}
	b.stock = filepath.Join(b.dir, "stock")
	cmd := exec.CommandContext(ctx, "go", "build", "-C", filepath.Join(root, "test/bench/stock"), "-o", b.stock, "-trimpath", "-ldflags=-s -w", ".")
	cmd.SysProcAttr = daemon.DieWithParent(&syscall.SysProcAttr{})
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build stock CoreDNS: %w\n%s", err, output)
	}
	return nil
}

// stop ends all that runs, clients before servers.
func (b *bench) stop() error {
	b.stopServers()
	if b.cluster == nil {
		return nil
	}
	if err := b.cluster.Stop(); err != nil {
		return fmt.Errorf("stop the control plane: %w", err)
	}
	return nil
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.log, "bench: "+format+" …\n", args...)
}

// file writes one of the files that a server or dnsperf reads, and returns its path.
func (b *bench) file(name, text string) (string, error) {
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	return path, nil
}

// wait waits for so long, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
