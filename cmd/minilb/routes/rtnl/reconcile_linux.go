package rtnl

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// debounce is the pause after an event, for those that come with it: a link that goes down takes many routes with it.
	debounce = 50 * time.Millisecond
	// resync is how often the table is read without an event.
	resync = 30 * time.Second
)

// Keep makes the main table hold the routes that it last received, until ctx ends, which leaves the routes where they are.
// Before it has received any it changes nothing. Each change is a line to out; warn is called once for as long as a route is
// left out. A route that somebody else removes is restored; somebody else's to the same destination replaces ours. Keep fails
// when it cannot print, when another Keep runs on this host, or when it cannot subscribe to the host's events.
func Keep(ctx context.Context, routes <-chan []Route, out io.Writer, warn func(string)) error {
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	events, err := listen(ctx, &running)
	if err != nil {
		return err
	}
	r := newReconciler(out, warn)
	ticker := time.NewTicker(resync)
	defer ticker.Stop()
	for known := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case r.routes = <-routes:
			known = true
			events.watch(r.routes)
		case <-events.C:
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(debounce):
			}
		case <-ticker.C:
		}
		if known {
			if err := r.reconcile(); err != nil {
				return err
			}
		}
	}
}

type reconciler struct {
	out    io.Writer
	warn   func(string)
	routes []Route

	installed map[netip.Prefix]nexthop // that the table had last time
	reported  map[netip.Prefix]failure // last time
	lastErr   string                   // why the table could not be read
	started   bool                     // it was read once
}

func newReconciler(out io.Writer, warn func(string)) *reconciler {
	return &reconciler{out: out, warn: warn, installed: map[netip.Prefix]nexthop{}}
}

// reconcile compares the table with the routes. It fails only if it cannot print.
func (r *reconciler) reconcile() error {
	now, err := readView(r.routes)
	if err != nil {
		if r.lastErr != err.Error() {
			r.lastErr = err.Error()
			r.warn(r.lastErr + "; trying again")
		}
		return nil
	}
	r.lastErr = ""
	nexthops, failed := map[netip.Prefix]nexthop{}, map[netip.Prefix]failure{}
	for _, route := range r.routes {
		to, reason := now.nexthop(route)
		if reason == "" {
			nexthops[route.Destination] = to
		} else {
			failed[route.Destination] = failure{route.Node, reason}
		}
	}
	// Wrong routes are removed first: they may lead the next hops of others astray.
	lines := r.prune(now.ours, nexthops, failed)
	for _, route := range r.routes {
		to, ok := nexthops[route.Destination]
		if !ok {
			continue
		}
		line, err := r.ensure(route.Destination, to, now.ours[route.Destination])
		if err != nil {
			failed[route.Destination] = failure{route.Node, err.Error()}
		} else if line != "" {
			lines = append(lines, line)
		}
	}
	if !r.started {
		r.started = true // an earlier run may have set all routes, and then there is no other line
		lines = append(lines, fmt.Sprintf("keeping  %d of %d routes in step: ip route show proto %d", len(r.installed), len(r.routes), Protocol))
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(r.out, line); err != nil {
			return fmt.Errorf("print a change: %w", err)
		}
	}
	r.report(failed)
	return nil
}

type nexthop struct {
	node    string
	gateway netip.Addr
	link    int // the index of the interface
}

type failure struct{ node, reason string }

// ensure makes the table have a route in place of existing ones of ours, and returns a line about the change, "" for none.
func (r *reconciler) ensure(destination netip.Prefix, to nexthop, existing []netlink.Route) (string, error) {
	want := netlink.Route{
		Dst: ipNet(destination), Gw: to.gateway.AsSlice(), LinkIndex: to.link,
		Priority: Metric, Type: unix.RTN_UNICAST, Protocol: Protocol, Table: unix.RT_TABLE_MAIN,
	}
	right := func(r netlink.Route) bool {
		return r.Gw.Equal(want.Gw) && r.LinkIndex == to.link && r.Priority == Metric && r.Type == want.Type && r.Tos == 0 && len(r.MultiPath) == 0
	}
	var line string
	if !slices.ContainsFunc(existing, right) {
		set, verb := netlink.RouteAdd, "added"
		last := r.installed[destination]
		switch {
		case slices.ContainsFunc(existing, func(r netlink.Route) bool { return r.Priority == Metric && r.Tos == 0 }):
			set, verb = netlink.RouteReplace, "changed" // not removed and added: at no time without a route
		case len(existing) == 0 && last.node == to.node && last.gateway == to.gateway:
			verb = "restored"
		}
		if err := set(&want); err != nil {
			return "", refused("the kernel refuses it", err)
		}
		line = format(verb, want, to.node)
		if verb == "changed" {
			switch before := existing[0]; {
			case before.Gw != nil && !before.Gw.Equal(want.Gw):
				line += ", was via " + before.Gw.String()
			case before.LinkIndex != want.LinkIndex && linkName(before.LinkIndex) != "":
				line += ", was dev " + linkName(before.LinkIndex)
			}
			existing = nil // the kernel has removed it
		}
	}
	for _, route := range existing {
		if !right(route) {
			if _, err := remove(route); err != nil {
				return line, err
			}
		}
	}
	r.installed[destination] = to
	return line, nil
}

// prune removes our routes that have no next hop any more, and returns a line for each that was still there.
func (r *reconciler) prune(ours map[netip.Prefix][]netlink.Route, nexthops map[netip.Prefix]nexthop, failed map[netip.Prefix]failure) (lines []string) {
	for _, destination := range slices.SortedFunc(maps.Keys(ours), netip.Prefix.Compare) {
		if _, kept := nexthops[destination]; kept {
			continue
		}
		node := r.installed[destination].node
		for _, route := range ours[destination] {
			removed, err := remove(route)
			if err != nil {
				failed[destination] = failure{node, err.Error()}
			}
			if removed {
				lines = append(lines, format("removed", route, node))
			}
		}
	}
	maps.DeleteFunc(r.installed, func(destination netip.Prefix, _ nexthop) bool { return nexthops[destination] == nexthop{} })
	return lines
}

// report warns of each failure once for as long as it lasts.
func (r *reconciler) report(failed map[netip.Prefix]failure) {
	for _, destination := range slices.SortedFunc(maps.Keys(failed), netip.Prefix.Compare) {
		f := failed[destination]
		if r.reported[destination] == f {
			continue
		}
		r.warn(fmt.Sprintf("%s%s: %s", destination, of(f.node), f.reason))
	}
	r.reported = failed
}

func format(verb string, r netlink.Route, node string) string {
	return fmt.Sprintf("%-8s %s%s", verb, describe(r), of(node))
}

func of(node string) string {
	if node == "" {
		return ""
	}
	return " (" + node + ")"
}
