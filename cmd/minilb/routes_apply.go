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
	var last []routes.Entry
	hint := sync.OnceFunc(func() { r.advise("hint", routes.FirewallHint) })
	err := r.watchNodes(ctx, client, func(entries []routes.Entry) error {
		hint()
		r.warnSkipped(routes.Changes(last, entries))
		last = entries
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

// warnSkipped warns of what has become a node or a podCIDR without a route.
func (r *routesRun) warnSkipped(changes []routes.Change) {
	for _, c := range changes {
		if c.Event == routes.Skipped {
			r.warn(fmt.Sprintf("minilb: node %s: %s", c.Entry.Node, c.Entry.Problem))
		}
	}
}

func tableRoutes(entries []routes.Entry) (all []rtnl.Route) {
	for _, entry := range entries {
		if entry.Problem == "" {
			gateways := append([]netip.Addr{entry.Gateway}, entry.Others...)
			all = append(all, rtnl.Route{Node: entry.Node, Destination: entry.Destination, Gateways: gateways})
		}
	}
	return all
}
