package routes

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// Verbs of IP.
const (
	Add     = "add"     // fails where the route exists, as in a first installation it should
	Replace = "replace" // can be repeated
)

// IP returns the entries as lines for iproute2, problems as comments (R1, R2).
func IP(entries []Entry, verb string) string {
	return writeLines(entries, "#", func(e Entry) string { return ipRoute(verb, e) })
}

func ipReplace(e Entry) string { return ipRoute(Replace, e) }

func ipRoute(verb string, e Entry) string {
	return fmt.Sprintf("ip %sroute %s %s via %s\n", e.by("", "-6 "), verb, e.Destination, e.Gateway)
}

// jsonEntry is a route, or a node or a podCIDR without one. The documents of -o json are stable: fields are added, never
// renamed or removed, and lists are never null.
type jsonEntry struct {
	Event       Event        `json:"event,omitempty"` // with -watch
	Node        string       `json:"node"`
	Family      string       `json:"family,omitempty"` // "ipv4" or "ipv6"
	Destination netip.Prefix `json:"destination,omitzero"`
	Gateway     netip.Addr   `json:"gateway,omitzero"`
	Reason      string       `json:"reason,omitempty"`
}

func newJSONEntry(event Event, e Entry) jsonEntry {
	if e.Problem != "" {
		return jsonEntry{Event: event, Node: e.Node, Reason: e.Problem}
	}
	return jsonEntry{Event: event, Node: e.Node, Family: e.by("ipv4", "ipv6"), Destination: e.Destination, Gateway: e.Gateway}
}

// jsonDocument writes all entries as one object:
//
//	{"routes":  [{"node": "node1", "family": "ipv4", "destination": "10.244.1.0/24", "gateway": "192.168.1.31"}],
//	 "skipped": [{"node": "node2", "reason": "no podCIDRs: …"}]}
func jsonDocument(t *table) string {
	document := struct {
		Routes  []jsonEntry `json:"routes"`
		Skipped []jsonEntry `json:"skipped"`
	}{[]jsonEntry{}, []jsonEntry{}}
	for _, e := range t.entries {
		if e.Problem != "" {
			document.Skipped = append(document.Skipped, newJSONEntry("", e))
		} else {
			document.Routes = append(document.Routes, newJSONEntry("", e))
		}
	}
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(document) // a Builder accepts everything, and no field can fail
	return text.String()
}
