package routes

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// Action is what an iproute2 line does about a route.
type Action string

const (
	// Add fails where the route exists, as the lines of a first installation may.
	Add Action = "add"
	// Replace can be repeated.
	Replace Action = "replace"
)

// IP returns the entries as lines for iproute2, problems as comments (R1, R2).
func IP(entries []Entry, action Action) string {
	var text strings.Builder
	for _, entry := range entries {
		switch {
		case entry.Problem != "":
			fmt.Fprintf(&text, "# node %s: %s\n", entry.Node, entry.Problem)
		case entry.Destination.Addr().Is4():
			fmt.Fprintf(&text, "ip route %s %s via %s\n", action, entry.Destination, entry.Gateway)
		default:
			fmt.Fprintf(&text, "ip -6 route %s %s via %s\n", action, entry.Destination, entry.Gateway)
		}
	}
	return text.String()
}

// jsonRoutes is the document that JSON writes. Its form is stable: fields are added, never
// renamed or removed, and its lists are never null.
type jsonRoutes struct {
	// Routes is in the order of Of.
	Routes []jsonRoute `json:"routes"`
	// Skipped says of which nodes, or podCIDRs of theirs, there is no route.
	Skipped []jsonSkipped `json:"skipped"`
}

type jsonRoute struct {
	Node        string       `json:"node"`
	Family      string       `json:"family"` // "ipv4" or "ipv6"
	Destination netip.Prefix `json:"destination"`
	Gateway     netip.Addr   `json:"gateway"`
}

type jsonSkipped struct {
	Node   string `json:"node"`
	Reason string `json:"reason"`
}

// JSON writes the entries to w as one object:
//
//	{"routes":  [{"node": "node1", "family": "ipv4", "destination": "10.244.1.0/24", "gateway": "192.168.1.31"}],
//	 "skipped": [{"node": "node2", "reason": "no podCIDRs: …"}]}
func JSON(w io.Writer, entries []Entry) error {
	document := jsonRoutes{Routes: []jsonRoute{}, Skipped: []jsonSkipped{}}
	for _, entry := range entries {
		if entry.Problem != "" {
			document.Skipped = append(document.Skipped, jsonSkipped{entry.Node, entry.Problem})
			continue
		}
		document.Routes = append(document.Routes, jsonRoute{
			Node:        entry.Node,
			Family:      strings.ToLower(family(entry.Gateway)),
			Destination: entry.Destination,
			Gateway:     entry.Gateway,
		})
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}
