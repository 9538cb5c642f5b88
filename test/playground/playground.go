package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/daemon"
)

// settleTimeout is how long anything may take that takes well below a second on an idle machine.
const settleTimeout = 30 * time.Second

// playground is everything that runs, and what is known of it.
type playground struct {
	out io.Writer

	cluster    *cluster.Cluster
	upstream   *upstream
	coredns    *daemon.Daemon
	controller *daemon.Daemon
	// died ends the context of the whole run with what a daemon died of.
	died context.CancelCauseFunc

	minilb   string // path of the binary
	corefile string // path
	rights   rights
	ports    ports
	podCIDRs map[string][]netip.Prefix // by node, one of each family
	pods     map[string]addresses      // by namespace/name

	wrong int // how much of what was shown is not as it must be
}

// run starts everything, shows it, waits until ctx ends unless exit is set, and leaves nothing
// behind. It is an error if ctx ends before, or if something that was shown was wrong.
func run(ctx context.Context, out io.Writer, exit bool) (err error) {
	running, died := context.WithCancelCause(ctx)
	defer died(nil)
	p := &playground{out: out, died: died}
	defer func() { err = errors.Join(err, p.stop()) }()

	err = p.show(running)
	if err == nil && !exit {
		p.suggest()
		<-running.Done()
		p.say("\nStopping.\n")
	}
	switch {
	case ctx.Err() != nil && err != nil:
		return errors.New("interrupted")
	case running.Err() != nil && ctx.Err() == nil:
		return context.Cause(running) // err follows from it
	case err != nil:
		return err
	case p.wrong > 0:
		return fmt.Errorf("%d of the things shown are not as they must be", p.wrong)
	}
	return nil
}

// show starts everything and shows it in the order in which it is best understood.
func (p *playground) show(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		p.readRights,
		p.startCluster,
		p.applyObjects,
		p.startDaemons,
		p.showWhere,
		p.showServices,
		p.showRoutes,
		p.showAnswers,
		p.showChange,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// startCluster starts the control plane and builds the daemons.
func (p *playground) startCluster(ctx context.Context) (err error) {
	// A go command that is interrupted leaves its temporary files, and so does what it has
	// started, even seconds later.
	dir, err := os.MkdirTemp("", "minilb-build-")
	if err != nil {
		return fmt.Errorf("prepare the builds: %w", err)
	}
	defer func() {
		err = errors.Join(err, cluster.Wait(context.Background(), settleTimeout, func() error { return os.RemoveAll(dir) }))
	}()
	if err := os.Setenv("GOTMPDIR", dir); err != nil {
		return fmt.Errorf("prepare the builds: %w", err)
	}

	p.say("Starting a control plane: etcd, kube-apiserver, kube-controller-manager.\n")
	if p.cluster, err = cluster.Start(ctx, cluster.Options{}); err != nil {
		return fmt.Errorf("start the control plane: %w", err)
	}
	p.say("Building coredns and minilb.\n")
	// The cluster's directory is removed whatever happens to us.
	coredns, err := cluster.Build(ctx, p.cluster.Dir, "./cmd/coredns")
	if err != nil {
		return err
	}
	p.coredns = &daemon.Daemon{Name: "coredns", Path: coredns}
	if p.minilb, err = cluster.Build(ctx, p.cluster.Dir, "./cmd/minilb"); err != nil {
		return err
	}
	p.controller = &daemon.Daemon{Name: "minilb controller", Path: p.minilb}
	return nil
}

func (p *playground) startDaemons(ctx context.Context) error {
	p.say("Starting coredns and minilb controller.\n\n")
	if err := p.openPorts(); err != nil {
		return err
	}
	p.corefile = filepath.Join(p.cluster.Dir, "Corefile")
	if err := os.WriteFile(p.corefile, []byte(p.corefileText()), 0o600); err != nil {
		return fmt.Errorf("write the Corefile: %w", err)
	}
	p.coredns.Args = []string{"-conf", p.corefile}
	p.coredns.Log = filepath.Join(p.cluster.Dir, "coredns.log")
	p.controller.Args = []string{"controller", "-kubeconfig", p.rights.controller, "-health", p.ports.controller}
	p.controller.Log = filepath.Join(p.cluster.Dir, "minilb-controller.log")
	for _, d := range []*daemon.Daemon{p.coredns, p.controller} {
		if err := d.Start(p.died); err != nil {
			return err
		}
	}
	if err := waitOK(ctx, "http://"+p.ports.ready+"/ready"); err != nil {
		return fmt.Errorf("wait for coredns: %w", err)
	}
	if err := waitOK(ctx, "http://"+p.ports.controller+"/readyz"); err != nil {
		return fmt.Errorf("wait for minilb controller: %w", err)
	}
	return nil
}

// stop ends what runs, clients before servers.
func (p *playground) stop() error {
	p.controller.Stop()
	p.coredns.Stop()
	p.upstream.stop()
	if p.cluster == nil {
		return nil
	}
	if err := p.cluster.Stop(); err != nil {
		return fmt.Errorf("stop the control plane: %w", err)
	}
	return nil
}

func (p *playground) say(format string, args ...any) { fmt.Fprintf(p.out, format, args...) }

// waitOK waits until url answers 200.
func waitOK(ctx context.Context, url string) error {
	client := http.Client{Timeout: 5 * time.Second}
	return cluster.Wait(ctx, settleTimeout, func() error {
		response, err := client.Get(url)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(response.Body)
			return fmt.Errorf("%s says %s: %s", url, response.Status, body)
		}
		return nil
	})
}
