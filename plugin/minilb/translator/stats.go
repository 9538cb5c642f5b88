package translator

import (
	"maps"

	"github.com/minilb/minilb/plugin/minilb/endpoint"
)

// Stats counts what a Translator made of the cluster.
type Stats struct {
	Names       map[string]int // names that are answered, by the kind of object they come from
	Endpoints   map[string]int // endpoints of the exposed Services: "ready", "terminating", "not_ready", "suspect" or "excluded"
	Rejected    map[string]int // claims on hosts that do not count, by reason
	Unreachable int            // hosts outside the server blocks' zones (D8)
}

// Stats returns the present counts.
func (t *Translator) Stats() Stats {
	var exposed int
	var endpoints endpoint.Counts
	t.services.with(func(s *serviceState) { exposed, endpoints = len(s.exposed), s.states })
	var s Stats
	if published := t.stats.Load(); published != nil {
		s = *published
		s.Names = maps.Clone(s.Names)
		if t.options.Services {
			s.Names["service"] += exposed * len(t.options.Zones)
		}
	}
	s.Endpoints = map[string]int{
		"ready": endpoints.Ready, "terminating": endpoints.Terminating, "not_ready": endpoints.NotReady, "suspect": endpoints.Suspect,
		"excluded": endpoints.Excluded,
	}
	return s
}
