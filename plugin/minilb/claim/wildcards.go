package claim

import (
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

// exists reports whether a name in a zone exists, with data or without.
func (r *Resolver) exists(t *target, name string) bool {
	return r.names.live[inNamespace{name: name}] > 0 || r.existsAnyway(t, name)
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
func (r *Resolver) sourceOfSynthesis(t *target) string {
	host, zone := t.host, r.options.Zone(t.host)
	switch {
	case len(r.live(host)) > 0:
		return host
	case hostname.IsSought(host), zone != "" && r.exists(t, host):
		return "" // C7, D12
	}
	for offset, end := dns.NextLabel(host, 0); !end; offset, end = dns.NextLabel(host, offset) {
		encloser := host[offset:]
		claims := r.live("*." + encloser)
		switch {
		case len(claims) > 0 && (zone != "" || r.reaches(encloser, claims[0].Namespace, host)):
			return "*." + encloser
		case len(claims) > 0, zone == "" && len(r.live(encloser)) > 0, zone != "" && r.exists(t, encloser):
			return ""
		}
	}
	return ""
}

// reaches reports whether nothing between parent, outside the zones, and host blocks the namespace's wildcard below parent
// (C6, C7b).
func (r *Resolver) reaches(parent, namespace, host string) bool {
	for name := host; name != parent; name = hostname.Parent(name) {
		if r.names.live[inNamespace{namespace, name}] > 0 || r.options.Withholds(name, namespace) {
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
	wildcard map[string]string         // by the name that a wildcard stands directly below, the namespace that has it
	below    map[string]map[string]int // by name, how many hosts of each namespace are below; "" for suffixes that are withheld
	children sets[string, string]      // of the names in below, by parent
	withheld map[string]bool           // suffixes
	current  map[string]bool           // the blocks, and whether they are withheld

	dirty        map[string]bool // names that may have become blocks, or no longer
	newWildcards bool
}

func newWildcardBlocks(options *config.Options) wildcardBlocks {
	return wildcardBlocks{
		options:  options,
		wildcard: map[string]string{}, below: map[string]map[string]int{}, children: sets[string, string]{},
		withheld: map[string]bool{}, current: map[string]bool{}, dirty: map[string]bool{},
	}
}

// set moves a host from one namespace to another, "" for none.
func (b *wildcardBlocks) set(host, was, namespace string) {
	if was != "" {
		b.count(host, was, -1)
	}
	if namespace != "" {
		b.count(host, namespace, 1)
	}
	if parent, isWildcard := strings.CutPrefix(host, "*."); isWildcard {
		b.newWildcards = true
		if b.wildcard[parent] = namespace; namespace == "" {
			delete(b.wildcard, parent)
		}
		for name := range b.children[parent] {
			b.dirty[name] = true
		}
	}
}

// count adds a host to those below the names above it.
func (b *wildcardBlocks) count(host, namespace string, n int) {
	for name, parent := hostname.Parent(host), hostname.Parent(hostname.Parent(host)); parent != ""; name, parent = parent, hostname.Parent(parent) {
		b.dirty[name] = true
		if b.below[name] == nil {
			b.below[name] = map[string]int{}
			b.children.add(parent, name)
		}
		if b.below[name][namespace] += n; b.below[name][namespace] > 0 {
			continue
		}
		if delete(b.below[name], namespace); len(b.below[name]) == 0 {
			delete(b.below, name)
			b.children.remove(parent, name)
		}
	}
}

// nearest returns the namespace of the nearest wildcard above a name.
func (b *wildcardBlocks) nearest(name string) (namespace string, found bool) {
	for name = hostname.Parent(name); name != "" && !found; name = hostname.Parent(name) {
		namespace, found = b.wildcard[name]
	}
	return namespace, found
}

// resolve returns the names whose block was added, removed or changed.
func (b *wildcardBlocks) resolve() (changed []string) {
	for _, rule := range b.options.Claims {
		if !b.newWildcards {
			break
		}
		owner, found := b.nearest(rule.Suffix)
		switch is := found && b.options.Zone(rule.Suffix) == "" && b.options.Withholds(rule.Suffix, owner); {
		case is == b.withheld[rule.Suffix]:
			continue
		case is:
			b.count(rule.Suffix, "", 1)
			b.withheld[rule.Suffix] = true
		default:
			b.count(rule.Suffix, "", -1)
			delete(b.withheld, rule.Suffix)
		}
		b.dirty[rule.Suffix] = true
	}
	b.newWildcards = false
	for name := range b.dirty {
		withheld := b.withheld[name]
		owner, covered := b.wildcard[hostname.Parent(name)]
		is := withheld || covered && b.below[name] != nil && b.below[name][owner] == 0
		was, blocked := b.current[name]
		if is == blocked && withheld == was {
			continue
		}
		if b.current[name] = withheld; !is {
			delete(b.current, name)
		}
		changed = append(changed, name)
	}
	b.dirty = map[string]bool{}
	return changed
}
