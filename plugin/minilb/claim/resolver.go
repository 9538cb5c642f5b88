package claim

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// Resolver decides what each claimed name leads to, whatever the order in which claims and Services came (C5). A change costs
// the names that depend on it. It is not safe for concurrent use.
type Resolver struct {
	options  *config.Options
	services Services
	partial  bool // Services or their endpoints are not known yet: no target may be one

	objects map[object.KindName][]*Entry
	claimed map[string]int       // how many hosts the claims of a namespace have
	hosts   map[string]*host     // those that claims are admitted for
	own     sets[string, *Entry] // by the name of an exposed Service: claims that lead only to that Service (D17)
	answers map[cache.ObjectName]*answer
	names   counts              // of live hosts: in a zone they are everyone's
	leading sets[string, *host] // by name, the hosts below it with claims that lead to other hosts
	targets map[string]*target
	readers sets[read, *target]
	blocks  wildcardBlocks

	// What has changed since the last Resolve. These maps are replaced, as clear takes as long as a map was ever large.
	changed      map[object.KindName][]*Claim
	dirtyEntries map[*Entry]bool
	dirtyHosts   map[*host]bool
	dirtyTargets map[*target]bool
}

// Entry is a claim with what was found about it.
type Entry struct {
	*Claim
	Direct ResolvedTargets

	overQuota bool
	problems  []object.Problem   // beside those of hosts
	hosts     []*host            // that it is admitted for; none if it has no target
	deps      []cache.ObjectName // what the above depends on
	followed  *Resolution        // what it leads to, also through other hosts; nil if Direct is all
}

// compare puts the older first, in a total order (C5).
func (e *Entry) compare(o *Entry) int {
	return cmp.Or(e.Older(&o.Ref), slices.Compare(e.Hosts, o.Hosts))
}

// leads reports whether e leads to other hosts.
func (e *Entry) leads() bool { return len(e.Direct.Hosts) > 0 }

// found returns what e leads to.
func (e *Entry) found() Resolution {
	if e.followed != nil {
		return *e.followed
	}
	return e.Direct.Resolution
}

// host is a host that claims are admitted for.
type host struct {
	name     string
	inZone   bool
	entries  []*Entry // the oldest first
	live     []*Entry // those with a target, as far as is known
	problems []object.Problem
	leads    bool   // some of the entries do
	owner    string // whose it is by its live claims: everyone's in a zone, else the oldest one's namespace; "" without any
	winner   string // the namespace of the result
}

// Changes are the results of one Resolve that may differ from those before.
type Changes struct {
	Hosts      []string         // see Resolution and Block
	Come, Gone []object.Problem // a problem that stays may be in both
}

// NewResolver returns a Resolver without any claims.
func NewResolver(options *config.Options, services Services) *Resolver {
	return &Resolver{
		options: options, services: services,
		objects: map[object.KindName][]*Entry{}, claimed: map[string]int{}, hosts: map[string]*host{}, own: sets[string, *Entry]{},
		answers: map[cache.ObjectName]*answer{}, names: newCounts(), leading: sets[string, *host]{},
		targets: map[string]*target{}, readers: sets[read, *target]{}, blocks: newWildcardBlocks(options),
		changed: map[object.KindName][]*Claim{}, dirtyEntries: map[*Entry]bool{}, dirtyHosts: map[*host]bool{}, dirtyTargets: map[*target]bool{},
	}
}

// Set replaces the claims of an object; none if it is gone.
func (r *Resolver) Set(of object.KindName, claims ...*Claim) { r.changed[of] = claims }

// SetPartial sets whether Services or their endpoints are not known yet.
func (r *Resolver) SetPartial(partial bool) {
	if r.partial == partial {
		return
	}
	r.partial = partial
	for e := range r.Entries() {
		r.dirtyEntries[e] = true
	}
}

// Resolve brings the results up to date with all changes since it was last called.
func (r *Resolver) Resolve() Changes {
	var c Changes
	had := map[string]int{} // as claimed, before
	for of, claims := range r.changed {
		if _, known := had[of.Namespace]; !known {
			had[of.Namespace] = r.claimed[of.Namespace]
		}
		for _, e := range r.objects[of] {
			c.Gone = append(c.Gone, e.problems...)
			r.detach(e)
			r.claimed[of.Namespace] -= len(e.Hosts)
			delete(r.dirtyEntries, e)
		}
		delete(r.objects, of)
		for _, claim := range claims {
			e := &Entry{Claim: claim}
			r.objects[of] = append(r.objects[of], e)
			r.claimed[of.Namespace] += len(e.Hosts)
			r.dirtyEntries[e] = true
		}
	}
	r.changed = map[object.KindName][]*Claim{}
	for namespace, hosts := range had {
		r.enforceQuota(namespace, hosts)
		if r.claimed[namespace] == 0 {
			delete(r.claimed, namespace)
		}
	}
	for e := range r.dirtyEntries {
		c.Gone = append(c.Gone, e.problems...)
		r.detach(e)
	}
	for h := range r.dirtyHosts {
		h.entries = slices.DeleteFunc(h.entries, func(e *Entry) bool { return e.hosts == nil })
	}
	for e := range r.dirtyEntries {
		r.attach(e)
		c.Come = append(c.Come, e.problems...)
	}
	r.dirtyEntries = map[*Entry]bool{}
	r.resolveHosts(&c)
	return c
}

// resolveHosts resolves the dirty hosts and those that depend on them.
func (r *Resolver) resolveHosts(c *Changes) {
	for h := range r.dirtyHosts {
		r.rebase(h)
	}
	hosts := r.closure()
	for h := range hosts {
		c.Gone = append(c.Gone, h.problems...)
		h.problems = nil
		r.setLive(h, h.entries)
	}
	r.follow(hosts)
	for h := range hosts {
		r.conclude(h)
		c.Come = append(c.Come, h.problems...)
		c.Hosts = append(c.Hosts, h.name)
		winner := ""
		if out, found := r.Resolution(h.name); found {
			winner = out.Winner.Namespace
		}
		if !h.inZone && winner != h.winner {
			r.blocks.set(h.name, h.winner, winner)
			h.winner = winner
		}
		if len(h.entries) == 0 {
			delete(r.hosts, h.name)
		}
	}
	c.Hosts = append(c.Hosts, r.blocks.resolve()...)
}

// sets are sets by key, none of them empty.
type sets[K, V comparable] map[K]map[V]bool

func (s sets[K, V]) add(key K, value V) {
	if s[key] == nil {
		s[key] = map[V]bool{}
	}
	s[key][value] = true
}

func (s sets[K, V]) remove(key K, value V) {
	if delete(s[key], value); len(s[key]) == 0 {
		delete(s, key)
	}
}

// attach admits a claim on each of its hosts, or records why not.
func (r *Resolver) attach(e *Entry) {
	if e.overQuota {
		e.refuse("", object.ReasonTooMany, "its hosts are refused: the objects of a namespace may claim %d, and older ones do", maxNamespaceHosts)
		e.problems[0].Hosts = len(e.Hosts)
		return
	}
	e.problems = slices.Clone(e.Problems)
	e.Direct = r.direct(e)
	noTarget := ""
	if !e.leads() {
		noTarget = r.noTarget(e)
	}
	for _, name := range e.Hosts {
		if own, ok := r.serviceAt(e, name); ok && e.Direct.leadsTo(own) {
			r.own.add(name, e) // D17: it takes nothing over that the Service does not have anyway
			continue
		}
		if rejection := r.admit(e, name); rejection.reason != "" {
			e.refuse(name, rejection.reason, "host %s is refused: %s", e.written(name), rejection.text)
			continue
		}
		r.note(e, name)
		if noTarget != "" { // M2
			e.problems = append(e.problems, r.notServed(e, name, noTarget)...)
			continue
		}
		h := r.hosts[name]
		if h == nil {
			h = &host{name: name, inZone: r.options.Zone(name) != ""}
			r.hosts[name] = h
		}
		h.entries = append(h.entries, e)
		e.hosts = append(e.hosts, h)
		r.dirtyHosts[h] = true
	}
	if e.hosts != nil {
		r.addTargets(e)
	}
}

// detach undoes attach. The hosts' entries are filtered once all are detached, so that many of one host take linear time.
func (r *Resolver) detach(e *Entry) {
	for _, h := range e.hosts {
		r.dirtyHosts[h] = true
	}
	for _, name := range e.Hosts {
		r.own.remove(name, e)
	}
	r.forget(e, e.deps)
	r.removeTargets(e)
	e.problems, e.hosts, e.deps, e.followed, e.Direct = nil, nil, nil, nil, ResolvedTargets{}
}

// rebase starts a host from its present entries.
func (r *Resolver) rebase(h *host) {
	slices.SortFunc(h.entries, (*Entry).compare)
	led := h.leads
	h.leads = slices.ContainsFunc(h.entries, (*Entry).leads)
	for name := h.name; (led || h.leads) && name != ""; name = hostname.Parent(name) {
		r.names.changed[name] = true // as its claims may turn out to lead nowhere
		if r.leading.remove(name, h); h.leads && name != h.name {
			r.leading.add(name, h)
		}
	}
	r.setLive(h, h.entries)
}

// note adds notices about a host that a claim is admitted for.
func (r *Resolver) note(e *Entry, host string) {
	if written := e.Written[host]; written != "" { // I10
		e.refuse(host, object.ReasonNotice, "host %q has no dot, so it means %s; %q with a final dot would be the name itself", written, hostname.Plain(host), written+".")
	}
	if hostname.IsMulticast(host) && r.options.Zone(host) == "" { // C7
		e.refuse(host, object.ReasonNotice, "host %q %s", hostname.Plain(host), hostname.MulticastOnly)
	}
}

func (e *Entry) refuse(host string, reason object.Reason, format string, args ...any) {
	e.problems = append(e.problems, e.problem(host, reason, format, args...))
}

func (e *Entry) problem(host string, reason object.Reason, format string, args ...any) object.Problem {
	return object.Problem{Ref: &e.Ref, Host: host, Reason: reason, Text: fmt.Sprintf(format, args...)}
}

// notServed returns the problem that a claim on a host has no target, unless the cause is temporary or logged elsewhere.
func (r *Resolver) notServed(e *Entry, host, why string) []object.Problem {
	if r.partial && e.Missing == "" {
		return nil // most likely because of what cannot be read, which has its own log line
	}
	if e.Direct.soon {
		return nil
	}
	return []object.Problem{e.problem(host, object.ReasonNoTarget, "host %q is not served: %s", hostname.Plain(host), why)}
}

// Resolution returns what a claimed name leads to, and whether it leads anywhere.
func (r *Resolver) Resolution(name string) (out Resolution, found bool) {
	if len(r.live(name)) == 0 {
		return Resolution{}, false
	}
	out = r.hosts[name].resolve()
	switch { // to addresses or one alias, as one name can have (G44)
	case len(out.Addrs)+len(out.Services) > 0:
		out.External = nil
	case out.External == nil, slices.Contains(r.options.Zones, name): // D27
		return Resolution{}, false
	default:
		out.External = out.External[:1]
	}
	return out, true
}

// Block reports whether an unclaimed name outside the zones blocks the wildcard above it: for the names below, or if it
// is withheld (C6) for itself as well.
func (r *Resolver) Block(name string) (withheld, blocks bool) {
	withheld, blocks = r.blocks.current[name]
	return withheld, blocks
}

// Counting returns the claims that count on a host.
func (r *Resolver) Counting(name string) []*Entry {
	if _, found := r.Resolution(name); !found {
		return nil
	}
	h := r.hosts[name]
	out := h.resolve()
	return slices.DeleteFunc(slices.Clone(h.live), func(e *Entry) bool { return !e.counts(&out) })
}

// Covers reports whether a host that is some claim's target is claimed, itself or by a wildcard, and leads anywhere.
func (r *Resolver) Covers(target string) bool {
	t := r.targets[target]
	if t == nil {
		return false
	}
	_, found := r.Resolution(r.sourceOfSynthesis(t))
	return found
}

// Admits reports whether a claim may have a host, whoever else claims it.
func (r *Resolver) Admits(e *Entry, host string) bool {
	return !e.overQuota && r.admit(e, host).reason == ""
}

// Own returns the claims on the name of an exposed Service that lead only to that Service.
func (r *Resolver) Own(name string) []*Entry { return slices.Collect(maps.Keys(r.own[name])) }

// Entries yields all claims.
func (r *Resolver) Entries() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for _, entries := range r.objects {
			for _, e := range entries {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// Problems returns those of all claims.
func (r *Resolver) Problems() (all []object.Problem) {
	for e := range r.Entries() {
		all = append(all, e.problems...)
	}
	for _, h := range r.hosts {
		all = append(all, h.problems...)
	}
	return all
}
