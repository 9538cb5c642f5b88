// Package claim decides who has which host, and where it leads: it is a pure function of what objects claim and of the
// exposed Services (C5). Nothing in it is safe for concurrent use.
package claim

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// Claim is what one object claims: each of the hosts leads to all of the targets (M1). It is
// a function of the object and the configuration alone, or for a route of what it attaches to
// as well.
type Claim struct {
	object.Targets
	Hosts    []string          // canonical; a wildcard begins with "*."
	Written  map[string]string // those that are written relative to a zone, as they are written (I10)
	NoTLS    bool              // they are known to be served without TLS alone
	Gateways []object.Ref      // of a route: the Gateways that serve them, or what has an annotation in their place
}

// maxNamespaceHosts bounds what all objects of a namespace may claim: all claims are looked at
// together, so that those of one tenant cost the others' time.
const maxNamespaceHosts = 1 << 17

// withinQuota returns the claims without those of a namespace that has too many: the oldest count (C5).
func (r *Resolver) withinQuota(claims []*Claim) []*Claim {
	hosts := map[string]int{}
	for _, c := range claims {
		hosts[c.Namespace] += len(c.Hosts)
	}
	maps.DeleteFunc(hosts, func(_ string, n int) bool { return n <= maxNamespaceHosts })
	if len(hosts) == 0 {
		return claims
	}
	within := make([]*Claim, 0, len(claims))
	crowd := map[string][]*Claim{}
	for _, c := range claims {
		if hosts[c.Namespace] == 0 {
			within = append(within, c)
		} else {
			crowd[c.Namespace] = append(crowd[c.Namespace], c)
		}
	}
	for _, claims := range crowd {
		slices.SortFunc(claims, func(a, b *Claim) int { return cmp.Or(a.Older(&b.Ref), slices.Compare(a.Hosts, b.Hosts)) })
		taken := 0
		for i, c := range claims {
			if taken += len(c.Hosts); taken > maxNamespaceHosts {
				for _, c := range claims[i:] {
					r.refuse(c, "", object.ReasonTooMany, "its hosts are refused: the objects of a namespace may claim %d, and older ones do", maxNamespaceHosts)
					r.Problems[len(r.Problems)-1].Hosts = len(c.Hosts)
				}
				break
			}
			within = append(within, c)
		}
	}
	return within
}

// AddHosts validates the hosts as they are written and adds them, each once (I10, G32).
func (c *Claim) AddHosts(written iter.Seq[string], where string) {
	c.addRelative(written, "", where, 0)
}

// addRelative is addHosts for hosts that are relative to a zone if they have no dot; to none if it is "". There are
// surplus ones beside, which were not kept.
func (c *Claim) addRelative(written iter.Seq[string], zone, where string, surplus int) {
	seen := map[string]bool{}
	flaws := 0
	for _, host := range c.Hosts {
		seen[host] = true
	}
	for item := range written {
		if len(c.Hosts)+flaws >= object.MaxHosts {
			surplus++
			continue
		}
		host, relative, err := hostname.ParseRelative(item, zone)
		switch {
		case err != nil:
			if flaws++; flaws <= object.MaxProblems {
				c.AddProblem(object.ReasonInvalid, "host %q%s is refused: %v", printable.Shorten(item), where, err)
			}
		case !seen[host]:
			seen[host] = true
			c.Hosts = append(c.Hosts, host)
			if relative {
				if c.Written == nil {
					c.Written = map[string]string{}
				}
				c.Written[host] = item
			}
		}
	}
	if more := flaws - object.MaxProblems; more > 0 {
		c.AddProblem(object.ReasonInvalid, "%d more hosts%s are refused: they are no host names either", more, where)
		c.Problems[len(c.Problems)-1].Hosts = more
	}
	c.AddSurplus(surplus, where)
}

// written returns a host in quotes, with how it is written if that is relative to a zone.
func (c *Claim) written(host string) string {
	if written := c.Written[host]; written != "" {
		return fmt.Sprintf("%q, written as %q,", hostname.Plain(host), written)
	}
	return fmt.Sprintf("%q", hostname.Plain(host))
}

// Remark adds what there is to know of a claim's wildcards.
func (c *Claim) Remark(problems []object.Problem) {
	for _, host := range c.Hosts {
		for _, p := range problems {
			if strings.HasPrefix(host, "*.") {
				p.Host, p.Text = host, fmt.Sprintf("host %q is %s", hostname.Plain(host), p.Text)
				c.Problems = append(c.Problems, p)
			}
		}
	}
}
