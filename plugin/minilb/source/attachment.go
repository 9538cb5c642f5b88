package source

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// gatewayObjects are all those that decide which hosts the Gateways of a cluster serve.
type gatewayObjects struct {
	gateways   map[cache.ObjectName]*gateway
	classes    map[string]*gatewayClass
	sets       map[kindName]*listenerSet
	namespaces map[string]*namespace
	routes     map[kindName]*route
}

// attachment judges which listeners take a route, by the rules of the Gateway API: once more
// than their controllers have, as a status may be older than what it speaks of (G22). It is a
// pure function of the objects (C5).
type attachment struct {
	*gatewayObjects
	options *Options
	unread  map[string]bool    // kinds that the API server has and does not let us read
	losers  map[*listener]bool // of ListenerSets, by precedence; made when it is asked for
}

// parent is what a route can attach to: the listeners of a Gateway, or of one of its
// ListenerSets (G52).
type parent struct {
	kindName
	gateway   *gateway
	set       *listenerSet // nil for the Gateway's own listeners
	listeners []listener
	lead      *lead // to the Gateway's addresses, or what an annotation has in their place (M7)
}

// serving is how a host of a route is served.
type serving struct {
	leads     []*lead
	encrypted bool // by a listener with TLS, among others
}

// maxRefusals is how many of a route's parents are spoken of.
const maxRefusals = 3

// claims returns what a route claims: each of its hosts leads to the Gateways that have a
// listener for it. Hosts that lead to different ones are in claims of their own (G30, G43, C4).
func (a *attachment) claims(r *route) []*claim {
	if r.problems != nil {
		return []*claim{{lead: lead{owner: r.owner(r.kind), problems: r.problems}}}
	}
	served := map[string]*serving{}
	var refusals []string
	for _, ref := range a.parents(r) {
		p, why := a.parent(ref.kindName)
		if p != nil {
			if why = a.accepted(r, ref, p); why == "" {
				why = a.attach(r, ref, p, served)
			}
		}
		if why != "" && len(refusals) < maxRefusals && !slices.Contains(refusals, why) {
			refusals = append(refusals, why)
		}
	}
	if len(served) == 0 && refusals != nil {
		return []*claim{r.deadClaim(r.hosts, strings.Join(refusals, "; "))}
	}
	return r.claims(served)
}

// claims makes one claim of all hosts that lead to the same.
func (r *route) claims(served map[string]*serving) []*claim {
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
		c := &claim{lead: lead{owner: r.owner(r.kind)}, plain: !g.encrypted}
		why := ""
		for _, l := range g.leads {
			c.targets = append(c.targets, l.targets...)
			if len(l.targets) == 0 {
				why = l.String() + ": " + l.missing
			}
		}
		if c.targets == nil {
			c = r.deadClaim(g.hosts, why)
		} else {
			c.addHosts(slices.Values(g.hosts), "") // G32
		}
		claims = append(claims, c)
	}
	return claims
}

// deadClaim claims nothing (M2), and says why none of the hosts is served: of the first few by
// their names, as one route may have a thousand.
func (r *route) deadClaim(hosts []string, why string) *claim {
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
		c.problem(dead, "host %q is not served: %s", host, why)
		c.problems[len(c.problems)-1].host = host
	}
	if more := len(c.hosts) - named; more > 0 {
		c.problem(dead, "%d more hosts are not served: %s", more, why)
		c.problems[len(c.problems)-1].hosts = more
	}
	if len(c.hosts) == 0 {
		c.problem(dead, "it is not served: %s", why)
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

// parent finds what a reference names, or says why routes cannot attach to it. Without either
// it is nothing that we have to do with: a Service of a mesh (G10), or of another class.
func (a *attachment) parent(name kindName) (*parent, string) {
	switch name.kind {
	case gatewayKind:
		gw, why := a.gateway(name)
		if gw == nil {
			return nil, why
		}
		return &parent{kindName: name, gateway: gw, listeners: gw.listeners, lead: &gw.lead}, ""
	case listenerSetKind, xListenerSetKind:
		set := a.sets[name]
		switch {
		case set == nil:
			return nil, a.absent(name)
		case set.problems != nil:
			return nil, fmt.Sprintf("%s is not as its kind should be", name)
		}
		gw, why := a.gateway(set.parent) // G50
		if gw == nil {
			return nil, why
		}
		if why := a.detached(set, gw); why != "" {
			return nil, why
		}
		p := &parent{kindName: name, gateway: gw, set: set, listeners: set.listeners, lead: &gw.lead}
		if set.lead != nil {
			p.lead = set.lead
		}
		return p, ""
	}
	return nil, ""
}

// gateway finds a Gateway of the classes that count.
func (a *attachment) gateway(name kindName) (*gateway, string) {
	gw := a.gateways[cache.NewObjectName(name.namespace, name.name)]
	switch {
	case name.kind != gatewayKind:
		return nil, ""
	case gw == nil:
		return nil, a.absent(name)
	case gw.unreadable:
		return nil, fmt.Sprintf("%s is not as its kind should be", name)
	case len(a.options.GatewayClasses) > 0 && !slices.Contains(a.options.GatewayClasses, gw.class):
		return nil, ""
	}
	return gw, ""
}

func (a *attachment) absent(name kindName) string {
	if a.unread[strings.ToLower(name.kind)] {
		return fmt.Sprintf("%s cannot be read", name)
	}
	if len(a.options.Namespaces) > 0 && !slices.Contains(a.options.Namespaces, name.namespace) {
		return fmt.Sprintf("%s lies outside of the namespaces that are read", name)
	}
	return fmt.Sprintf("%s does not exist", name)
}

// detached returns why a ListenerSet adds nothing to its Gateway, "" if it does (G51).
func (a *attachment) detached(set *listenerSet, gw *gateway) string {
	switch {
	case !gw.sets.has(set.namespace, gw.namespace, a.labelled):
		return fmt.Sprintf("%s does not allow %s by its allowedListeners", set.parent, set.kindName())
	case !a.options.Unaccepted && set.accepted != conditionTrue:
		return fmt.Sprintf("%s is not accepted by its controller", set.kindName())
	}
	return ""
}

// attach adds the hosts that the parent's listeners have in common with the route to served.
// It returns why there are none (G11–G16, G30).
func (a *attachment) attach(r *route, ref parentRef, p *parent, served map[string]*serving) string {
	to := p.lead
	if r.lead != nil {
		to = r.lead
	}
	var last *listener // of those that are asked for
	why, attached := "", false
	for i := range p.listeners {
		l := &p.listeners[i]
		if !ref.asksFor(l) {
			continue
		}
		last = l
		if why = a.refuses(p, l, r); why != "" {
			continue
		}
		for _, host := range r.hosts {
			common := intersect(l.host, host)
			if common == "" {
				attached = attached || l.host == "" // both take any host, which is no name
				continue
			}
			attached = true
			s := served[common]
			if s == nil {
				s = &serving{}
				served[common] = s
			}
			if !slices.Contains(s.leads, to) {
				s.leads = append(s.leads, to)
			}
			s.encrypted = s.encrypted || l.protocol != gatewayv1.HTTPProtocolType
		}
	}
	switch {
	case attached:
		return ""
	case len(p.listeners) == 0:
		return fmt.Sprintf("%s has no listeners", p.kindName)
	case last == nil:
		return fmt.Sprintf("no listener of %s has the name or port that it asks for", p.kindName)
	case why == "":
		why = "has none of its hosts"
	}
	return fmt.Sprintf("listener %q of %s %s", shorten(last.name), p.kindName, why)
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
	case l.accepted == conditionFalse || l.conflicts == conditionTrue: // G18
		return "is not accepted, or conflicts with another"
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
	if ns := a.namespaces[name]; ns != nil {
		return ns.labels, true
	}
	return nil, false
}
