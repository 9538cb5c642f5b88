package gateway

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// serving is how a host of a route is served.
type serving struct {
	targets   []*object.Targets
	encrypted bool // by a listener with TLS, among others
}

// maxObstacles is how many of a route's parents, listeners or statuses are named.
const maxObstacles = 3

// servings are how the hosts of a route are served.
type servings struct {
	byHost map[string]*serving
	met    map[string]bool // those that the route has and some listener meets
}

func newServings() *servings { return &servings{map[string]*serving{}, map[string]bool{}} }

// claimsOf returns what a route claims: each host leads to the Gateways that have a listener for it; hosts that lead to
// different ones are in claims of their own (G30, G43, C4). Hosts that none has are a problem, unless they may be meant for
// somebody else's Gateway.
func (rs *Routes) claimsOf(r *object.Route) []*claim.Claim {
	if r.Hosts == nil {
		return []*claim.Claim{{Targets: object.Targets{Ref: r.Ref(r.Kind), Problems: r.Problems}}}
	}
	served := newServings()
	var obstacles []string
	notOurs := false
	parents := rs.parents(r)
	for _, ref := range parents {
		switch _, o := rs.attach(r, ref, served); {
		case o == nil:
		case o.notOurs():
			notOurs = true
		case len(obstacles) < maxObstacles && !slices.Contains(obstacles, o.text):
			obstacles = append(obstacles, o.text)
		}
	}
	switch {
	case len(parents) > 0 || r.Hosts[0] == "":
	case r.UseDefaultGateways:
		obstacles = append(obstacles, "it asks for the default Gateways, and no such Gateway is in its status")
	default:
		obstacles = append(obstacles, "it has no parentRefs: name the Gateway that is to serve it")
	}
	claims := groupByTargets(r, served.byHost)
	unmet := slices.DeleteFunc(slices.Clone(r.Hosts), func(host string) bool { return served.met[host] })
	if len(unmet) > 0 && obstacles != nil && (claims == nil || !notOurs) {
		claims = append(claims, unservedClaim(r, unmet, strings.Join(obstacles, "; ")))
	}
	if (r.Surplus > 0 || r.Rejected != nil) && claims != nil { // or else it is somebody else's
		c := &claim.Claim{Targets: object.Targets{Ref: r.Ref(r.Kind)}}
		c.AddSurplus(r.Surplus, "")
		c.AddRejected(r.Rejected)
		claims = append(claims, c)
	}
	return claims
}

// groupByTargets makes one claim of all hosts that lead to the same.
func groupByTargets(r *object.Route, served map[string]*serving) []*claim.Claim {
	type group struct {
		*serving
		hosts []string
	}
	var groups []*group
	for _, host := range slices.Sorted(maps.Keys(served)) {
		s := served[host]
		i := slices.IndexFunc(groups, func(g *group) bool { return g.encrypted == s.encrypted && slices.Equal(g.targets, s.targets) })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &group{serving: s})
		}
		groups[i].hosts = append(groups[i].hosts, host)
	}
	var claims []*claim.Claim
	for _, g := range groups {
		c := &claim.Claim{Targets: object.Targets{Ref: r.Ref(r.Kind)}, NoTLS: !g.encrypted, TTL: r.TTL}
		why := ""
		for _, l := range g.targets {
			c.Gateways = append(c.Gateways, l.Ref)
			c.List = append(c.List, l.List...)
			if len(l.List) == 0 {
				why = l.String() + ": " + l.Missing
			}
		}
		if c.List == nil {
			c = unservedClaim(r, g.hosts, why)
		} else {
			c.AddHosts(slices.Values(g.hosts), "") // G32
			c.Remark(r.Problems)
		}
		claims = append(claims, c)
	}
	return claims
}

// unservedClaim returns a claim without hosts (M2), with why none of them is served: for the first few by name, as one
// route may have a thousand.
func unservedClaim(r *object.Route, hosts []string, why string) *claim.Claim {
	c := &claim.Claim{Targets: object.Targets{Ref: r.Ref(r.Kind)}}
	c.AddHosts(slices.Values(slices.DeleteFunc(slices.Clone(hosts), func(host string) bool { return host == "" })), "")
	named := len(c.Hosts)
	if named > object.MaxLines {
		named = object.MaxLines - 1
	}
	for _, host := range c.Hosts[:named] {
		c.AddProblem(object.ReasonNoTarget, "host %q is not served: %s", hostname.Plain(host), why)
		c.Problems[len(c.Problems)-1].Host = host
	}
	if more := len(c.Hosts) - named; more > 0 {
		c.AddProblem(object.ReasonNoTarget, "%d more hosts are not served: %s", more, why)
		c.Problems[len(c.Problems)-1].Hosts = more
	}
	if len(c.Hosts) == 0 {
		c.AddProblem(object.ReasonNoTarget, "it is not served: %s", why)
	}
	c.Hosts = nil
	return c
}

// parents returns the references of a route, and those that only its status has if it asked for the default Gateways (G19).
func (rs *Routes) parents(r *object.Route) []object.ParentRef {
	if !r.UseDefaultGateways {
		return r.Parents
	}
	parents := slices.Clone(r.Parents)
	for _, v := range r.Statuses {
		gw := rs.gateways[v.Parent.KindName]
		if gw != nil && gw.IsDefault && !slices.Contains(parents, v.Parent) {
			parents = append(parents, v.Parent)
		}
	}
	return parents
}

// attach adds the hosts that the parent's listeners have in common with the route to served, and reports whether there are
// any, or could be. It returns the obstacle to the route or to some of its hosts (G11–G16, G30).
func (rs *Routes) attach(r *object.Route, ref object.ParentRef, served *servings) (attached bool, o *obstacle) {
	p, o := rs.parent(ref.KindName)
	if o == nil {
		o = rs.accepted(r, ref, p)
	}
	if o != nil {
		return false, o
	}
	to := cmp.Or(r.Targets, p.targets)
	var accepting, rejecting []*object.Listener
	for i := range p.listeners {
		switch l := &p.listeners[i]; {
		case !ref.Matches(l):
			continue
		case rs.rejects(p, l, r) == "":
			accepting = append(accepting, l)
		default:
			rejecting = append(rejecting, l)
		}
	}
	var unmet []string
	for _, host := range r.Hosts {
		meets := false
		for _, l := range accepting {
			common := hostname.Intersect(l.Host, host)
			if common != "" {
				served.add(common, to, l)
			}
			meets = meets || common != "" || l.Host == host // both take any host, which is no name
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
		return false, obstruct(CauseNoListener, "%s has no listeners", p.KindName)
	case len(accepting)+len(rejecting) == 0:
		return false, obstruct(CauseNoListener, "no listener of %s has the name or port that it asks for", p.KindName)
	}
	return len(unmet) < len(r.Hosts), rs.unmet(r, p, unmet, accepting, rejecting)
}

// unmet returns why no listener of a parent serves some hosts: one has them and rejects the route, or none has them.
func (rs *Routes) unmet(r *object.Route, p *parent, hosts []string, accepting, rejecting []*object.Listener) *obstacle {
	var last *object.Listener
	for _, l := range rejecting {
		meets := func(host string) bool { return hostname.Intersect(l.Host, host) != "" || l.Host == host }
		if (l.AllowsKind(r.Kind) || last == nil && len(accepting) == 0) && slices.ContainsFunc(hosts, meets) {
			last = l
		}
	}
	switch {
	case last == nil && len(accepting) > 0:
		return p.otherHosts(accepting)
	case last == nil:
		last = rejecting[len(rejecting)-1]
	}
	return obstruct(CauseNotTaken, "listener %q of %s %s", printable.Shorten(last.Name), p.KindName, rs.rejects(p, last, r))
}

func (p *parent) otherHosts(accepting []*object.Listener) *obstacle {
	var has []string
	for _, l := range accepting[:min(maxObstacles, len(accepting))] {
		has = append(has, fmt.Sprintf("%q has %s", printable.Shorten(l.Name), printable.Legible(printable.Shorten(l.Host))))
	}
	if more := len(accepting) - len(has); more > 0 {
		has = append(has, fmt.Sprintf("and %d more", more))
	}
	return obstruct(CauseOtherHosts, "no listener of %s has a hostname for it: %s", p.KindName, strings.Join(has, ", "))
}

// add makes a host lead to a listener's targets.
func (s *servings) add(host string, to *object.Targets, by *object.Listener) {
	at := s.byHost[host]
	if at == nil {
		at = &serving{}
		s.byHost[host] = at
	}
	if !slices.Contains(at.targets, to) {
		at.targets = append(at.targets, to)
	}
	at.encrypted = at.encrypted || by.Protocol != gatewayv1.HTTPProtocolType
}

// rejects returns why a listener does not accept the route, "" if it does.
func (rs *Routes) rejects(p *parent, l *object.Listener, r *object.Route) string {
	own := p.gateway.Namespace
	if p.set != nil {
		own = p.set.Namespace
	}
	switch {
	case !l.AllowsKind(r.Kind):
		return fmt.Sprintf("takes no %s", r.Kind)
	case !l.AllowedRoutes.Selects(r.Namespace, own, rs.labelled):
		return fmt.Sprintf("allows no routes of namespace %q", r.Namespace)
	case l.Accepted == object.ConditionFalse: // G18
		return "is refused by the Gateway's controller"
	case l.Conflicts == object.ConditionTrue:
		return "conflicts with another"
	case p.set == nil:
		return ""
	case !rs.options.IgnoreAccepted && l.Accepted != object.ConditionTrue: // G51
		return "is not accepted yet"
	case rs.options.IgnoreAccepted && l.Accepted == "" && rs.superseded(l):
		return "conflicts with an older one"
	}
	return ""
}

// labelled returns the labels of a namespace, if it is known (G16).
func (rs *Routes) labelled(name string) (labels.Set, bool) {
	if ns := rs.namespaces[namespaceNamed(name)]; ns != nil && ns.Labels != nil {
		return ns.Labels, true
	}
	return nil, false
}
