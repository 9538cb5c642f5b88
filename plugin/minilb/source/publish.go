package source

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// published is what a Translator has put into its index, but for the Services' own names.
type published struct {
	partial  bool                     // Services or their endpoints were not known
	hosts    map[string]*records.Node // what stands where claims are; nil for a fence
	asked    *questions               // what that depends on
	unions   map[string]*union        // by what is in them
	names    map[string]int           // how many hosts there are, by the kind of object
	unheard  int                      // how many of them cannot be asked for
	problems []problem                // of the claims
	damages  int                      // how many problems of slices were reported beside them
}

// publish puts the names into the index that have changed. Only what is copied at the beginning
// or asked for one by one is read under the lock: names may take their time, addresses not.
func (t *Translator) publish() {
	partial := !synced(t.services) || !synced(t.slices)
	t.mu.Lock()
	renamed := t.renamed
	t.renamed = map[cache.ObjectName]bool{}
	was := t.published
	unread, _ := t.parents()
	stale := t.stale.Swap(false) || was.partial != partial || was.asked.concern(renamed) || !maps.Equal(unread, t.attached.unread)
	var c *gathered
	if stale {
		c = t.gather(partial)
	}
	t.mu.Unlock()

	is := was
	var named *naming
	if stale {
		is, named = t.resolve(c, &was)
	}

	t.mu.Lock()
	late := t.renamed // while the claims were looked at
	t.renamed = map[cache.ObjectName]bool{}
	if is.asked.concern(late) {
		t.stale.Store(true) // who renamed them has woken us, too
	}
	maps.Copy(renamed, late)
	d := differences{}
	if stale {
		t.named = named.named
		t.combine(is.unions)
		t.compareHosts(&d, was.hosts, is.hosts)
	}
	t.compareServices(&d, renamed, is.hosts)
	problems := slices.Concat(is.problems, t.damages())
	is.damages = len(problems) - len(is.problems)
	t.count(&is, problems)
	t.published = is
	t.mu.Unlock()

	t.index.Update(d.gone, d.put, partial)
	if stale || is.damages+was.damages > 0 {
		t.reporter.report(t, problems)
	}
}

// gathered is what there is to resolve.
type gathered struct {
	partial bool
	claims  []*claim        // but for those of routes
	objects *gatewayObjects // to judge routes by anew; nil if there is no need
	changed stale           // of them
	unread  map[string]bool // kinds of them
}

// gather returns all claims. It is called with the lock held.
func (t *Translator) gather(partial bool) *gathered {
	c := &gathered{partial: partial}
	unlisted := t.unlisted()
	for name, claim := range t.claims {
		if !unlisted("ingress", name.Namespace) {
			c.claims = append(c.claims, claim)
		}
	}
	for _, claim := range t.annotated {
		c.claims = append(c.claims, claim)
	}
	var known bool
	c.unread, known = t.parents()
	if known && (!t.attached.stale.empty() || !maps.Equal(c.unread, t.attached.unread)) {
		c.objects, c.changed = t.attached.takeStale(unlisted)
	}
	return c
}

// resolve finds out what stands where claims are. What is as it was before stays the same Node.
func (t *Translator) resolve(c *gathered, was *published) (published, *naming) {
	if c.objects != nil {
		t.attached.judge(&t.options, c.objects, c.unread, c.changed)
	}
	claims := c.claims
	for _, ofRoute := range t.attached.claims {
		claims = append(claims, ofRoute...)
	}
	asked := t.questions()
	r := newResolver(&t.options, claims, asked, c.partial)
	outcomes := r.resolve()
	is := published{
		partial: c.partial,
		hosts:   make(map[string]*records.Node, len(outcomes)),
		asked:   asked,
		names:   map[string]int{"ingress": 0, "httproute": 0, "grpcroute": 0, "tlsroute": 0, "service": 0},
	}
	for _, fence := range r.fences(outcomes) {
		is.hosts[fence] = nil
	}
	n := &naming{options: &t.options, exposed: asked, before: was.unions, unions: map[string]*union{}, named: map[cache.ObjectName]zoneNames{}}
	for host, out := range outcomes {
		node := n.node(t.index.Match(host), &out)
		if before := was.hosts[host]; before != nil && interchangeable(before, node) {
			node = before
		}
		is.hosts[host] = node
		is.names[node.Source]++
		if !t.options.Reachable(host) { // D8
			is.unheard++
			r.problems = append(r.problems, problem{owner: out.winner, reason: "", text: fmt.Sprintf("host %q cannot be asked for: no server block with minilb is for a zone it lies in", host)})
		}
	}
	is.unions, is.problems = n.unions, slices.Concat(r.problems, t.attached.problems)
	return is, n
}

// interchangeable reports whether hosts' nodes are made of the same.
func interchangeable(a, b *records.Node) bool {
	return a.Addrs == b.Addrs && a.Target == b.Target && a.Plain == b.Plain &&
		a.Source == b.Source && a.Namespace == b.Namespace && a.Service == b.Service
}

// differences are what is to be done to the index.
type differences struct {
	gone []string
	put  []records.Record
}

// compareHosts adds what is to be done for claims that lead elsewhere than before. It takes those
// out of the present ones whose name is a Service's by now. It is called with the lock held.
func (t *Translator) compareHosts(d *differences, was, is map[string]*records.Node) {
	isService := func(host string) bool {
		service, ok := t.options.serviceNamed(host)
		return ok && t.options.Services && t.exposed[service] != nil
	}
	for host := range was {
		if _, still := is[host]; !still && !isService(host) {
			d.gone = append(d.gone, host)
		}
	}
	for host, node := range is {
		if isService(host) {
			delete(is, host)
		} else if before, existed := was[host]; !existed || before != node {
			d.put = append(d.put, records.Record{Name: host, Node: node})
		}
	}
}

// compareServices adds what is to be done for Services whose names have come, which are above any
// claim on them, or gone, which leaves them to a claim. It is called with the lock held.
func (t *Translator) compareServices(d *differences, renamed map[cache.ObjectName]bool, hosts map[string]*records.Node) {
	for key := range renamed {
		e := t.exposed[key]
		if e != nil {
			e.published = true
		}
		for _, name := range t.options.namesOf(key) {
			claim, claimed := hosts[name]
			switch {
			case e != nil:
				delete(hosts, name)
				d.put = append(d.put, records.Record{Name: name, Node: e.node})
			case claimed:
				d.put = append(d.put, records.Record{Name: name, Node: claim})
			default:
				d.gone = append(d.gone, name)
			}
		}
	}
}

// combine lets the unions follow the Services that are in them. It is called with the lock held.
func (t *Translator) combine(unions map[string]*union) {
	t.unions = map[cache.ObjectName][]*union{}
	for _, u := range unions {
		for _, name := range u.services {
			t.unions[name] = append(t.unions[name], u)
		}
		if u.addrs.Store(u.merge(&t.options, t.find)) { // with what has changed meanwhile
			t.index.Touch(u.zones...)
		}
	}
}

// damages returns the problems of the exposed Services' slices. It is called with the lock held.
func (t *Translator) damages() (problems []problem) {
	for _, s := range t.damaged {
		if t.exposed[s.owning()] != nil {
			problems = append(problems, s.problems...)
		}
	}
	return problems
}

// count sets the statistics. It is called with the lock held.
func (t *Translator) count(is *published, problems []problem) {
	t.stats = Stats{Names: maps.Clone(is.names), Rejected: map[string]int{}, Unreachable: is.unheard}
	if t.options.Services {
		t.stats.Names["service"] += len(t.exposed) * len(t.options.Zones)
	}
	for _, p := range problems {
		if p.reason != "" {
			t.stats.Rejected[string(p.reason)] += max(1, p.hosts)
		}
	}
}

func byName(a, b cache.ObjectName) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}
