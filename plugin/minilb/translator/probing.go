package translator

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/endpoint"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/probe"
)

// probing probes for all Translators with the same interval: endpoints that accept no TCP connections are left out of the
// answers, unless that would leave none.
type probing struct {
	*probe.Prober
	of          *Translators
	translators []*Translator
	outdated    time.Time       // when the nodes' state was last outdated; only for NodesUnreachable
	blocked     map[string]bool // namespaces of which it is reported that their pods cannot be reached; only for Observer's methods
}

// probingFor returns the probing of a Translator, nil without probes.
func (ts *Translators) probingFor(t *Translator) *probing {
	interval := t.options.Probe
	if interval == 0 {
		return nil
	}
	p := ts.probing[interval]
	if p == nil {
		p = &probing{of: ts, blocked: map[string]bool{}}
		p.Prober = probe.New(interval, p)
		ts.probing[interval] = p
	}
	p.translators = append(p.translators, t)
	return p
}

// targetsOf returns the targets of the entries that a Service is answered with, and the nodes of those that cannot be probed,
// each in order and once.
func targetsOf(o *config.Options, u *endpoint.Usable) (targets []probe.Target, nodes []string) {
	targets = make([]probe.Target, 0, len(u.Entries))
	for i := range u.Entries {
		e := &u.Entries[i]
		switch addr, ok := u.ProbeTarget(e); {
		case !o.WantsFamily(e.Addr):
		case ok:
			targets = append(targets, probe.Target{Addr: addr, Node: e.Node})
		case e.Node != "":
			nodes = append(nodes, e.Node)
		}
	}
	slices.Sort(nodes)
	slices.SortFunc(targets, func(a, b probe.Target) int {
		return cmp.Or(a.Addr.Compare(b.Addr), strings.Compare(a.Node, b.Node))
	})
	return slices.CompactFunc(targets, func(a, b probe.Target) bool { return a.Addr == b.Addr }), slices.Compact(nodes)
}

// keepHealthy removes the entries that accept no connections, or cannot be probed and are on a node that is down (L7), unless
// that would leave none of their family, and counts them as suspect. It updates what is probed, and returns the families of
// which all are suspect.
func (s *serviceState) keepHealthy(
	service cache.ObjectName, e *exposedService, u *endpoint.Usable, counts *endpoint.Counts,
) (unhealthy endpoint.Families) {
	targets, nodes := targetsOf(s.options, u)
	s.probe(service, e, targets)
	s.followNodes(service, e, nodes)
	suspects, down := map[netip.AddrPort]bool{}, map[string]bool{}
	for _, target := range targets {
		if s.probing.Unhealthy(target.Addr) {
			suspects[target.Addr] = true
		}
	}
	for _, node := range nodes {
		down[node] = s.probing.NodeDown(node)
	}
	suspect := func(e *endpoint.Entry) bool {
		if addr, ok := u.ProbeTarget(e); ok {
			return suspects[addr]
		}
		return down[e.Node]
	}
	var all, of [2]int // how many entries there are, and suspect ones, by family
	for i := range u.Entries {
		f := endpoint.Family(u.Entries[i].Addr)
		all[f]++
		if suspect(&u.Entries[i]) {
			of[f]++
		}
	}
	for f, n := range of {
		unhealthy[f] = n > 0 && n == all[f]
		counts.Suspect += n
		if u.Ready[f] {
			counts.Ready -= n
		} else {
			counts.Terminating -= n
		}
	}
	u.Entries = slices.DeleteFunc(u.Entries, func(e endpoint.Entry) bool {
		f := endpoint.Family(e.Addr)
		return !unhealthy[f] && suspect(&e)
	})
	return unhealthy
}

// probe replaces the targets of an exposed Service, which are in order.
func (s *serviceState) probe(service cache.ObjectName, e *exposedService, targets []probe.Target) {
	before := e.targets
	e.targets = targets
	find := func(all []probe.Target, t probe.Target) (int, bool) {
		return slices.BinarySearchFunc(all, t, func(a, b probe.Target) int { return a.Addr.Compare(b.Addr) })
	}
	for _, target := range targets {
		switch i, found := find(before, target); {
		case !found:
			s.probed[target.Addr] = append(s.probed[target.Addr], service)
			s.probing.Add(target)
		case before[i].Node != target.Node: // a snapshot written without probe has no nodes
			s.probing.SetNode(target)
		}
	}
	for _, target := range before {
		if _, found := find(targets, target); found {
			continue
		}
		s.probing.Remove(target.Addr)
		remove(s.probed, target.Addr, func(of cache.ObjectName) bool { return of == service })
	}
}

// followNodes replaces the nodes that an exposed Service's endpoints follow, which are in order.
func (s *serviceState) followNodes(service cache.ObjectName, e *exposedService, nodes []string) {
	before := e.nodes
	e.nodes = nodes
	for _, node := range nodes {
		if _, found := slices.BinarySearch(before, node); !found {
			s.followers[node] = append(s.followers[node], service)
		}
	}
	for _, node := range before {
		if _, found := slices.BinarySearch(nodes, node); !found {
			remove(s.followers, node, func(of cache.ObjectName) bool { return of == service })
		}
	}
}

// recheck updates the Services that depend on what has changed, and returns them, in order, with how they are named in the log.
func (p *probing) recheck(dependents func(*serviceState) []cache.ObjectName) (services []cache.ObjectName, what string) {
	for _, t := range p.translators {
		services = append(services, t.services.recheck(dependents)...)
	}
	if len(services) == 0 {
		return nil, "" // gone in the meantime
	}
	slices.SortFunc(services, object.CompareNames)
	services = slices.Compact(services)
	what = "Service " + services[0].String()
	if more := len(services) - 1; more > 0 {
		what += fmt.Sprintf(" and %d more", more)
	}
	return services, what
}

// Changed implements the probe.Observer interface.
func (p *probing) Changed(c probe.Change) {
	services, what := p.recheck(func(s *serviceState) []cache.ObjectName { return s.probed[c.Addr] })
	if len(services) == 0 || c.Unhealthy && p.reportBlocked(c.Target, services) {
		return
	}
	if !p.of.reporter.budget.allows(services[0].Namespace) {
		return // a namespace whose endpoints come and go must not drown the others
	}
	what += ": endpoint " + c.Addr.String()
	if c.Node != "" {
		what += " on node " + c.Node
	}
	switch {
	case !c.Unhealthy && c.Reason != nil:
		p.of.log.Infof("%s cannot be probed any longer (%v): it is answered again, whatever it does", what, c.Reason)
	case c.Unhealthy:
		p.of.log.Warningf("%s accepts no connections (%v): it is left out of the answers until it does, unless none is left", what, c.Reason)
	default:
		p.of.log.Infof("%s accepts connections again", what)
	}
}

// NodeChanged implements the probe.Observer interface.
func (p *probing) NodeChanged(c probe.NodeChange) {
	services, what := p.recheck(func(s *serviceState) []cache.ObjectName { return s.followers[c.Node] })
	if len(services) == 0 || !p.of.reporter.budget.allows(services[0].Namespace) {
		return
	}
	if c.Down {
		p.of.log.Warningf("%s: no probed endpoint on node %s answers any longer: their endpoints there that have no TCP port to probe "+
			"are left out of the answers until one does, unless none is left", what, c.Node)
	} else {
		p.of.log.Infof("%s: node %s is no longer taken for dead: their endpoints there are answered again", what, c.Node)
	}
}

// OthersAnswer implements the probe.Observer interface.
func (p *probing) OthersAnswer(targets []probe.Target) {
	for _, target := range targets {
		for _, t := range p.translators {
			p.reportBlocked(target, t.services.probedAt(target.Addr))
		}
	}
}

// reportBlocked logs once for each namespace that the server seems to be kept from its pods, by one of its Services of which no
// endpoint has ever answered though others on their nodes do. It reports whether that is so for all of the Services of an
// endpoint, so that there is no more to say about it.
func (p *probing) reportBlocked(t probe.Target, services []cache.ObjectName) bool {
	all := len(services) > 0
	for _, service := range services {
		var n int
		for _, tr := range p.translators {
			n = max(n, tr.services.blocked(service))
		}
		if n == 0 {
			all = false
			continue
		}
		if p.blocked[service.Namespace] {
			continue
		}
		if len(p.blocked) >= maxBudgets {
			clear(p.blocked)
		}
		p.blocked[service.Namespace] = true
		if p.of.reporter.budget.allows(service.Namespace) {
			p.of.log.Warningf("Service %s: its endpoints (%d, such as %s on node %s) have never answered a probe, though others on their nodes do: "+
				"a NetworkPolicy or a firewall seems to keep this server from the pods of namespace %s: let it connect to them, or take probe "+
				"out of the Corefile; the names of such Services are answered with all of their endpoints", service, n, t.Addr, t.Node, service.Namespace)
		}
	}
	return all
}

// maxNodes is how many nodes are named in one line.
const maxNodes = 10

// noticing is how long a cluster may take, once it is back, to notice which nodes are not.
const noticing = time.Minute

// NodesUnreachable implements the probe.Observer interface. After a power cut, this machine may be back before the cluster
// is, and know its pods from a snapshot: that none answers is no sign of a missing route then.
func (p *probing) NodesUnreachable(targets []probe.Target) bool {
	now := time.Now()
	if p.of.Restored() || p.of.OutageDuration() > 0 {
		p.outdated = now
	}
	if !p.outdated.IsZero() && now.Sub(p.outdated) < noticing {
		return false
	}
	var nodes []string
	for _, t := range targets {
		nodes = append(nodes, fmt.Sprintf("%s (such as %s)", t.Node, t.Addr.Addr()))
	}
	if more := len(nodes) - maxNodes; more > 0 {
		nodes = append(nodes[:maxNodes], fmt.Sprintf("%d more", more))
	}
	p.of.log.Warningf("probe: no endpoint has ever answered from here on node %s: if these run, this machine has no route to their pods: "+
		"compare what \"ip route get %s\" says on it with the route to %s that \"minilb routes\" prints, and add what is missing, "+
		"or take probe out of the Corefile",
		strings.Join(nodes, ", "), targets[0].Addr.Addr(), targets[0].Node)
	return true
}

// LocalError implements the probe.Observer interface.
func (p *probing) LocalError(err error) {
	p.of.log.Warningf("probe: this machine lets no connection be made: %v; endpoints are taken for good where that is so", err)
}
