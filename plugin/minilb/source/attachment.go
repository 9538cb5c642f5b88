package source

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/minilb/minilb/plugin/minilb/printable"
)

// gatewayObjects are all those that decide which hosts the Gateways of a cluster serve.
type gatewayObjects struct {
	gateways   map[cache.ObjectName]*gateway
	classes    map[string]*gatewayClass
	sets       map[kindName]*listenerSet
	namespaces map[string]*namespace
	routes     map[kindName]*route
	ignored    map[kindName]bool // what is there and to be treated as absent (M8)
}

// attachment judges which listeners take a route, by the rules of the Gateway API: once more
// than their controllers have, as a status may be older than what it speaks of (G22). It is a
// pure function of the objects (C5).
type attachment struct {
	*gatewayObjects
	options *Options
	unknown map[kindName]Cause // kinds of which nothing is known, by the namespace they are read in, and why
	losers  map[*listener]bool // of ListenerSets, by precedence; made when it is asked for
}

// serving is how a host of a route is served.
type serving struct {
	leads     []*lead
	encrypted bool // by a listener with TLS, among others
}

// maxObstacles is how many of a route's parents are spoken of.
const maxObstacles = 3

// servings are how the hosts of a route are served.
type servings struct {
	byHost map[string]*serving
	met    map[string]bool // those that the route has and some listener meets
}

func newServings() *servings { return &servings{map[string]*serving{}, map[string]bool{}} }

// claims returns what a route claims: each of its hosts leads to the Gateways that have a
// listener for it. Hosts that lead to different ones are in claims of their own (G30, G43, C4).
// Those that none has are said to be dead, unless they may be meant for somebody else's Gateway.
func (a *attachment) claims(r *route) []*claim {
	if r.hosts == nil {
		return []*claim{{lead: lead{owner: r.owner(r.kind), problems: r.problems}}}
	}
	served := newServings()
	var obstacles []string
	foreign := false
	parents := a.parents(r)
	for _, ref := range parents {
		switch _, o := a.attach(r, ref, served); {
		case o == nil:
		case o.foreign():
			foreign = true
		case len(obstacles) < maxObstacles && !slices.Contains(obstacles, o.text):
			obstacles = append(obstacles, o.text)
		}
	}
	if len(parents) == 0 && r.hosts[0] != "" {
		obstacles = append(obstacles, orphaned(r))
	}
	claims := claimsOf(r, served.byHost)
	unmet := slices.DeleteFunc(slices.Clone(r.hosts), func(host string) bool { return served.met[host] })
	if len(unmet) > 0 && obstacles != nil && (claims == nil || !foreign) {
		claims = append(claims, deadClaim(r, unmet, strings.Join(obstacles, "; ")))
	}
	if r.surplus > 0 && claims != nil { // or else it is somebody else's
		c := &claim{lead: lead{owner: r.owner(r.kind)}}
		c.tooMany(r.surplus, "")
		claims = append(claims, c)
	}
	return claims
}

// orphaned says why a route that has no parents is not served.
func orphaned(r *route) string {
	if r.anywhere {
		return "it asks for the default Gateways, and no such Gateway is in its status"
	}
	return "it has no parentRefs: name the Gateway that is to serve it"
}

// claims makes one claim of all hosts that lead to the same.
func claimsOf(r *route, served map[string]*serving) []*claim {
	type group struct {
		*serving
		hosts []string
	}
	var groups []*group
	for _, host := range slices.Sorted(maps.Keys(served)) {
		s := served[host]
		i := slices.IndexFunc(groups, func(g *group) bool { return g.encrypted == s.encrypted && slices.Equal(g.leads, s.leads) })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &group{serving: s})
		}
		groups[i].hosts = append(groups[i].hosts, host)
	}
	var claims []*claim
	for _, g := range groups {
		c := &claim{lead: lead{owner: r.owner(r.kind)}, plain: !g.encrypted, gateways: g.leads}
		why := ""
		for _, l := range g.leads {
			c.targets = append(c.targets, l.targets...)
			if len(l.targets) == 0 {
				why = l.String() + ": " + l.missing
			}
		}
		if c.targets == nil {
			c = deadClaim(r, g.hosts, why)
		} else {
			c.addHosts(slices.Values(g.hosts), "") // G32
			c.remark(r.problems)
		}
		claims = append(claims, c)
	}
	return claims
}

// remark adds what there is to know of a claim's wildcards.
func (c *claim) remark(problems []problem) {
	for _, host := range c.hosts {
		for _, p := range problems {
			if strings.HasPrefix(host, "*.") {
				p.host, p.text = host, fmt.Sprintf("host %q is %s", plain(host), p.text)
				c.problems = append(c.problems, p)
			}
		}
	}
}

// deadClaim claims nothing (M2), and says why none of the hosts is served: of the first few by
// their names, as one route may have a thousand.
func deadClaim(r *route, hosts []string, why string) *claim {
	c := &claim{lead: lead{owner: r.owner(r.kind)}}
	c.addHosts(func(yield func(string) bool) {
		for _, host := range hosts {
			if host != "" && !yield(host) {
				return
			}
		}
	}, "")
	named := len(c.hosts)
	if named > maxLines {
		named = maxLines - 1
	}
	for _, host := range c.hosts[:named] {
		c.problem(ReasonNoTarget, "host %q is not served: %s", plain(host), why)
		c.problems[len(c.problems)-1].host = host
	}
	if more := len(c.hosts) - named; more > 0 {
		c.problem(ReasonNoTarget, "%d more hosts are not served: %s", more, why)
		c.problems[len(c.problems)-1].hosts = more
	}
	if len(c.hosts) == 0 {
		c.problem(ReasonNoTarget, "it is not served: %s", why)
	}
	c.hosts = nil
	return c
}

// parents returns the references of a route, and those that only its status has, as
// controllers write them of a route that asked for the default Gateways (G19).
func (a *attachment) parents(r *route) []parentRef {
	if !r.anywhere {
		return r.parents
	}
	parents := slices.Clone(r.parents)
	for _, v := range r.verdicts {
		gw := a.gateways[cache.NewObjectName(v.parent.namespace, v.parent.name)]
		if v.parent.kind == gatewayKind && gw != nil && gw.standard && !slices.Contains(parents, v.parent) {
			parents = append(parents, v.parent)
		}
	}
	return parents
}

// attach adds the hosts that the parent's listeners have in common with the route to served, and
// reports whether there are any, or could be. It returns what keeps the route, or some of its hosts,
// from the parent (G11–G16, G30).
func (a *attachment) attach(r *route, ref parentRef, served *servings) (attached bool, o *obstacle) {
	p, o := a.parent(ref.kindName)
	if o == nil {
		o = a.accepted(r, ref, p)
	}
	if o != nil {
		return false, o
	}
	to := p.lead
	if r.lead != nil {
		to = r.lead
	}
	asked, takers, refusers := false, []*listener{}, []*listener{}
	for i := range p.listeners {
		switch l := &p.listeners[i]; {
		case !ref.asksFor(l):
			continue
		case a.refuses(p, l, r) == "":
			takers = append(takers, l)
		default:
			refusers = append(refusers, l)
		}
		asked = true
	}
	var unmet []string
	for _, host := range r.hosts {
		meets := false
		for _, l := range takers {
			common := intersect(l.host, host)
			if common != "" {
				served.add(common, to, l)
			}
			meets = meets || common != "" || l.host == host // both take any host, which is no name
		}
		if meets {
			served.met[host] = true
		} else {
			unmet = append(unmet, host)
		}
	}
	switch {
	case len(unmet) == 0:
		return true, nil
	case len(p.listeners) == 0:
		return false, obstruct(CauseNoListener, "%s has no listeners", p.kindName)
	case !asked:
		return false, obstruct(CauseNoListener, "no listener of %s has the name or port that it asks for", p.kindName)
	}
	return len(unmet) < len(r.hosts), a.unmet(r, p, unmet, takers, refusers)
}

// unmet says why no listener of a parent serves some hosts: one has them and refuses the route, or none
// has them.
func (a *attachment) unmet(r *route, p *parent, hosts []string, takers, refusers []*listener) *obstacle {
	var last *listener
	for _, l := range refusers {
		meets := func(host string) bool { return intersect(l.host, host) != "" || l.host == host }
		if (l.takes(r.kind) || last == nil && len(takers) == 0) && slices.ContainsFunc(hosts, meets) {
			last = l
		}
	}
	switch {
	case last == nil && len(takers) > 0:
		return p.lacks(takers)
	case last == nil:
		last = refusers[len(refusers)-1]
	}
	return obstruct(CauseNotTaken, "listener %q of %s %s", printable.Shorten(last.name), p.kindName, a.refuses(p, last, r))
}

// lacks says that the listeners that take a route have other hostnames than it.
func (p *parent) lacks(takers []*listener) *obstacle {
	var has []string
	for _, l := range takers[:min(maxObstacles, len(takers))] {
		has = append(has, fmt.Sprintf("%q has %s", printable.Shorten(l.name), printable.Legible(printable.Shorten(l.host))))
	}
	if more := len(takers) - len(has); more > 0 {
		has = append(has, fmt.Sprintf("and %d more", more))
	}
	return obstruct(CauseOtherHosts, "no listener of %s has a hostname for it: %s", p.kindName, strings.Join(has, ", "))
}

// add lets a host lead to what a listener's parent does.
func (s *servings) add(host string, to *lead, by *listener) {
	at := s.byHost[host]
	if at == nil {
		at = &serving{}
		s.byHost[host] = at
	}
	if !slices.Contains(at.leads, to) {
		at.leads = append(at.leads, to)
	}
	at.encrypted = at.encrypted || by.protocol != gatewayv1.HTTPProtocolType
}

// asksFor reports whether the reference is to the listener, among others (G11).
func (ref *parentRef) asksFor(l *listener) bool {
	return (ref.section == "" || l.name == ref.section) && (ref.port == 0 || l.port == ref.port)
}

// refuses returns why a listener does not take the route, "" if it does.
func (a *attachment) refuses(p *parent, l *listener, r *route) string {
	own := p.gateway.namespace
	if p.set != nil {
		own = p.set.namespace
	}
	switch {
	case !l.takes(r.kind):
		return fmt.Sprintf("takes no %s", r.kind)
	case !l.routes.has(r.namespace, own, a.labelled):
		return fmt.Sprintf("allows no routes of namespace %q", r.namespace)
	case l.accepted == conditionFalse: // G18
		return "is refused by the Gateway's controller"
	case l.conflicts == conditionTrue:
		return "conflicts with another"
	case p.set == nil:
		return ""
	case !a.options.Unaccepted && l.accepted != conditionTrue: // G51
		return "is not accepted yet"
	case a.options.Unaccepted && l.accepted == "" && a.superseded(p, l):
		return "conflicts with an older one"
	}
	return ""
}

// labelled returns the labels of a namespace, if it is known (G16).
func (a *attachment) labelled(name string) (labels.Set, bool) {
	if ns := a.namespaces[name]; ns != nil && ns.labels != nil {
		return ns.labels, true
	}
	return nil, false
}
