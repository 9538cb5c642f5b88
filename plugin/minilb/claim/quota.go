package claim

import "slices"

// maxNamespaceHosts bounds what all objects of a namespace may claim, so that the claims of one tenant do not cost the
// others' time and memory.
const maxNamespaceHosts = 1 << 17

// enforceQuota admits the oldest claims of a namespace up to its quota (C5). They had so many hosts before.
func (r *Resolver) enforceQuota(namespace string, had int) {
	if max(r.claimed[namespace], had) <= maxNamespaceHosts {
		return
	}
	var entries []*Entry
	for e := range r.Entries() {
		if e.Namespace == namespace {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, (*Entry).compare)
	quota := maxNamespaceHosts
	for _, e := range entries {
		quota -= len(e.Hosts)
		if over := quota < 0; over != e.overQuota {
			e.overQuota = over
			r.dirtyEntries[e] = true
		}
	}
}
