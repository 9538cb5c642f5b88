package source

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/client-go/tools/cache"
)

// owner is the object behind a claim.
type owner struct {
	kind            string // "Service", "Ingress" or that of a route
	namespace, name string
	created         int64 // unix seconds
}

func (o *owner) String() string { return kindName{o.kind, o.namespace, o.name}.String() }

// older orders claims by authority: the older object first, then namespace/name, then the
// kind: routes, Ingress, Service (C2).
func (o *owner) older(p *owner) int {
	switch {
	case o.created != p.created:
		if o.created < p.created {
			return -1
		}
		return 1
	case o.namespace != p.namespace || o.name != p.name:
		return strings.Compare(o.namespace+"/"+o.name, p.namespace+"/"+p.name)
	}
	return kindRank[o.kind] - kindRank[p.kind]
}

// kindRank orders the kinds of the claims of one second and one name (C2).
var kindRank = map[string]int{httpRoute: 1, grpcRoute: 2, tlsRoute: 3, "Ingress": 4, "Service": 5}

// target is what a claimed name leads to, one of the three (M1).
type target struct {
	addr    netip.Addr
	service cache.ObjectName
	host    string // canonical; a name that may turn out to be a Service's, claimed, or external (M3, M6)
}

// claim is what one object claims: each of the hosts leads to all of the targets (M1). It is
// a function of the object and the configuration alone, or for a route of what it attaches to
// as well.
type claim struct {
	lead
	hosts    []string          // canonical; a wildcard begins with "*."
	relative map[string]string // those that are written relative to a zone, as they are written (I10)
	plain    bool              // they are known to be served without TLS alone
	gateways []*lead           // of a route: the Gateways that serve them, or the annotations in their place
}

// problem is a host that is not served, or not as asked, and why.
type problem struct {
	owner  *owner
	reason reason // what it counts as; "" for what is only worth a line in the log
	host   string // the canonical host that it is about, "" for several or none
	text   string // what is wrong and what follows, without the owner
	hosts  int    // how many of its hosts that is about, 0 for one
}

// maxHosts and maxTargets bound what a single object may claim, and maxLabels the depth of a
// name: nobody needs more, and whoever asks for it must not slow down all others.
const (
	maxHosts   = 1024 // as many as the API server lets a TLSRoute have
	maxTargets = 256
	maxLabels  = 32
)

// maxNamespaceHosts bounds what all objects of a namespace may claim: all claims are looked at
// together, so that those of one tenant cost the others' time.
const maxNamespaceHosts = 1 << 17

// bounded returns the claims without those of a namespace that has too many: the oldest count (C5).
func (r *resolver) bounded(claims []*claim) []*claim {
	hosts := map[string]int{}
	for _, c := range claims {
		hosts[c.namespace] += len(c.hosts)
	}
	maps.DeleteFunc(hosts, func(_ string, n int) bool { return n <= maxNamespaceHosts })
	if len(hosts) == 0 {
		return claims
	}
	within := make([]*claim, 0, len(claims))
	crowd := map[string][]*claim{}
	for _, c := range claims {
		if hosts[c.namespace] == 0 {
			within = append(within, c)
		} else {
			crowd[c.namespace] = append(crowd[c.namespace], c)
		}
	}
	for _, claims := range crowd {
		slices.SortFunc(claims, func(a, b *claim) int { return cmp.Or(a.older(&b.owner), slices.Compare(a.hosts, b.hosts)) })
		taken := 0
		for i, c := range claims {
			if taken += len(c.hosts); taken > maxNamespaceHosts {
				for _, c := range claims[i:] {
					r.refuse(c, "", tooMany, "its hosts are refused: the objects of a namespace may claim %d, and older ones do", maxNamespaceHosts)
					r.problems[len(r.problems)-1].hosts = len(c.hosts)
				}
				break
			}
			within = append(within, c)
		}
	}
	return within
}

// addHosts validates the hosts as they are written and adds them, each once (I10, G32).
func (c *claim) addHosts(written iter.Seq[string], where string) {
	c.addRelative(written, "", where, 0)
}

// addRelative is addHosts for hosts that are relative to a zone if they have no dot; to none if it is "". There are
// surplus ones beside, which were not kept.
func (c *claim) addRelative(written iter.Seq[string], zone, where string, surplus int) {
	seen := map[string]bool{}
	flaws := 0
	for _, host := range c.hosts {
		seen[host] = true
	}
	for item := range written {
		if len(c.hosts)+flaws >= maxHosts {
			surplus++
			continue
		}
		host, relative, err := parseRelative(item, zone)
		switch {
		case err != nil:
			if flaws++; flaws <= maxFlaws {
				c.problem(invalid, "host %q%s is refused: %v", shorten(item), where, err)
			}
		case !seen[host]:
			seen[host] = true
			c.hosts = append(c.hosts, host)
			if relative {
				if c.relative == nil {
					c.relative = map[string]string{}
				}
				c.relative[host] = item
			}
		}
	}
	if more := flaws - maxFlaws; more > 0 {
		c.problem(invalid, "%d more hosts%s are refused: they are no host names either", more, where)
		c.problems[len(c.problems)-1].hosts = more
	}
	c.tooMany(surplus, where)
}

// written returns a host in quotes, with how it is written if that is relative to a zone.
func (c *claim) written(host string) string {
	if written := c.relative[host]; written != "" {
		return fmt.Sprintf("%q, written as %q,", plain(host), written)
	}
	return fmt.Sprintf("%q", plain(host))
}

// reason is the kind of a problem: what follows, and what is to be done, depends on it alone.
type reason string

// The reasons for which a claim on a host is refused, as the metric claims_rejected counts them.
const (
	conflict   reason = "conflict"    // an older claim of another namespace holds the name (C2, C3)
	reserved   reason = "reserved"    // the name belongs to the zone's structure (D17), or is nobody's: see withheld
	invalid    reason = "invalid"     // not a host name
	notAllowed reason = "not_allowed" // no claim line of the Corefile allows it (C6)
	dead       reason = "dead"        // nothing stands behind it (M2)
)

// notice is the reason of a problem that is none: the host is served, and there is something to know of it.
const notice reason = "notice"

// Reasons that count as others do.
const (
	tooMany     reason = "too_many" // hosts of an object or a namespace
	badAddress  reason = "address"  // of a status
	unlisted    reason = "unlisted" // address of a status that the property addresses does not let in (D34)
	badALPN     reason = "alpn"     // a protocol in the annotation (D51)
	badObject   reason = "object"   // not as its kind should be
	badEndpoint reason = "endpoint" // of an EndpointSlice
	withheld    reason = "withheld" // nobody's, unless a claim line says otherwise (C7)
	unread      reason = "unread"   // dead as far as can be told: it depends on a kind that cannot be read
)

// Reasons lists all values of the metric claims_rejected.
var Reasons = []string{string(conflict), string(reserved), string(invalid), string(notAllowed), string(dead)}

// counted returns the one of Reasons that the reason counts as.
func (r reason) counted() string {
	switch r {
	case tooMany, badAddress, unlisted, badALPN, badObject, badEndpoint:
		return string(invalid)
	case withheld:
		return string(reserved)
	case unread:
		return string(dead)
	}
	return string(r)
}
