package routes

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Event is a kind of Change.
type Event string

const (
	Added    Event = "add"     // a route to a new destination
	Replaced Event = "replace" // a route with another gateway or another node than before
	Deleted  Event = "delete"  // a route that its node does not have any more
	Skipped  Event = "skip"    // a node, or one of its podCIDRs, without a route
)

// Change is a difference between two states of the nodes.
type Change struct {
	Event  Event
	Entry  Entry // the new one, or the deleted one
	Before Entry // the one that was replaced
}

// Changes returns the changes from the entries before to those now: first deleted routes, then the rest, each in the order
// of FromNodes. The end of a problem is no change: either a route replaces it, or the node is gone.
func Changes(before, now []Entry) []Change {
	old, kept := byDestination(before), byDestination(now)
	var changes []Change
	for _, entry := range before {
		if _, stays := kept[entry.Destination]; entry.Problem == "" && !stays {
			changes = append(changes, Change{Event: Deleted, Entry: entry})
		}
	}
	for _, entry := range now {
		last, known := old[entry.Destination]
		switch {
		case entry.Problem != "":
			if !slices.ContainsFunc(before, func(e Entry) bool { return e.Node == entry.Node && e.Problem == entry.Problem }) {
				changes = append(changes, Change{Event: Skipped, Entry: entry})
			}
		case !known:
			changes = append(changes, Change{Event: Added, Entry: entry})
		case last.Node != entry.Node || last.Gateway != entry.Gateway:
			changes = append(changes, Change{Event: Replaced, Entry: entry, Before: last})
		}
	}
	return changes
}

// byDestination returns the entries that are routes.
func byDestination(entries []Entry) map[netip.Prefix]Entry {
	routes := make(map[netip.Prefix]Entry, len(entries))
	for _, entry := range entries {
		if entry.Problem == "" {
			routes[entry.Destination] = entry
		}
	}
	return routes
}

// WriteChanges returns lines for the changes. For all entries since there was nothing they are
// those of Write, except for JSON, of which each line is an object. It fails if the format has no lines for single changes.
func (f Format) WriteChanges(changes []Change) (string, error) {
	if f.change == nil {
		names := formatNames(func(f Format) bool { return f.change != nil })
		last := len(names) - 1
		return "", fmt.Errorf("-watch prints a line for each change, and %s is written as a whole: choose %s or %s",
			f.Name, strings.Join(names[:last], ", "), names[last])
	}
	var text strings.Builder
	for _, c := range changes {
		if c.Event == Skipped && !f.Document {
			text.WriteString(comment(f.comment, c.Entry, c.Entry.Problem))
		} else {
			text.WriteString(f.change(c))
		}
	}
	return text.String(), nil
}

func ipChange(c Change) string {
	if c.Event == Deleted {
		return ipRoute("del", c.Entry)
	}
	return ipReplace(c.Entry)
}

func routerOSChange(c Change) string {
	find := func(e Entry) string {
		return fmt.Sprintf("[find dst-address=%s comment=\"minilb %s\"]", e.Destination, e.Node)
	}
	switch e := c.Entry; c.Event {
	case Deleted:
		return fmt.Sprintf("/%s route remove %s\n", e.by("ip", "ipv6"), find(e))
	case Replaced:
		return fmt.Sprintf("/%s route set %s gateway=%s comment=\"minilb %s\"\n", e.by("ip", "ipv6"), find(c.Before), e.Gateway, e.Node)
	default:
		return routerOS(e)
	}
}

// frrChange removes what it replaces: FRRouting would add the second gateway.
func frrChange(c Change) string {
	switch {
	case c.Event == Deleted:
		return "no " + frr(c.Entry)
	case c.Event == Added:
		return frr(c.Entry)
	case c.Before.Gateway == c.Entry.Gateway:
		return ""
	default:
		return "no " + frr(c.Before) + frr(c.Entry)
	}
}

func jsonChange(c Change) string {
	text, _ := json.Marshal(newJSONEntry(c.Event, c.Entry)) // none of these fields can fail
	return string(text) + "\n"
}
