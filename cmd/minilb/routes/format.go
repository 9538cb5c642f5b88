package routes

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// Action is what an iproute2 line does with a route.
type Action string

const (
	// Add fails where the route exists, as in a first installation it should.
	Add Action = "add"
	// Replace can be repeated.
	Replace Action = "replace"
)

// IP returns the entries as lines for iproute2, problems as comments (R1, R2).
func IP(entries []Entry, action Action) string {
	return (&table{entries: entries}).lines("#", func(text *strings.Builder, e Entry) {
		fmt.Fprintf(text, "ip %sroute %s %s via %s\n", e.by("", "-6 "), action, e.Destination, e.Gateway)
	})
}

// The documents of -o json are stable: fields are added, never renamed or removed, and lists are never null.
type jsonRoutes struct {
	Routes  []jsonRoute   `json:"routes"`
	Skipped []jsonSkipped `json:"skipped"` // nodes without a route, or their podCIDRs
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

// jsonDocument writes all entries as one object:
//
//	{"routes":  [{"node": "node1", "family": "ipv4", "destination": "10.244.1.0/24", "gateway": "192.168.1.31"}],
//	 "skipped": [{"node": "node2", "reason": "no podCIDRs: …"}]}
func jsonDocument(t *table) string {
	document := jsonRoutes{Routes: []jsonRoute{}, Skipped: []jsonSkipped{}}
	for _, e := range t.entries {
		if e.Problem != "" {
			document.Skipped = append(document.Skipped, jsonSkipped{e.Node, e.Problem})
		} else {
			document.Routes = append(document.Routes, jsonRoute{e.Node, e.by("ipv4", "ipv6"), e.Destination, e.Gateway})
		}
	}
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(document) // a Builder accepts everything, and no field can fail
	return text.String()
}
