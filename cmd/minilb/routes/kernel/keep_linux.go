package kernel

import (
	"context"
	"errors"
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
	// settle is the pause after an event, for what comes with it: a link that goes down takes many
	// routes with it.
	settle = 50 * time.Millisecond
	// lookAgain is how often the table is looked at without an event.
	lookAgain = 30 * time.Second
)

// Keep has the main table hold the routes that it last received, until ctx ends, which leaves the
// routes where they are. Before it has received any it changes nothing. Each change is a line to
// out; why a route is left out is told once, while that is so. What somebody else removes comes
// back; where somebody else has a route to the same destination there is none of ours. The error
// is that of out, that another Keep runs on this host, or that the host's events cannot be heard.
func Keep(ctx context.Context, routes <-chan []Route, out io.Writer, tell func(string)) error {
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
	k := &keeper{out: out, tell: tell, set: map[netip.Prefix]way{}, told: map[netip.Prefix]string{}}
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for known := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case k.routes = <-routes:
			known = true
			events.watch(k.routes)
		case <-events.C:
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(settle):
			}
		case <-ticker.C:
		}
		if known {
			if err := k.reconcile(); err != nil {
				return err
			}
		}
	}
}

// keeper makes the table what it should be.
type keeper struct {
	out    io.Writer
	tell   func(string)
	routes []Route

	set   map[netip.Prefix]way    // that the table had when we last looked
	told  map[netip.Prefix]string // what is wrong with a route, as told
	ill   string                  // why the table could not be looked at
	begun bool                    // and has been looked at
}

// reconcile compares the table with the routes. It fails only if it cannot print.
func (k *keeper) reconcile() error {
	now, err := look(k.routes)
	if err != nil {
		if k.ill != err.Error() {
			k.ill = err.Error()
			k.tell(k.ill + "; trying again")
		}
		return nil
	}
	k.ill = ""

	ways, wrong := map[netip.Prefix]way{}, map[netip.Prefix]trouble{}
	for _, route := range k.routes {
		to, reason := now.way(route)
		if reason == "" {
			ways[route.Destination] = to
		} else {
			wrong[route.Destination] = trouble{route.Node, reason}
		}
	}
	// What is wrong goes first: it may lead the next hops of others astray.
	lines := k.takeAway(now.ours, ways, wrong)
	for _, route := range k.routes {
		to, right := ways[route.Destination]
		if !right {
			continue
		}
		line, err := k.put(route.Destination, to, now.ours[route.Destination])
		if err != nil {
			wrong[route.Destination] = trouble{route.Node, err.Error()}
		} else if line != "" {
			lines = append(lines, line)
		}
	}
	if !k.begun {
		k.begun = true // an earlier run may have set all, and there is nothing else to say
		lines = append(lines, fmt.Sprintf("keeping  %d of %d routes in step: ip route show proto %d", len(k.set), len(k.routes), Protocol))
	}
	if err := k.print(lines); err != nil {
		return err
	}
	k.complain(wrong)
	return nil
}

// way is where a route leads.
type way struct {
	node    string
	gateway netip.Addr
	link    int // the index of the interface
}

// trouble is what is wrong with a route.
type trouble struct{ node, reason string }

// put makes the table have a route, and returns what there is to say of that: nothing if it had
// it. has is what is there of ours to the same destination.
func (k *keeper) put(destination netip.Prefix, to way, has []netlink.Route) (string, error) {
	want := netlink.Route{
		Dst: ipNet(destination), Gw: to.gateway.AsSlice(), LinkIndex: to.link,
		Priority: Metric, Type: unix.RTN_UNICAST, Protocol: Protocol, Table: unix.RT_TABLE_MAIN,
	}
	right := func(r netlink.Route) bool {
		return r.Gw.Equal(want.Gw) && r.LinkIndex == to.link && r.Priority == Metric && r.Type == want.Type && r.Tos == 0 && len(r.MultiPath) == 0
	}
	var line string
	switch {
	case slices.ContainsFunc(has, right):
	case slices.ContainsFunc(has, func(r netlink.Route) bool { return r.Priority == Metric && r.Tos == 0 }):
		// At no time without a route.
		if err := netlink.RouteReplace(&want); err != nil {
			return "", refused(err)
		}
		line = say("changed", want, to.node) + was(has[0], want)
		has = nil // the kernel has removed it
	default:
		if err := netlink.RouteAdd(&want); err != nil {
			return "", refused(err)
		}
		verb := "added"
		if last, had := k.set[destination]; had && last.node == to.node && last.gateway == to.gateway && len(has) == 0 {
			verb = "restored"
		}
		line = say(verb, want, to.node)
	}
	for _, r := range has {
		if !right(r) {
			if _, err := remove(r); err != nil {
				return line, err
			}
		}
	}
	k.set[destination] = to
	return line, nil
}

// takeAway removes what is ours and has no way to be kept, and returns a line for each that was
// still there.
func (k *keeper) takeAway(ours map[netip.Prefix][]netlink.Route, ways map[netip.Prefix]way, wrong map[netip.Prefix]trouble) (lines []string) {
	for _, destination := range slices.SortedFunc(maps.Keys(ours), netip.Prefix.Compare) {
		if _, kept := ways[destination]; kept {
			continue
		}
		node := k.set[destination].node
		for _, r := range ours[destination] {
			removed, err := remove(r)
			if err != nil {
				wrong[destination] = trouble{node, err.Error()}
			}
			if removed {
				lines = append(lines, say("removed", r, node))
			}
		}
	}
	maps.DeleteFunc(k.set, func(destination netip.Prefix, _ way) bool { _, kept := ways[destination]; return !kept })
	return lines
}

// complain tells what is wrong, once for as long as it is.
func (k *keeper) complain(wrong map[netip.Prefix]trouble) {
	for _, destination := range slices.SortedFunc(maps.Keys(wrong), netip.Prefix.Compare) {
		t := wrong[destination]
		line := fmt.Sprintf("%s: %s", destination, t.reason)
		if t.node != "" {
			line = fmt.Sprintf("%s (%s): %s", destination, t.node, t.reason)
		}
		if k.told[destination] != line {
			k.tell(line)
		}
		k.told[destination] = line
	}
	maps.DeleteFunc(k.told, func(destination netip.Prefix, _ string) bool { _, still := wrong[destination]; return !still })
}

func (k *keeper) print(lines []string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintln(k.out, line); err != nil {
			return fmt.Errorf("print a change: %w", err)
		}
	}
	return nil
}

// say returns a line about what was done to a route.
func say(verb string, r netlink.Route, node string) string {
	line := fmt.Sprintf("%-8s %s", verb, describe(r))
	if node != "" {
		line += " (" + node + ")"
	}
	return line
}

// was says what a route was before it was changed.
func was(before, now netlink.Route) string {
	switch {
	case before.Gw != nil && !before.Gw.Equal(now.Gw):
		return ", was via " + before.Gw.String()
	case before.LinkIndex != now.LinkIndex && linkName(before.LinkIndex) != "":
		return ", was dev " + linkName(before.LinkIndex)
	}
	return ""
}

// refused returns the kernel's reason not to take a route.
func refused(err error) error {
	if errors.Is(err, unix.EPERM) {
		return errDenied
	}
	return fmt.Errorf("the kernel refuses it: %w", err)
}
