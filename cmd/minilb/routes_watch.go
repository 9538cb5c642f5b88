package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"k8s.io/client-go/kubernetes"

	"github.com/minilb/minilb/cmd/minilb/routes"
)

// watch prints the routes and then what changes, until ctx ends.
func (r *routesRun) watch(ctx context.Context, client kubernetes.Interface) error {
	r.stderr = newBoundedLines(r.stderr)
	var last []routes.Entry
	problems := newLinePace() // all routes are printed: whoever reads them must not miss one
	tooMany := sync.OnceFunc(func() { r.warn("minilb: nodes without a route change too often to report them all") })
	return r.watchNodes(ctx, client, func(entries []routes.Entry) error {
		changes := slices.DeleteFunc(routes.Changes(last, entries), func(c routes.Change) bool {
			if c.Event != routes.Skipped || problems.TryAccept() {
				return false
			}
			tooMany()
			return true
		})
		text, err := r.format.WriteChanges(changes)
		if err != nil {
			return err
		}
		last = entries
		if _, err := io.WriteString(r.stdout, text); err != nil {
			return fmt.Errorf("print routes: %w", err)
		}
		return nil
	})
}

// watchNodes calls update with the nodes' entries, now and whenever they change, until ctx ends.
func (r *routesRun) watchNodes(ctx context.Context, client kubernetes.Interface, update func([]routes.Entry) error) error {
	return routes.Watch(ctx, client, r.clients, r.lan, routes.Hooks{
		Update: update, Warn: func(line string) { r.warn("minilb:", line) }, Chosen: r.warnChoice, Outside: r.warnOutside,
	})
}
