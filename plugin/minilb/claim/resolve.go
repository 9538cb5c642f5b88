package claim

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

// Resolver decides what stands at each claimed name. It is a pure function of the claims and
// the exposed Services (C5).
type Resolver struct {
	options  *config.Options
	services Services
	partial  bool                // Services or their endpoints are not known: nothing may lead to one
	Claims   map[string][]*Claim // by host: those that are admitted and lead somewhere, the oldest first; once resolved, those that count
	Own      map[string][]*Claim // by the name of an exposed Service: those that lead to that Service alone
	Direct   map[*Claim]*resolvedTargets
	existing map[existence]bool // all names that exist because of claims, and those above them
	Problems []object.Problem
	Outcomes map[string]Resolution // what each host leads to, by what is found
}

// NewResolver admits each claim on each of its hosts, or notes why not.
func NewResolver(options *config.Options, claims []*Claim, services Services, partial bool) *Resolver {
	r := &Resolver{
		options: options, services: services, partial: partial,
		Claims: make(map[string][]*Claim, len(claims)), Own: map[string][]*Claim{}, Direct: make(map[*Claim]*resolvedTargets, len(claims)),
	}
	for _, c := range r.withinQuota(claims) {
		r.Problems = append(r.Problems, c.Problems...)
		r.Direct[c] = r.aim(c)
		for _, host := range c.Hosts {
			if own, ok := r.ServiceAt(host); ok && r.Direct[c].leadsTo(own) {
				r.Own[host] = append(r.Own[host], c) // D17: it takes nothing over that the Service does not have anyway
				continue
			}
			if refusal := r.Admit(&c.Ref, host); refusal.Reason != "" {
				r.refuse(c, host, refusal.Reason, "host %s is refused: %s", c.written(host), refusal.text)
				continue
			}
			r.note(c, host)
			r.Claims[host] = append(r.Claims[host], c)
		}
	}
	for _, claims := range r.Claims {
		slices.SortFunc(claims, func(a, b *Claim) int { return a.Older(&b.Ref) })
	}
	r.prune()
	return r
}

// note says what there is to know of a host that a claim is admitted for.
func (r *Resolver) note(c *Claim, host string) {
	if written := c.Written[host]; written != "" { // I10
		r.refuse(c, host, object.ReasonNotice, "host %q has no dot, so it means %s; %q with a final dot would be the name itself", written, hostname.Plain(host), written+".")
	}
	if hostname.IsMulticast(host) && r.options.Zone(host) == "" { // C7
		r.refuse(c, host, object.ReasonNotice, "host %q %s", hostname.Plain(host), hostname.MulticastOnly)
	}
}

func (r *Resolver) refuse(c *Claim, host string, reason object.Reason, format string, args ...any) {
	r.Problems = append(r.Problems, object.Problem{Ref: &c.Ref, Host: host, Reason: reason, Text: fmt.Sprintf(format, args...)})
}

func (r *Resolver) refuseDead(c *Claim, host, why string) {
	if r.partial && c.Missing == "" {
		return // most likely because of what cannot be read, which is logged for itself
	}
	if r.Direct[c].soon {
		return
	}
	r.refuse(c, host, object.ReasonNoTarget, "host %q is not served: %s", hostname.Plain(host), why)
}

// isExposed reports whether a target may lead to the Service.
func (r *Resolver) isExposed(name cache.ObjectName) bool {
	return !r.partial && r.services.Exposed(name)
}

// aim sorts the targets of a claim (M1, M3).
func (r *Resolver) aim(c *Claim) *resolvedTargets {
	a := &resolvedTargets{why: c.Missing}
	for _, t := range c.List {
		switch {
		case t.Addr.IsValid():
			a.Addrs = append(a.Addrs, t.Addr)
		case t.Host != "":
			service, ok := r.ServiceAt(t.Host)
			if ok {
				a.Services = append(a.Services, service)
			} else {
				a.Hosts = append(a.Hosts, t.Host)
			}
			a.soon = a.soon || r.services.Pending(service)
		case r.isExposed(t.Service):
			a.Services = append(a.Services, t.Service)
		default:
			a.why = fmt.Sprintf("Service %s is not one of class %q that we serve", t.Service, r.options.Class)
			a.soon = a.soon || r.services.Pending(t.Service)
		}
	}
	return a
}

// prune drops what leads nowhere: a claim that is dead makes no name exist (M2), so that it
// cannot stand in the way of another name either. What is dead by itself goes first, then
// what leads to nothing else, until nothing does.
func (r *Resolver) prune() {
	r.drop(func(c *Claim) string {
		if len(r.Direct[c].Hosts) > 0 {
			return ""
		}
		return r.noTarget(c)
	})
	for again := true; again; {
		r.index()
		again = r.drop(r.noTarget)
	}
}

// drop removes the claims for which why gives a reason, and reports whether there were any.
// All are judged before the first one goes, so that their order does not matter (C5).
func (r *Resolver) drop(why func(*Claim) string) bool {
	dropped := false
	next := make(map[string][]*Claim, len(r.Claims))
	for host, claims := range r.Claims {
		for _, c := range claims {
			if reason := why(c); reason != "" {
				r.refuseDead(c, host, reason)
				dropped = true
			} else {
				next[host] = append(next[host], c)
			}
		}
	}
	r.Claims = next
	return dropped
}

// noTarget returns why no target of the claim leads anywhere, "" if one may.
func (r *Resolver) noTarget(c *Claim) string {
	a := r.Direct[c]
	if len(a.Addrs)+len(a.Services) > 0 {
		return ""
	}
	why := a.why
	for _, host := range a.Hosts {
		if r.options.Zone(host) == "" || r.SourceOfSynthesis(host) != "" {
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
func (r *Resolver) hosts() []*Claim {
	var followed []*Claim
	for c, a := range r.Direct {
		if len(a.Hosts) > 0 {
			followed = append(followed, c)
		}
	}
	return followed
}

// Resolve returns what each host leads to, and notes which claims do not count and why.
func (r *Resolver) Resolve() map[string]Resolution {
	followed := r.hosts()
	found := r.follow(followed)
	for again, attempts := true, 0; again && attempts < maxDepth; attempts++ {
		again = false
		for host, claims := range r.Claims {
			live := slices.IndexFunc(claims, func(c *Claim) bool { return !found[c].empty() })
			for _, c := range claims[:max(live, 0)] {
				r.refuseLoop(c, host)
			}
			if live > 0 { // the oldest lead nowhere, so that they do not hold the name
				r.Claims[host], again = claims[live:], true
			}
		}
		if again {
			r.index() // outside the zones it goes by who has the names (C7b)
			found = r.follow(followed)
		}
	}

	r.Outcomes = make(map[string]Resolution, len(r.Claims))
	for host, claims := range r.Claims {
		out := r.name(host, found)
		r.Claims[host] = slices.DeleteFunc(claims, func(c *Claim) bool {
			switch {
			case found[c].empty():
				r.refuseLoop(c, host)
			case c.Namespace != out.Winner.Namespace && !out.Has(found[c]):
				r.refuse(c, host, object.ReasonConflict, "host %q is refused: another namespace claimed it earlier", hostname.Plain(host))
			default:
				return false
			}
			return true
		})
		if out = r.single(host, out); !out.empty() {
			r.Outcomes[host] = out
		}
	}
	return r.Outcomes
}

// follow returns what each claim leads to. Claims that lead to other hosts take one round for
// each host on the way, so that what one finds does not depend on the way that one comes, and
// a loop never gets anywhere (M6).
func (r *Resolver) follow(followed []*Claim) map[*Claim]Resolution {
	found := make(map[*Claim]Resolution, len(r.Direct))
	for c, a := range r.Direct {
		found[c] = a.Resolution
	}
	if len(followed) == 0 {
		return found
	}
	covering := map[string]string{}
	for _, c := range followed {
		for _, host := range r.Direct[c].Hosts {
			covering[host] = r.SourceOfSynthesis(host)
		}
	}
	for range maxDepth {
		names := map[string]Resolution{} // that claims lead to, as of the round before
		for _, name := range covering {
			if _, known := names[name]; !known && name != "" {
				names[name] = r.name(name, found)
			}
		}
		for _, c := range followed {
			var out Resolution
			out.add(r.Direct[c].Resolution)
			for _, host := range r.Direct[c].Hosts {
				if name := covering[host]; name != "" {
					out.add(names[name])
				} else if r.options.Zone(host) == "" {
					out.External = append(out.External, host)
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
func (r *Resolver) name(host string, found map[*Claim]Resolution) Resolution {
	claims := r.Claims[host]
	out := Resolution{Winner: &claims[0].Ref, NoTLS: true}
	var gateways []object.Ref
	for _, c := range claims {
		if c.Namespace == out.Winner.Namespace {
			out.NoTLS = out.NoTLS && c.NoTLS
			out.add(found[c])
			gateways = append(gateways, c.Gateways...)
		}
	}
	out.compact()
	out.NoTLS = out.NoTLS && !slices.ContainsFunc(claims, func(c *Claim) bool {
		return c.Namespace != out.Winner.Namespace && !c.NoTLS && c.Gateways != nil && subset(c.Gateways, gateways) && out.Has(found[c])
	})
	return out
}

func (r *Resolver) refuseLoop(c *Claim, host string) {
	r.refuseDead(c, host, fmt.Sprintf("its address %q leads back to itself, or by way of more than %d hosts", hostname.Plain(r.Direct[c].Hosts[0]), maxDepth))
}

// single leaves only what can stand at one name: addresses, or else one alias (G44).
func (r *Resolver) single(host string, out Resolution) Resolution {
	switch {
	case len(out.Addrs)+len(out.Services) > 0:
		out.External = nil
	case len(out.External) > 1: // RFC 2181 §10.1
		r.Problems = append(r.Problems, object.Problem{Ref: out.Winner, Host: host, Reason: "", Text: fmt.Sprintf("host %q has several hostnames as its addresses; only %q is answered", hostname.Plain(host), hostname.Plain(out.External[0]))})
		out.External = out.External[:1]
	}
	if out.External != nil && slices.Contains(r.options.Zones, host) { // D27
		r.Problems = append(r.Problems, object.Problem{Ref: out.Winner, Host: host, Reason: object.ReasonNoTarget, Text: fmt.Sprintf("host %q is not served: the apex of a zone cannot be an alias of %q", hostname.Plain(host), hostname.Plain(out.External[0]))})
		return Resolution{}
	}
	return out
}
