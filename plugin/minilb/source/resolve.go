package source

import (
	"fmt"
	"slices"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// maxDepth is how many hosts may stand on the way from a name to its addresses (M6).
const maxDepth = 8

// resolver decides what stands at each claimed name. It is a pure function of the claims and
// the exposed Services (C5).
type resolver struct {
	options  *config.Options
	asked    *questions
	partial  bool                // Services or their endpoints are not known: nothing may lead to one
	claims   map[string][]*claim // by host: those that are admitted and lead somewhere, the oldest first; once resolved, those that count
	own      map[string][]*claim // by the name of an exposed Service: those that lead to that Service alone
	direct   map[*claim]*aim
	existing map[existence]bool // all names that exist because of claims, and those above them
	problems []object.Problem
	outcomes map[string]outcome // what each host leads to, by what is found
}

// newResolver admits each claim on each of its hosts, or notes why not.
func newResolver(options *config.Options, claims []*claim, asked *questions, partial bool) *resolver {
	r := &resolver{
		options: options, asked: asked, partial: partial,
		claims: make(map[string][]*claim, len(claims)), own: map[string][]*claim{}, direct: make(map[*claim]*aim, len(claims)),
	}
	for _, c := range r.bounded(claims) {
		r.problems = append(r.problems, c.Problems...)
		r.direct[c] = r.aim(c)
		for _, host := range c.hosts {
			if own, ok := r.serviceAt(host); ok && r.direct[c].leadsTo(own) {
				r.own[host] = append(r.own[host], c) // D17: it takes nothing over that the Service does not have anyway
				continue
			}
			if refusal := r.admit(&c.Ref, host); refusal.reason != "" {
				r.refuse(c, host, refusal.reason, "host %s is refused: %s", c.written(host), refusal.text)
				continue
			}
			r.note(c, host)
			r.claims[host] = append(r.claims[host], c)
		}
	}
	for _, claims := range r.claims {
		slices.SortFunc(claims, func(a, b *claim) int { return a.Older(&b.Ref) })
	}
	r.prune()
	return r
}

// note says what there is to know of a host that a claim is admitted for.
func (r *resolver) note(c *claim, host string) {
	if written := c.relative[host]; written != "" { // I10
		r.refuse(c, host, object.ReasonNotice, "host %q has no dot, so it means %s; %q with a final dot would be the name itself", written, hostname.Plain(host), written+".")
	}
	if hostname.IsMulticast(host) && r.options.Zone(host) == "" { // C7
		r.refuse(c, host, object.ReasonNotice, "host %q %s", hostname.Plain(host), hostname.MulticastOnly)
	}
}

func (r *resolver) refuse(c *claim, host string, reason object.Reason, format string, args ...any) {
	r.problems = append(r.problems, object.Problem{Ref: &c.Ref, Host: host, Reason: reason, Text: fmt.Sprintf(format, args...)})
}

func (r *resolver) refuseDead(c *claim, host, why string) {
	if r.partial && c.Missing == "" {
		return // most likely because of what cannot be read, which is logged for itself
	}
	if r.direct[c].soon {
		return
	}
	r.refuse(c, host, object.ReasonNoTarget, "host %q is not served: %s", hostname.Plain(host), why)
}

// isExposed reports whether a target may lead to the Service.
func (r *resolver) isExposed(name cache.ObjectName) bool {
	return !r.partial && r.asked.service(name) != nil
}

// aim sorts the targets of a claim (M1, M3).
func (r *resolver) aim(c *claim) *aim {
	a := &aim{why: c.Missing}
	for _, t := range c.List {
		switch {
		case t.Addr.IsValid():
			a.addrs = append(a.addrs, t.Addr)
		case t.Host != "":
			service, ok := r.serviceAt(t.Host)
			if ok {
				a.services = append(a.services, service)
			} else {
				a.hosts = append(a.hosts, t.Host)
			}
			a.soon = a.soon || r.asked.unmerged[service]
		case r.isExposed(t.Service):
			a.services = append(a.services, t.Service)
		default:
			a.why = fmt.Sprintf("Service %s is not one of class %q that we serve", t.Service, r.options.Class)
			a.soon = a.soon || r.asked.unmerged[t.Service]
		}
	}
	return a
}

// prune drops what leads nowhere: a claim that is dead makes no name exist (M2), so that it
// cannot stand in the way of another name either. What is dead by itself goes first, then
// what leads to nothing else, until nothing does.
func (r *resolver) prune() {
	r.drop(func(c *claim) string {
		if len(r.direct[c].hosts) > 0 {
			return ""
		}
		return r.deadEnd(c)
	})
	for again := true; again; {
		r.index()
		again = r.drop(r.deadEnd)
	}
}

// drop removes the claims for which why gives a reason, and reports whether there were any.
// All are judged before the first one goes, so that their order does not matter (C5).
func (r *resolver) drop(why func(*claim) string) bool {
	dropped := false
	next := make(map[string][]*claim, len(r.claims))
	for host, claims := range r.claims {
		for _, c := range claims {
			if reason := why(c); reason != "" {
				r.refuseDead(c, host, reason)
				dropped = true
			} else {
				next[host] = append(next[host], c)
			}
		}
	}
	r.claims = next
	return dropped
}

// deadEnd returns why no target of the claim leads anywhere, "" if one may.
func (r *resolver) deadEnd(c *claim) string {
	a := r.direct[c]
	if len(a.addrs)+len(a.services) > 0 {
		return ""
	}
	why := a.why
	for _, host := range a.hosts {
		if r.options.Zone(host) == "" || r.covering(host) != "" {
			return ""
		}
		why = fmt.Sprintf("its address %q is in our zone, but nothing of ours has that name", hostname.Plain(host))
	}
	if why == "" {
		why = "it has no address"
	}
	return why
}

// hosts returns the claims that lead to other names.
func (r *resolver) hosts() []*claim {
	var followed []*claim
	for c, a := range r.direct {
		if len(a.hosts) > 0 {
			followed = append(followed, c)
		}
	}
	return followed
}

// resolve returns what each host leads to, and notes which claims do not count and why.
func (r *resolver) resolve() map[string]outcome {
	followed := r.hosts()
	found := r.follow(followed)
	for again, attempts := true, 0; again && attempts < maxDepth; attempts++ {
		again = false
		for host, claims := range r.claims {
			live := slices.IndexFunc(claims, func(c *claim) bool { return !found[c].empty() })
			for _, c := range claims[:max(live, 0)] {
				r.refuseLoop(c, host)
			}
			if live > 0 { // the oldest lead nowhere, so that they do not hold the name
				r.claims[host], again = claims[live:], true
			}
		}
		if again {
			r.index() // outside the zones it goes by who has the names (C7b)
			found = r.follow(followed)
		}
	}

	r.outcomes = make(map[string]outcome, len(r.claims))
	for host, claims := range r.claims {
		out := r.name(host, found)
		r.claims[host] = slices.DeleteFunc(claims, func(c *claim) bool {
			switch {
			case found[c].empty():
				r.refuseLoop(c, host)
			case c.Namespace != out.winner.Namespace && !out.Has(found[c]):
				r.refuse(c, host, object.ReasonConflict, "host %q is refused: another namespace claimed it earlier", hostname.Plain(host))
			default:
				return false
			}
			return true
		})
		if out = r.single(host, out); !out.empty() {
			r.outcomes[host] = out
		}
	}
	return r.outcomes
}

// follow returns what each claim leads to. Claims that lead to other hosts take one round for
// each host on the way, so that what one finds does not depend on the way that one comes, and
// a loop never gets anywhere (M6).
func (r *resolver) follow(followed []*claim) map[*claim]outcome {
	found := make(map[*claim]outcome, len(r.direct))
	for c, a := range r.direct {
		found[c] = a.outcome
	}
	if len(followed) == 0 {
		return found
	}
	covering := map[string]string{}
	for _, c := range followed {
		for _, host := range r.direct[c].hosts {
			covering[host] = r.covering(host)
		}
	}
	for range maxDepth {
		names := map[string]outcome{} // that claims lead to, as of the round before
		for _, name := range covering {
			if _, known := names[name]; !known && name != "" {
				names[name] = r.name(name, found)
			}
		}
		for _, c := range followed {
			var out outcome
			out.add(r.direct[c].outcome)
			for _, host := range r.direct[c].hosts {
				if name := covering[host]; name != "" {
					out.add(names[name])
				} else if r.options.Zone(host) == "" {
					out.external = append(out.external, host)
				}
			}
			out.compact()
			found[c] = out
		}
	}
	return found
}

// name returns what the claims on a host lead to: those of the oldest one's namespace count,
// all of them (C2, C3). Those of others that count add no target. What they say of TLS is heard only
// of routes on the very Gateways that the host leads to, whose owner lets in both: anybody else's
// would send the browsers of a host without TLS astray.
func (r *resolver) name(host string, found map[*claim]outcome) outcome {
	claims := r.claims[host]
	out := outcome{winner: &claims[0].Ref, plain: true}
	var gateways []*object.Targets
	for _, c := range claims {
		if c.Namespace == out.winner.Namespace {
			out.plain = out.plain && c.plain
			out.add(found[c])
			gateways = append(gateways, c.gateways...)
		}
	}
	out.compact()
	out.plain = out.plain && !slices.ContainsFunc(claims, func(c *claim) bool {
		return c.Namespace != out.winner.Namespace && !c.plain && c.gateways != nil && subset(c.gateways, gateways) && out.Has(found[c])
	})
	return out
}

func (r *resolver) refuseLoop(c *claim, host string) {
	r.refuseDead(c, host, fmt.Sprintf("its address %q leads back to itself, or by way of more than %d hosts", hostname.Plain(r.direct[c].hosts[0]), maxDepth))
}

// single leaves only what can stand at one name: addresses, or else one alias (G44).
func (r *resolver) single(host string, out outcome) outcome {
	switch {
	case len(out.addrs)+len(out.services) > 0:
		out.external = nil
	case len(out.external) > 1: // RFC 2181 §10.1
		r.problems = append(r.problems, object.Problem{Ref: out.winner, Host: host, Reason: "", Text: fmt.Sprintf("host %q has several hostnames as its addresses; only %q is answered", hostname.Plain(host), hostname.Plain(out.external[0]))})
		out.external = out.external[:1]
	}
	if out.external != nil && slices.Contains(r.options.Zones, host) { // D27
		r.problems = append(r.problems, object.Problem{Ref: out.winner, Host: host, Reason: object.ReasonNoTarget, Text: fmt.Sprintf("host %q is not served: the apex of a zone cannot be an alias of %q", hostname.Plain(host), hostname.Plain(out.external[0]))})
		return outcome{}
	}
	return out
}
