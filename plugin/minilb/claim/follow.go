package claim

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// maxDepth is how many hosts may be on the way from a name to its addresses (M6).
const maxDepth = 8

// direct sorts the targets of a claim (M1, M3).
func (r *Resolver) direct(e *Entry) ResolvedTargets {
	d := ResolvedTargets{why: e.Missing}
	for _, t := range e.List {
		switch {
		case t.Addr.IsValid():
			d.Addrs = append(d.Addrs, t.Addr)
		case t.Host != "":
			service, ok := r.serviceAt(e, t.Host)
			if ok {
				d.Services = append(d.Services, service)
			} else {
				d.Hosts = append(d.Hosts, t.Host)
			}
			d.soon = d.soon || service != (cache.ObjectName{}) && r.pending(e, service)
		case r.exposed(e, t.Service):
			d.Services = append(d.Services, t.Service)
		default:
			d.why = fmt.Sprintf("Service %s is not one of class %q that we serve", t.Service, r.options.Class)
			d.soon = d.soon || r.pending(e, t.Service)
		}
	}
	return d
}

// noTarget returns why no target of the claim leads anywhere, "" if one may.
func (r *Resolver) noTarget(e *Entry) string {
	d := &e.Direct
	if len(d.Addrs)+len(d.Services) > 0 {
		return ""
	}
	why := d.why
	for _, host := range d.Hosts {
		if r.options.Zone(host) == "" || r.sourceOfSynthesis(r.targets[host]) != "" {
			return ""
		}
		why = fmt.Sprintf("its address %q is in our zone, but nothing of ours has that name", hostname.Plain(host))
	}
	if why == "" {
		why = "it has no address"
	}
	return why
}

// follow resolves the claims of a closure of hosts that lead to other hosts, and drops those that lead nowhere.
func (r *Resolver) follow(hosts map[*host]bool) {
	entries := map[*Entry]bool{} // that lead to others and are not dropped
	for h := range hosts {
		for _, e := range h.entries {
			if e.leads() {
				entries[e] = true
			}
		}
	}
	r.prune(hosts, entries)
	r.find(entries)
	for again, attempts := true, 0; again && attempts < maxDepth; attempts++ {
		again = false
		for h := range hosts {
			live := slices.IndexFunc(h.live, func(e *Entry) bool { return !e.found().empty() })
			for _, e := range h.live[:max(live, 0)] {
				r.refuseLoop(e, h)
			}
			if live > 0 { // the oldest lead nowhere, so that they do not hold the name
				r.setLive(h, h.live[live:])
				again = true
			}
		}
		if again {
			r.find(entries)
		}
	}
	r.names.changed = map[string]bool{} // who reads them is among the hosts
}

// prune drops claims without a target: they make no name exist (M2), so they must not hide another name. Each round examines
// all candidates before it drops any, as their order must not matter (C5); the next round's candidates depend on what was
// dropped, so that a chain takes linear time.
func (r *Resolver) prune(hosts map[*host]bool, entries map[*Entry]bool) {
	for candidates := maps.Clone(entries); len(candidates) > 0; {
		r.names.changed = map[string]bool{}
		gone := map[*Entry]bool{}
		lost := map[*host]bool{}
		for e := range candidates {
			why := r.noTarget(e)
			if why == "" {
				continue
			}
			gone[e] = true
			delete(entries, e)
			for _, h := range e.hosts {
				if hosts[h] {
					lost[h] = true
					h.problems = append(h.problems, r.notServed(e, h.name, why)...)
				}
			}
		}
		for h := range lost {
			r.setLive(h, slices.DeleteFunc(slices.Clone(h.live), func(e *Entry) bool { return gone[e] }))
		}
		candidates = map[*Entry]bool{}
		for name := range r.names.changed {
			for _, exists := range []bool{false, true} {
				for t := range r.readers[read{name, exists}] {
					for e := range t.entries {
						if entries[e] {
							candidates[e] = true
						}
					}
				}
			}
		}
	}
}

// find follows each claim to its targets, one round for each host on the way, so that the order does not matter and a loop
// finds nothing (M6).
func (r *Resolver) find(entries map[*Entry]bool) {
	sources := map[string]string{}
	for e := range entries {
		e.followed = nil
		for _, host := range e.Direct.Hosts {
			if _, known := sources[host]; !known {
				sources[host] = r.sourceOfSynthesis(r.targets[host])
			}
		}
	}
	for range maxDepth {
		names := map[string]Resolution{} // that claims lead to, as of the round before
		for _, name := range sources {
			if _, known := names[name]; !known && name != "" {
				names[name] = r.hosts[name].resolve()
			}
		}
		for e := range entries {
			var out Resolution
			out.add(e.Direct.Resolution)
			for _, host := range e.Direct.Hosts {
				if name := sources[host]; name != "" {
					out.add(names[name])
				} else if r.options.Zone(host) == "" {
					out.External = append(out.External, host)
				}
			}
			out.compact()
			e.followed = &out
		}
	}
}

// resolve returns what the live claims on a host lead to: all those of the oldest one's namespace count (C2, C3). Others add no
// target and no TTL; they decide on NoTLS only as routes on the very Gateways that the host leads to, whose owner admits both.
func (h *host) resolve() Resolution {
	out := Resolution{Winner: &h.live[0].Ref, NoTLS: true}
	var gateways []object.Ref
	for _, e := range h.live {
		if e.Namespace == out.Winner.Namespace {
			out.NoTLS = out.NoTLS && e.NoTLS
			if e.TTL != nil && (out.TTL == nil || *e.TTL < *out.TTL) {
				out.TTL = e.TTL
			}
			out.add(e.found())
			gateways = append(gateways, e.Gateways...)
		}
	}
	out.compact()
	out.NoTLS = out.NoTLS && !slices.ContainsFunc(h.live, func(e *Entry) bool {
		return e.Namespace != out.Winner.Namespace && !e.NoTLS && e.Gateways != nil && subset(e.Gateways, gateways) && out.has(e.found())
	})
	return out
}

// counts reports whether a live claim on a host counts, given what all those on it lead to.
func (e *Entry) counts(out *Resolution) bool {
	return !e.found().empty() && (e.Namespace == out.Winner.Namespace || out.has(e.found()))
}

// conclude adds the problems of a host's live claims.
func (r *Resolver) conclude(h *host) {
	if len(h.live) == 0 {
		return
	}
	out := h.resolve()
	for _, e := range h.live {
		switch {
		case e.found().empty():
			r.refuseLoop(e, h)
		case !e.counts(&out):
			h.problems = append(h.problems, e.problem(h.name, object.ReasonConflict, "host %q is refused: another namespace claimed it earlier", hostname.Plain(h.name)))
		}
	}
	if out.External == nil || len(out.Addrs)+len(out.Services) > 0 {
		return
	}
	oldest, name, alias := h.live[0], hostname.Plain(h.name), hostname.Plain(out.External[0])
	if len(out.External) > 1 { // RFC 2181 §10.1
		h.problems = append(h.problems, oldest.problem(h.name, "", "host %q has several hostnames as its addresses; only %q is answered", name, alias))
	}
	if slices.Contains(r.options.Zones, h.name) { // D27
		h.problems = append(h.problems, oldest.problem(h.name, object.ReasonNoTarget, "host %q is not served: the apex of a zone cannot be an alias of %q", name, alias))
	}
}

func (r *Resolver) refuseLoop(e *Entry, h *host) {
	h.problems = append(h.problems, r.notServed(e, h.name, fmt.Sprintf("its address %q leads back to itself, or by way of more than %d hosts", hostname.Plain(e.Direct.Hosts[0]), maxDepth))...)
}
