package claim

import (
	"iter"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// existence is a name that is claimed or lies above one that is. Outside the zones it keeps wildcards of the
// namespace off (C7b); in a zone, where the namespace is "", those of all.
type existence struct{ namespace, name string }

// index notes the names that exist because of claims, as the tree of the answers will have them.
func (r *Resolver) index() {
	r.existing = map[existence]bool{}
	if len(r.hosts()) == 0 {
		return // nobody will ask
	}
	for host, claims := range r.Claims {
		is := existence{name: host}
		if r.options.Zone(host) == "" {
			is.namespace = claims[0].Namespace
		}
		for ; is.name != "" && !r.existing[is]; is.name = hostname.Parent(is.name) {
			r.existing[is] = true
		}
	}
}

// exists reports whether a name in a zone exists, with data or without.
func (r *Resolver) exists(name string) bool {
	if r.existing[existence{name: name}] {
		return true
	}
	for _, zone := range r.options.Zones {
		if !r.options.Services || !hostname.InZone(name, zone) {
			continue
		}
		switch labels := hostname.Labels(name, zone); {
		case len(labels) == 1 && r.services.InNamespace(labels[0]), len(labels) == 2 && r.services.Exposed(cache.NewObjectName(labels[1], labels[0])):
			return true
		}
	}
	// A zone's apex exists, and so do the names above it in a zone that it lies in (D12).
	return slices.ContainsFunc(r.options.Zones, func(zone string) bool { return hostname.InZone(zone, name) })
}

// SourceOfSynthesis returns the claimed name, possibly a wildcard, that covers host, or "" (D10).
func (r *Resolver) SourceOfSynthesis(host string) string {
	zone := r.options.Zone(host)
	switch {
	case len(r.Claims[host]) > 0:
		return host
	case hostname.IsSought(host), zone != "" && r.exists(host):
		return "" // C7, D12
	}
	for offset, end := dns.NextLabel(host, 0); !end; offset, end = dns.NextLabel(host, offset) {
		encloser := host[offset:]
		claims := r.Claims["*."+encloser]
		switch {
		case len(claims) > 0 && (zone != "" || r.reaches(encloser, claims[0].Namespace, host)):
			return "*." + encloser
		case len(claims) > 0, zone == "" && len(r.Claims[encloser]) > 0, zone != "" && r.exists(encloser):
			return ""
		}
	}
	return ""
}

// reaches reports whether nothing keeps the namespace's wildcard directly below a name outside the zones off
// host, between which nobody claims anything (C6, C7b).
func (r *Resolver) reaches(parent, namespace, host string) bool {
	for is := (existence{namespace, host}); is.name != parent; is.name = hostname.Parent(is.name) {
		if r.existing[is] || r.options.Withholds(is.name, namespace) {
			return false
		}
	}
	return true
}

// wildcards are those outside the zones: by the name that each stands directly below, the namespace that has it.
type wildcards map[string]string

// over returns the namespace of the nearest wildcard above a name.
func (w wildcards) over(name string) (namespace string, found bool) {
	for name = hostname.Parent(name); name != "" && !found; name = hostname.Parent(name) {
		namespace, found = w[name]
	}
	return namespace, found
}

// below yields the names directly below where wildcards stand that exist because of a host further below, with the
// namespace of that wildcard.
func (w wildcards) below(host string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for name, parent := hostname.Parent(host), hostname.Parent(hostname.Parent(host)); parent != ""; name, parent = parent, hostname.Parent(parent) {
			if namespace, has := w[parent]; has && !yield(name, namespace) {
				return
			}
		}
	}
}

// WildcardBlocks returns the names outside the zones that nobody claims and that lie below a wildcard.
// A claim rule's suffix keeps the wildcard off if it does not allow that namespace (C6): it is marked.
// A name that exists only because of names below it does so too, but if none of these belongs to the
// wildcard's own namespace: nobody takes names above his own out of another's wildcard (C7b). As what is below
// such a name does not belong to that namespace either, it is enough to know those directly below where the
// wildcard stands.
func (r *Resolver) WildcardBlocks(outcomes map[string]Resolution) map[string]bool {
	all, blocks := wildcards{}, map[string]bool{}
	for host, out := range outcomes {
		if parent, wildcard := strings.CutPrefix(host, "*."); wildcard && r.options.Zone(host) == "" {
			all[parent] = out.Winner.Namespace
		}
	}
	if len(all) == 0 {
		return blocks
	}
	keepsOff := map[string]bool{}
	note := func(host, namespace string) {
		for name, of := range all.below(host) {
			keepsOff[name] = keepsOff[name] || of == namespace
		}
	}
	for host, out := range outcomes {
		if r.options.Zone(host) == "" {
			note(host, out.Winner.Namespace)
		}
	}
	var fences []string
	for _, rule := range r.options.Claims {
		if of, found := all.over(rule.Suffix); found && r.options.Zone(rule.Suffix) == "" && r.options.Withholds(rule.Suffix, of) {
			fences = append(fences, rule.Suffix)
			note(rule.Suffix, "")
		}
	}
	for name, keeps := range keepsOff {
		if !keeps {
			blocks[name] = false
		}
	}
	for _, fence := range fences {
		blocks[fence] = true
	}
	return blocks
}
