// Package claim decides who has which host, and where it leads: it is a pure function of what objects claim and of the
// exposed Services (C5). Nothing in it is safe for concurrent use.
package claim

import (
	"fmt"
	"iter"
	"strings"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// Claim is what one object claims: each of the hosts leads to all of the targets (M1).
type Claim struct {
	object.Targets
	Hosts    []string          // canonical; a wildcard begins with "*."
	Written  map[string]string // those that are written relative to a zone, as they are written (I10)
	NoTLS    bool              // they are known to be served without TLS alone
	TTL      *uint16           // of their records, in seconds; nil for the server's (L2)
	Gateways []object.Ref      // of a route: the Gateways that serve them, or what has an annotation in their place
}

// AddHosts validates the hosts as they are written and adds them, each once (I10, G32).
func (c *Claim) AddHosts(written iter.Seq[string], where string) {
	c.addRelative(written, "", where, 0)
}

// addRelative is AddHosts for hosts that are relative to a zone, unless it is "", if they have no dot. It adds a problem
// for surplus hosts, which were not kept.
func (c *Claim) addRelative(written iter.Seq[string], zone, where string, surplus int) {
	flaws := 0
	seen := map[string]bool{}
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

// AddRejected adds the problems of annotations that have no effect.
func (c *Claim) AddRejected(texts []string) {
	for _, text := range texts {
		c.AddProblem(object.ReasonValue, "%s", text)
	}
}

// written returns a host in quotes, also as it is written if that is relative to a zone.
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
