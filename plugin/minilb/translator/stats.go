package translator

import "maps"

// Stats counts what a Translator made of the cluster.
type Stats struct {
	Names       map[string]int // names that are answered, by the kind of object they come from
	Endpoints   map[string]int // endpoints of the exposed Services: "ready", "terminating", "not_ready" or "suspect"
	Rejected    map[string]int // claims on hosts that do not count, by reason
	Unreachable int            // hosts outside the server blocks' zones (D8)
}

// Stats returns the present counts.
func (t *Translator) Stats() Stats {
	exposed, endpoints := t.services.count()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.Names = maps.Clone(s.Names)
	if s.Names != nil && t.options.Services { // nothing is answered before the first publication
		s.Names["service"] += exposed * len(t.options.Zones)
	}
	s.Endpoints = map[string]int{"ready": endpoints.ready, "terminating": endpoints.terminating, "not_ready": endpoints.notReady, "suspect": endpoints.suspect}
	return s
}
