package claim

import (
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/hostname"
)

func (r *Resolver) live(name string) []*Entry {
	if h := r.hosts[name]; h != nil {
		return h.live
	}
	return nil
}

// existsAnyway reports whether a name in a zone exists whatever is claimed.
func (r *Resolver) existsAnyway(t *target, name string) bool {
	for _, zone := range r.options.Zones {
		if !r.options.Services || !hostname.InZone(name, zone) {
			continue
		}
		switch labels := hostname.Labels(name, zone); {
		case len(labels) == 1 && r.namespace(t, labels[0]).populated, len(labels) == 2 && r.ask(t, cache.NewObjectName(labels[1], labels[0])).exposed:
			return true
		}
	}
	// A zone's apex exists, and so do the names above it in a zone that it lies in (D12).
	return slices.ContainsFunc(r.options.Zones, func(zone string) bool { return hostname.InZone(zone, name) })
}

// sourceOfSynthesis returns the claimed name, possibly a wildcard, that covers a target, or "" (D10, RFC 4592).
func (r *Resolver) sourceOfSynthesis(t *target) string { return r.synthesize(t, nil) }

// synthesize is sourceOfSynthesis if reads is nil. Else it adds all that this may read, whether claims that lead to other hosts
// are live or not.
func (r *Resolver) synthesize(t *target, reads *[]read) string {
	host, zone := t.host, r.options.Zone(t.host)
	note := func(name string, exists bool) {
		if reads != nil {
			*reads = append(*reads, read{name, exists})
		}
	}
	// owner returns who has a name, "" if nobody does for sure.
	owner := func(name string) string {
		note(name, false)
		if h := r.hosts[name]; h != nil && (reads == nil || !h.leads) {
			return h.owner
		}
		return ""
	}
	exists := func(name string) bool {
		if r.existsAnyway(t, name) {
			return true
		}
		note(name, true)
		return reads == nil && r.exists(everyone, name)
	}
	switch {
	case owner(host) != "":
		return host
	case hostname.IsSought(host), zone != "" && exists(host): // C7, D12
		return ""
	}
	for offset, end := dns.NextLabel(host, 0); !end; offset, end = dns.NextLabel(host, offset) {
		encloser := host[offset:]
		wildcard := "*." + encloser
		if h := r.hosts[wildcard]; reads != nil && zone == "" && h != nil && len(h.entries) > 0 {
			for name := host; name != encloser; name = hostname.Parent(name) {
				note(name, true)
			}
		}
		namespace := owner(wildcard)
		switch {
		case namespace != "" && (zone != "" || r.reaches(encloser, namespace, host)):
			return wildcard
		case namespace != "", zone == "" && owner(encloser) != "", zone != "" && exists(encloser):
			return ""
		}
	}
	return ""
}

// reaches reports whether nothing between parent, outside the zones, and host blocks the namespace's wildcard below parent
// (C6, C7b).
func (r *Resolver) reaches(parent, namespace, host string) bool {
	for name := host; name != parent; name = hostname.Parent(name) {
		if r.exists(namespace, name) || r.options.Withholds(name, namespace) {
			return false
		}
	}
	return true
}

// wildcardBlocks are the unclaimed names outside the zones that block the wildcard above them. A claim rule's suffix that does
// not allow the wildcard's namespace is one (C6): it is withheld. So is a name that exists only because of names below it,
// unless one of these is the wildcard's namespace's (C7b). Names below such a block need none, so it is enough to know those
// directly below the wildcard's parent.
type wildcardBlocks struct {
	options  *config.Options
	wildcard map[string]string    // by the name that a wildcard stands directly below, the namespace that has it
	below    counts               // hosts, also for everyone; suffixes that are withheld only for everyone
	children sets[string, string] // names with some below, by parent
	withheld map[string]bool      // suffixes
	current  map[string]bool      // the blocks, and whether they are withheld

	newWildcards bool
}

func newWildcardBlocks(options *config.Options) wildcardBlocks {
	return wildcardBlocks{
		options: options, wildcard: map[string]string{}, below: newCounts(), children: sets[string, string]{},
		withheld: map[string]bool{}, current: map[string]bool{},
	}
}

// set moves a host from one namespace to another, "" for none.
func (b *wildcardBlocks) set(host, was, namespace string) {
	b.below.move(host, was, namespace)
	switch {
	case was == "":
		b.below.move(host, "", everyone)
	case namespace == "":
		b.below.move(host, everyone, "")
	}
	if parent, isWildcard := strings.CutPrefix(host, "*."); isWildcard {
		b.newWildcards = true
		if b.wildcard[parent] = namespace; namespace == "" {
			delete(b.wildcard, parent)
		}
		maps.Copy(b.below.changed, b.children[parent])
	}
}

// nearest returns the namespace of the nearest wildcard above a name.
func (b *wildcardBlocks) nearest(name string) (namespace string, found bool) {
	for name = hostname.Parent(name); name != "" && !found; name = hostname.Parent(name) {
		namespace, found = b.wildcard[name]
	}
	return namespace, found
}

// withhold brings up to date which suffixes are withheld.
func (b *wildcardBlocks) withhold() {
	for _, rule := range b.options.Claims {
		owner, found := b.nearest(rule.Suffix)
		switch is := found && b.options.Zone(rule.Suffix) == "" && b.options.Withholds(rule.Suffix, owner); {
		case is == b.withheld[rule.Suffix]:
			continue
		case is:
			b.below.move(rule.Suffix, "", everyone)
			b.withheld[rule.Suffix] = true
		default:
			b.below.move(rule.Suffix, everyone, "")
			delete(b.withheld, rule.Suffix)
		}
		b.below.changed[rule.Suffix] = true
	}
}

// resolve returns the names whose block was added, removed or changed.
func (b *wildcardBlocks) resolve() (changed []string) {
	if b.newWildcards {
		b.withhold()
	}
	for name := range b.below.changed {
		parent, some := hostname.Parent(name), b.below.hosts[inNamespace{everyone, name}] > 0
		if b.children.remove(parent, name); some {
			b.children.add(parent, name)
		}
		withheld := b.withheld[name]
		owner, covered := b.wildcard[parent]
		is := withheld || covered && some && b.below.hosts[inNamespace{owner, name}] == 0
		was, blocked := b.current[name]
		if is == blocked && withheld == was {
			continue
		}
		if b.current[name] = withheld; !is {
			delete(b.current, name)
		}
		changed = append(changed, name)
	}
	b.newWildcards, b.below.changed = false, map[string]bool{}
	return changed
}
