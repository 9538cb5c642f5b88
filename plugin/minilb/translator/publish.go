package translator

import (
	"fmt"
	"maps"

	"k8s.io/utils/ptr"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// publication is what a Translator has put into its index, without the Services' own names.
type publication struct {
	partial   bool                     // Services or their endpoints were not known, or nothing is published yet
	hosts     map[string]*records.Node // of claims, where no Service's name is; nil or Transparent for names that only block wildcards
	resolved  map[string]resolvedHost
	names     map[string]int // how many hosts there are, by the kind of object
	uncovered int            // how many of them cannot be asked for
	rejected  map[string]int // how many problems of claims there are, by reason
	slices    []object.Problem
}

// resolvedHost is a host that leads somewhere.
type resolvedHost struct {
	node      *records.Node
	union     *union          // nil for an alias
	uncovered *object.Problem // that it cannot be asked for, if so
}

// differences are the changes of the index and the log.
type differences struct {
	gone       []string
	put        []records.Entry  // the first one of a name counts
	come, went []object.Problem // a problem that stays may be in both
}

// publish resolves what has changed and updates the index. It holds no lock meanwhile: addresses of Services do not wait
// for names.
func (t *Translator) publish() {
	is := &t.last
	partial := !t.known()
	if !partial && is.partial {
		t.services.mergeDue() // or names that exist would not, for a moment
	}
	is.partial = partial
	renamed := t.services.takeRenamed()
	changes := t.resolve(partial, renamed, t.late)
	d := differences{come: changes.Come, went: changes.Gone}
	if partial { // claims on the names of renamed Services are not refused, but give way in put
		for service := range renamed {
			changes.Hosts = append(changes.Hosts, t.options.ServiceNames(service)...)
		}
	}
	for _, host := range changes.Hosts {
		t.put(host, &d)
	}

	// Services that were renamed meanwhile have their names now, and claims follow the next time, for which t.wake has a
	// token.
	t.late = t.services.takeRenamed()
	maps.Copy(renamed, t.late)
	d.went = append(d.went, is.slices...)
	t.services.with(func(s *serviceState) {
		put, gone := s.nameServices(renamed, is.hosts)
		d.put, d.gone = append(put, d.put...), append(d.gone, gone...)
		s.combine(t.changedUnions)
		is.slices = s.problems()
	})
	for u := range t.changedUnions {
		if len(u.uses) == 0 {
			delete(t.unions, u.key)
		}
	}
	clear(t.changedUnions)
	d.come = append(d.come, is.slices...)
	is.reject(d.come, 1)
	is.reject(d.went, -1)
	t.stats.Store(&Stats{Names: maps.Clone(is.names), Rejected: maps.Clone(is.rejected), Unreachable: is.uncovered})
	t.index.Update(d.gone, d.put, partial)
	t.reporter.report(d.come, d.went)
}

// put updates the node of a host. A node that is as before stays the same.
func (t *Translator) put(host string, d *differences) {
	is := &t.last
	before, existed := is.hosts[host]
	node, exists := before, false
	was, had := is.resolved[host]
	if out, found := t.resolver.Resolution(host); found {
		exists = true
		var now resolvedHost
		node, now.union = t.node(&out)
		if before != nil && interchangeable(before, node) {
			node = before
		}
		now.node = node
		if t.hooks.Covered != nil && !t.hooks.Covered(host) { // D8
			now.uncovered = &object.Problem{Ref: out.Winner, Host: host, Text: fmt.Sprintf(
				"host %q cannot be asked for: no server block with minilb is for a zone it lies in", hostname.Plain(host))}
		}
		t.count(host, &now, 1, &d.come)
		is.resolved[host] = now
	} else {
		var withheld bool
		if withheld, exists = t.resolver.Block(host); withheld {
			node = nil
		} else {
			node = records.Transparent
		}
		delete(is.resolved, host)
	}
	if had {
		t.count(host, &was, -1, &d.went)
	}
	if is.partial && t.options.Services { // else such a claim is refused
		if service, ok := t.options.ServiceAt(host); ok {
			e, _ := t.services.find(service)
			exists = exists && e == nil
		}
	}
	switch {
	case exists:
		if is.hosts[host] = node; !existed || before != node {
			d.put = append(d.put, records.Entry{Name: host, Node: node})
		}
	case existed:
		delete(is.hosts, host)
		d.gone = append(d.gone, host)
	}
}

// count adds a host to the counts, or subtracts it, and appends its problem.
func (t *Translator) count(host string, h *resolvedHost, sign int, problems *[]object.Problem) {
	if u := h.union; u != nil {
		zone := t.index.Zone(host)
		if u.uses[zone] += sign; u.uses[zone] == 0 {
			delete(u.uses, zone)
		}
		t.changedUnions[u] = true
	}
	t.last.names[h.node.Source] += sign
	if h.uncovered != nil {
		t.last.uncovered += sign
		*problems = append(*problems, *h.uncovered)
	}
}

// interchangeable reports whether hosts' nodes have the same contents.
func interchangeable(a, b *records.Node) bool {
	return a.Addrs == b.Addrs && a.Target == b.Target && a.NoHTTPS == b.NoHTTPS && ptr.Equal(a.TTL, b.TTL) &&
		a.Source == b.Source && a.Namespace == b.Namespace && a.Service == b.Service
}

// reject adds problems to their numbers by reason, or subtracts them.
func (is *publication) reject(problems []object.Problem, sign int) {
	for _, p := range problems {
		if p.Reason == "" || p.Reason == object.ReasonNotice {
			continue
		}
		reason := p.Reason.Counted()
		if is.rejected[reason] += sign * max(1, p.Hosts); is.rejected[reason] == 0 {
			delete(is.rejected, reason)
		}
	}
}
