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
	// Added is a route to a new destination.
	Added Event = "add"
	// Replaced is a route with another gateway or another node than before.
	Replaced Event = "replace"
	// Deleted is a route that its node does not have any more.
	Deleted Event = "delete"
	// Skipped is a node, or one of its podCIDRs, without a route.
	Skipped Event = "skip"
)

// Change is a difference between two states of the nodes.
type Change struct {
	Event Event
	// Entry is the new one, or the deleted one.
	Entry Entry
	// Before is the one that was replaced.
	Before Entry
}

// Changes returns the changes from the entries before to those now: first deleted routes, then
// the rest, each in the order of FromNodes. The end of a problem is no change: either a route replaces
// it, or the node is gone.
func Changes(before, now []Entry) []Change {
	old, kept := map[netip.Prefix]Entry{}, map[netip.Prefix]bool{}
	for _, entry := range before {
		if entry.Problem == "" {
			old[entry.Destination] = entry
		}
	}
	for _, entry := range now {
		if entry.Problem == "" {
			kept[entry.Destination] = true
		}
	}
	var changes []Change
	for _, entry := range before {
		if entry.Problem == "" && !kept[entry.Destination] {
			changes = append(changes, Change{Event: Deleted, Entry: entry})
		}
	}
	for _, entry := range now {
		last, known := old[entry.Destination]
		switch {
		case entry.Problem != "":
			if !slices.ContainsFunc(before, entry.equal) {
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

// WriteChanges returns lines for the changes. For all entries since there was nothing they are
// those of Write, except for JSON, of which each line is an object:
//
//	{"event": "add", "node": "node1", "family": "ipv4", "destination": "10.244.1.0/24", "gateway": "192.168.1.31"}
//	{"event": "skip", "node": "node2", "reason": "no podCIDRs: …"}
//
// It fails if the format has no lines for single changes.
func (f Format) WriteChanges(changes []Change) (string, error) {
	if f.change == nil {
		return "", fmt.Errorf("-watch prints a line for each change, and %s is written as a whole: choose %s", f.Name, watchable())
	}
	var text strings.Builder
	for _, c := range changes {
		text.WriteString(f.change(c))
	}
	return text.String(), nil
}

// watchable lists the formats that have lines for changes.
func watchable() string {
	var names []string
	for _, f := range Formats {
		if f.change != nil {
			names = append(names, f.Name)
		}
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func (c Change) comment(begin string) string {
	return fmt.Sprintf("%s node %s: %s\n", begin, c.Entry.Node, c.Entry.Problem)
}

func ipChange(c Change) string {
	switch e := c.Entry; c.Event {
	case Skipped:
		return c.comment("#")
	case Deleted:
		return fmt.Sprintf("ip %sroute del %s via %s\n", e.by("", "-6 "), e.Destination, e.Gateway)
	default:
		return IP([]Entry{e}, Replace)
	}
}

func routerOSChange(c Change) string {
	find := func(e Entry) string {
		return fmt.Sprintf("[find dst-address=%s comment=\"minilb %s\"]", e.Destination, e.Node)
	}
	switch e := c.Entry; c.Event {
	case Skipped:
		return c.comment("#")
	case Deleted:
		return fmt.Sprintf("/%s route remove %s\n", e.by("ip", "ipv6"), find(e))
	case Replaced:
		return fmt.Sprintf("/%s route set %s gateway=%s comment=\"minilb %s\"\n", e.by("ip", "ipv6"), find(c.Before), e.Gateway, e.Node)
	default:
		return routerOS(&table{entries: []Entry{e}})
	}
}

// frrChange removes what it replaces: FRRouting would add the second gateway.
func frrChange(c Change) string {
	no := func(e Entry) string { return "no " + frr(&table{entries: []Entry{e}}) }
	switch c.Event {
	case Skipped:
		return c.comment("!")
	case Deleted:
		return no(c.Entry)
	case Replaced:
		if c.Before.Gateway == c.Entry.Gateway {
			return ""
		}
		return no(c.Before) + frr(&table{entries: []Entry{c.Entry}})
	default:
		return frr(&table{entries: []Entry{c.Entry}})
	}
}

// jsonChange is as stable as jsonRoutes.
func jsonChange(c Change) string {
	line := struct {
		Event       Event         `json:"event"`
		Node        string        `json:"node"`
		Family      string        `json:"family,omitempty"`
		Destination *netip.Prefix `json:"destination,omitempty"`
		Gateway     *netip.Addr   `json:"gateway,omitempty"`
		Reason      string        `json:"reason,omitempty"`
	}{Event: c.Event, Node: c.Entry.Node, Reason: c.Entry.Problem}
	if c.Event != Skipped {
		line.Family = c.Entry.by("ipv4", "ipv6")
		line.Destination, line.Gateway = &c.Entry.Destination, &c.Entry.Gateway
	}
	text, err := json.Marshal(line)
	if err != nil {
		return "" // none of these fields can fail
	}
	return string(text) + "\n"
}
