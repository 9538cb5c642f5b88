package source

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"k8s.io/client-go/tools/cache"
)

const (
	maxDepth = 8   // hosts on the way from a name to its addresses (M6)
	maxSteps = 256 // hosts looked at for one name: nobody needs more, and a tangle of many could take forever
)

// resolver decides what stands at each claimed name. It is a pure function of the claims and
// the exposed Services (C5): each name is resolved by itself, whatever was resolved before.
type resolver struct {
	options  *Options
	exposed  func(cache.ObjectName) bool
	claims   map[string][]*claim // by host, only admitted ones, the oldest first
	existing map[string]bool     // names above claimed ones, made when first needed
	problems []problem
}

// outcome is what a name leads to.
type outcome struct {
	winner   *owner // the oldest owner of the claims that count
	addrs    []netip.Addr
	services []cache.ObjectName
	external []string // canonical names that are not ours
}

func (o *outcome) empty() bool { return len(o.addrs)+len(o.services)+len(o.external) == 0 }

func (o *outcome) add(p outcome) {
	o.addrs = append(o.addrs, p.addrs...)
	o.services = append(o.services, p.services...)
	o.external = append(o.external, p.external...)
}

// newResolver admits each claim on each of its hosts, or notes why not.
func newResolver(options *Options, claims []*claim, exposed func(cache.ObjectName) bool) *resolver {
	r := &resolver{options: options, exposed: exposed, claims: make(map[string][]*claim, len(claims))}
	for _, c := range claims {
		r.problems = append(r.problems, c.problems...)
		for i, host := range c.hosts {
			if slices.Contains(c.hosts[:i], host) {
				continue
			}
			if own, ok := options.serviceAt(host); ok && len(c.targets) == 1 && c.targets[0].service == own && exposed(own) {
				continue // a Service that claims the name it has anyway
			}
			if refusal := options.admit(&c.owner, host, exposed); refusal.reason != "" {
				r.refuse(c, refusal.reason, "host %q is refused: %s", host, refusal.text)
				continue
			}
			r.claims[host] = append(r.claims[host], c)
		}
	}
	for _, claims := range r.claims {
		slices.SortFunc(claims, func(a, b *claim) int { return a.older(&b.owner) })
	}
	return r
}

func (r *resolver) refuse(c *claim, reason reason, format string, args ...any) {
	r.problems = append(r.problems, problem{&c.owner, reason, fmt.Sprintf(format, args...)})
}

// resolve returns what host leads to, and notes which claims on it do not count and why.
func (r *resolver) resolve(host string) outcome {
	steps := 0
	out := r.follow(host, []string{host}, &steps, true)
	if len(out.addrs)+len(out.services) > 0 {
		out.external = nil // G44: an alias cannot stand beside addresses
	}
	if len(out.external) > 1 { // RFC 2181 §10.1: nor beside another
		slices.Sort(out.external)
		out.external = slices.Compact(out.external)
		if len(out.external) > 1 {
			r.problems = append(r.problems, problem{out.winner, "", fmt.Sprintf("host %q has several hostnames as its addresses; only %q is answered", host, out.external[0])})
		}
		out.external = out.external[:1]
	}
	if out.external != nil && host == r.options.zone(host) { // D27
		r.problems = append(r.problems, problem{out.winner, dead, fmt.Sprintf("host %q is not served: the apex of a zone cannot be an alias of %q", host, out.external[0])})
		return outcome{}
	}
	return out
}

// follow resolves host, which stands at the end of path. Of the live claims on it, those of
// the oldest one's namespace count, all of them (C2, C3).
func (r *resolver) follow(host string, path []string, steps *int, report bool) outcome {
	var out outcome
	for _, c := range r.claims[host] {
		if out.winner != nil && c.namespace != out.winner.namespace && !report {
			continue
		}
		found, why := r.aim(c, path, steps)
		switch {
		case found.empty():
			if report {
				r.refuse(c, dead, "host %q is not served: %s", host, why)
			}
		case out.winner == nil:
			out.winner = &c.owner
			out.add(found)
		case c.namespace == out.winner.namespace:
			out.add(found)
		case report:
			r.refuse(c, conflict, "host %q is refused: another namespace claimed it earlier", host)
		}
	}
	return out
}

// aim returns what the targets of a claim lead to, and if that is nothing, why.
func (r *resolver) aim(c *claim, path []string, steps *int) (out outcome, why string) {
	why = c.missing
	for _, t := range c.targets {
		switch {
		case t.addr.IsValid():
			out.addrs = append(out.addrs, t.addr)
		case t.host == "":
			if !r.exposed(t.service) {
				why = fmt.Sprintf("Service %s is not one of class %q that we serve", t.service, r.options.Class)
				continue
			}
			out.services = append(out.services, t.service)
		default:
			found, problem := r.chase(t.host, path, steps)
			if found.empty() {
				why = problem
			}
			out.add(found)
		}
	}
	return out, why
}

// chase resolves a hostname that stands in place of an address (M3, M6).
func (r *resolver) chase(host string, path []string, steps *int) (out outcome, why string) {
	if service, ok := r.options.serviceAt(host); ok && r.exposed(service) {
		return outcome{services: []cache.ObjectName{service}}, ""
	}
	claimed := r.covering(host)
	switch *steps++; {
	case claimed == "" && r.options.zone(host) != "":
		return outcome{}, fmt.Sprintf("its address %q is in our zone, but nothing of ours has that name", host)
	case claimed == "":
		return outcome{external: []string{host}}, ""
	case slices.Contains(path, claimed):
		return outcome{}, fmt.Sprintf("its address %q leads back to itself", host)
	case len(path) > maxDepth || *steps > maxSteps:
		return outcome{}, fmt.Sprintf("its address %q is the name of another host, and so on for more than %d hosts", host, maxDepth)
	}
	out = r.follow(claimed, append(slices.Clip(path), claimed), steps, false)
	if out.empty() {
		why = fmt.Sprintf("its address %q is the name of a host that is not served", host)
	}
	out.winner = nil
	return out, why
}

// covering returns the claimed name, possibly a wildcard, that covers host, or "" (D10).
func (r *resolver) covering(host string) string {
	if len(r.claims[host]) > 0 {
		return host
	}
	if r.existing == nil {
		r.existing = map[string]bool{}
		for name := range r.claims {
			for parent := name; parent != "" && !r.existing[parent]; {
				r.existing[parent] = true
				_, parent, _ = strings.Cut(parent, ".") // claimed names have no escapes
			}
		}
	}
	for offset, end := dns.NextLabel(host, 0); !end; offset, end = dns.NextLabel(host, offset) {
		encloser := host[offset:]
		if wildcard := "*." + encloser; len(r.claims[wildcard]) > 0 {
			return wildcard
		}
		if r.existing[encloser] {
			return ""
		}
	}
	return ""
}
