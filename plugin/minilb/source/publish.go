package source

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/gateway"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// publication is what a Translator has put into its index, but for the Services' own names.
type publication struct {
	partial  bool                     // Services or their endpoints were not known
	hosts    map[string]*records.Node // what stands where claims are and no Service is; what resolver.enclosers has where there are none
	asked    *questions               // what that depends on
	unions   map[string]*union        // by what is in them
	names    map[string]int           // how many hosts there are, by the kind of object
	unheard  int                      // how many of them cannot be asked for
	problems []object.Problem         // of the claims
	rejected map[string]int           // how many of these there are, by reason
	damages  int                      // how many problems of slices were reported beside them
}

// publish puts the names into the index that have changed. What takes a time that grows with the
// number of claims is done without the lock, but for a look at each claim, each union of addresses
// and each problem: addresses do not wait for names.
func (t *Translator) publish() {
	partial := !listed(t.watching) || !listed(t.slices)
	was := t.last
	if !partial && (was.asked == nil || was.partial) {
		t.services.mergeDue() // or names that exist would not, for a moment
	}
	renamed := t.services.takeRenamed()
	t.mu.Lock()
	unavailable, _ := t.parents()
	resolving := t.unresolved.Swap(false) || was.partial != partial || was.asked.concern(renamed) || !maps.Equal(unavailable, t.unavailable)
	var g *gathered
	if resolving {
		g = t.gather(partial)
	}
	t.mu.Unlock()

	is := was
	var n *naming
	var r *claim.Resolver
	var d differences
	if resolving {
		is, n, r = t.resolve(g, &was)
		d.hosts(was.hosts, is.hosts)
	}

	late := t.services.takeRenamed() // while the claims were resolved
	if is.asked.concern(late) {
		t.unresolved.Store(true) // who renamed them has woken us, too
	}
	maps.Copy(renamed, late)
	var named map[cache.ObjectName]zoneNames
	var unions map[string]*union
	if resolving {
		named, unions = n.named, is.unions
	}
	put, gone, damages := t.services.publish(renamed, is.hosts, named, unions)
	d.put, d.gone = append(put, d.put...), append(d.gone, gone...)
	is.damages = len(damages)
	t.mu.Lock()
	t.count(&is, damages)
	t.last = is
	t.mu.Unlock()

	if !t.claimsOnly {
		t.index.Update(d.gone, d.put, partial)
	}
	switch problems := slices.Concat(is.problems, damages); {
	case t.hooks.OnResolved == nil && (resolving || is.damages+was.damages > 0):
		t.reporter.report(t, problems)
	case t.hooks.OnResolved != nil && resolving:
		t.hooks.OnResolved(t.verdicts(r, problems))
	}
}

// gathered is what there is to resolve.
type gathered struct {
	partial     bool
	claims      []*claim.Claim                     // but for those of routes
	objects     map[object.KindName]gateway.Object // of the Gateway API that have changed; nil for one that went
	leftOut     func(kind, namespace string) bool
	unavailable map[object.KindName]gateway.Cause
	certain     bool // that those are
}

// gather returns all claims. It is called with the lock held.
func (t *Translator) gather(partial bool) *gathered {
	g := &gathered{partial: partial}
	g.leftOut = t.unlisted()
	for name, claim := range t.claims {
		if !g.leftOut("ingress", name.Namespace) {
			g.claims = append(g.claims, claim)
		}
	}
	for _, claim := range t.annotated {
		g.claims = append(g.claims, claim)
	}
	g.unavailable, g.certain = t.parents()
	g.objects = t.gatewayChanges
	t.gatewayChanges = map[object.KindName]gateway.Object{}
	return g
}

// resolve finds out what stands where claims are. What is as it was before stays the same Node.
func (t *Translator) resolve(g *gathered, was *publication) (publication, *naming, *claim.Resolver) {
	for name, obj := range g.objects {
		if obj == nil {
			t.routes.Delete(name)
		} else {
			t.routes.Set(obj)
		}
	}
	if g.certain {
		t.unavailable = g.unavailable
		for _, route := range t.routes.Recompute(g.unavailable, g.leftOut) {
			t.routeClaims[route] = t.routes.Claims(route)
		}
	}
	claims := g.claims
	for _, ofRoute := range t.routeClaims {
		claims = append(claims, ofRoute...)
	}
	asked := t.questions()
	r := claim.NewResolver(&t.options, claims, asked, g.partial)
	outcomes := r.Resolve()
	is := publication{
		partial:  g.partial,
		hosts:    make(map[string]*records.Node, len(outcomes)),
		asked:    asked,
		names:    map[string]int{"ingress": 0, "httproute": 0, "grpcroute": 0, "tlsroute": 0, "service": 0},
		rejected: map[string]int{},
	}
	for name, withheld := range r.WildcardBlocks(outcomes) {
		is.hosts[name] = records.Transparent
		if withheld {
			is.hosts[name] = nil
		}
	}
	n := &naming{options: &t.options, asked: asked, before: was.unions, unions: map[string]*union{}, named: map[cache.ObjectName]zoneNames{}}
	for host, out := range outcomes {
		node := n.node(t.index.Match(host), &out)
		if before := was.hosts[host]; before != nil && interchangeable(before, node) {
			node = before
		}
		is.hosts[host] = node
		is.names[node.Source]++
		if !t.hooks.Covered(host) { // D8
			is.unheard++
			r.Problems = append(r.Problems, object.Problem{Ref: out.Winner, Host: host, Reason: "", Text: fmt.Sprintf("host %q cannot be asked for: no server block with minilb is for a zone it lies in", hostname.Plain(host))})
		}
		if g.partial && t.options.Services { // else such a claim is refused
			if service, ok := t.options.ServiceAt(host); ok && asked.service(service) != nil {
				delete(is.hosts, host)
			}
		}
	}
	is.unions, is.problems = n.unions, slices.Concat(r.Problems, t.routes.Problems())
	claim.CountRejected(is.rejected, is.problems)
	return is, n, r
}

// interchangeable reports whether hosts' nodes are made of the same.
func interchangeable(a, b *records.Node) bool {
	return a.Addrs == b.Addrs && a.Target == b.Target && a.Plain == b.Plain &&
		a.Source == b.Source && a.Namespace == b.Namespace && a.Service == b.Service
}

// differences are what is to be done to the index.
type differences struct {
	gone []string
	put  []records.Record // the first one of a name counts
}

// hosts adds what is to be done for claims that lead elsewhere than before.
func (d *differences) hosts(was, is map[string]*records.Node) {
	for host := range was {
		if _, still := is[host]; !still {
			d.gone = append(d.gone, host)
		}
	}
	for host, node := range is {
		if before, existed := was[host]; !existed || before != node {
			d.put = append(d.put, records.Record{Name: host, Node: node})
		}
	}
}

// count sets the statistics.
func (t *Translator) count(is *publication, damages []object.Problem) {
	t.stats = Stats{Names: is.names, Rejected: maps.Clone(is.rejected), Unreachable: is.unheard}
	claim.CountRejected(t.stats.Rejected, damages)
}
