package main

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"k8s.io/client-go/kubernetes"

	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/cmd/minilb/routes/rtnl"
)

// apply keeps the routes in this host's routing table until ctx ends, which leaves them there.
func (r *routesRun) apply(ctx context.Context, client kubernetes.Interface) error {
	r.stderr = newBoundedLines(r.stderr)
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	wanted := make(chan []rtnl.Route)
	failed := make(chan error, 1)
	running.Go(func() {
		defer stop()
		failed <- rtnl.Keep(ctx, wanted, newBoundedLines(r.stdout), func(line string) { r.warn("minilb:", line) })
	})
	last := map[string]bool{}
	hint := sync.OnceFunc(func() { r.advise("hint", routes.FirewallHint) })
	err := r.watchNodes(ctx, client, func(entries []routes.Entry) error {
		hint()
		last = r.warnProblems(entries, last)
		select {
		case wanted <- tableRoutes(entries):
		case <-ctx.Done():
		}
		return nil
	})
	stop()
	if failure := <-failed; failure != nil {
		return failure
	}
	r.warn("minilb: the routes stay as they are: minilb routes -cleanup removes them")
	return err
}

// warnProblems warns of nodes without a route, except those that were reported before. It returns all
// of them.
func (r *routesRun) warnProblems(entries []routes.Entry, reported map[string]bool) map[string]bool {
	problems := map[string]bool{}
	for _, entry := range entries {
		if entry.Problem == "" {
			continue
		}
		line := fmt.Sprintf("minilb: node %s: %s", entry.Node, entry.Problem)
		problems[line] = true
		if !reported[line] {
			r.warn(line)
		}
	}
	return problems
}

// tableRoutes returns the entries that are routes.
func tableRoutes(entries []routes.Entry) (all []rtnl.Route) {
	for _, entry := range entries {
		if entry.Problem == "" {
			gateways := append([]netip.Addr{entry.Gateway}, entry.Others...)
			all = append(all, rtnl.Route{Node: entry.Node, Destination: entry.Destination, Gateways: gateways})
		}
	}
	return all
}
