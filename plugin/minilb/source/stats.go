package source

// Stats counts what a Translator made of the cluster.
type Stats struct {
	Names       map[string]int // names that are answered, by the kind of object they come from
	Endpoints   map[string]int // endpoints of the exposed Services: "ready", "terminating", "not_ready" or "suspect"
	Rejected    map[string]int // claims on hosts that do not count, by reason
	Unreachable int            // hosts outside the server blocks' zones (D8)
}

// Stats returns the present counts.
func (t *Translator) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.Endpoints = map[string]int{"ready": t.states.ready, "terminating": t.states.terminating, "not_ready": t.states.notReady, "suspect": t.states.suspect}
	return s
}
