package source

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/probe"
)

// probing is what is probed for all Translators that want the same interval: endpoints that accept
// no TCP connections are left out of the answers, unless that would leave none.
type probing struct {
	*probe.Prober
	translators []*Translator
	reporter    *reporter
	server      *server
	log         Logger
	outdated    time.Time // when what is known of the nodes was last known to be; touched by Unreached alone
}

// probingFor returns what probes for a Translator, nil if it asks for no probes.
func (w *Watcher) probingFor(t *Translator) *probing {
	interval := t.options.Probe
	if interval == 0 {
		return nil
	}
	p := w.probing[interval]
	if p == nil {
		p = &probing{reporter: w.reporter, server: w.server, log: w.server.log}
		p.Prober = probe.New(interval, p)
		w.probing[interval] = p
		w.run = append(w.run, p.Run)
	}
	p.translators = append(p.translators, t)
	return p
}

// probePort returns where the endpoints of a slice are probed: the first TCP port, 0 for nowhere.
func (s *slice) probePort() uint16 {
	for _, p := range s.ports {
		if p.proto == "_tcp" {
			return p.number
		}
	}
	return 0
}

// targetsOf returns what is to be probed of the endpoints that a Service is answered with, in order
// of the addresses, one for each.
func (o *Options) targetsOf(slicesOf []*slice, answering []netip.Addr) []probe.Target {
	targets := make([]probe.Target, 0, len(answering))
	for _, s := range slicesOf {
		port := s.probePort()
		if port == 0 {
			continue
		}
		for e := range s.endpoints.all() {
			_, answered := slices.BinarySearchFunc(answering, e.addr, netip.Addr.Compare)
			if answered && e.answerable() && o.wants(e.addr) {
				targets = append(targets, probe.Target{Addr: netip.AddrPortFrom(e.addr, port), Node: e.node})
			}
		}
	}
	slices.SortFunc(targets, func(a, b probe.Target) int {
		return cmp.Or(a.Addr.Compare(b.Addr), strings.Compare(a.Node, b.Node))
	})
	return slices.CompactFunc(targets, func(a, b probe.Target) bool { return a.Addr.Addr() == b.Addr.Addr() })
}

// trusted returns the addresses out of those that an exposed Service could be answered with that
// accept connections, all of a family if none does. It counts the others as suspect, and lets the endpoints
// be probed. It is called with the lock held.
func (t *Translator) trusted(service cache.ObjectName, e *exposure, answering []netip.Addr, ready families, counts *states) []netip.Addr {
	targets := t.options.targetsOf(t.slicesOf[service], answering)
	t.probe(service, e, targets)
	var suspect []netip.Addr // in order
	var all, of [2]int       // how many addresses there are, and suspect ones, by family
	for _, addr := range answering {
		all[family(addr)]++
	}
	for _, target := range targets {
		if t.probing.Suspect(target.Addr) {
			suspect = append(suspect, target.Addr.Addr())
			of[family(target.Addr.Addr())]++
		}
	}
	doubtful := uint32(0)
	for f, n := range of {
		if n > 0 && n == all[f] {
			doubtful |= 1 << f
		}
	}
	e.doubtful.Store(doubtful)
	if len(suspect) == 0 {
		return answering
	}
	for f, n := range of {
		counts.suspect += n
		if ready[f] {
			counts.ready -= n
		} else {
			counts.terminating -= n
		}
	}
	return slices.DeleteFunc(answering, func(addr netip.Addr) bool {
		f := family(addr)
		_, is := slices.BinarySearchFunc(suspect, addr, netip.Addr.Compare)
		return is && of[f] < all[f]
	})
}

// probe lets an exposed Service's endpoints be probed at these targets, in order. It is called with
// the lock held.
func (t *Translator) probe(service cache.ObjectName, e *exposure, targets []probe.Target) {
	before := e.targets
	e.targets = targets
	find := func(all []probe.Target, t probe.Target) (int, bool) {
		return slices.BinarySearchFunc(all, t, func(a, b probe.Target) int { return a.Addr.Compare(b.Addr) })
	}
	for _, target := range targets {
		switch i, found := find(before, target); {
		case !found:
			t.probed[target.Addr] = append(t.probed[target.Addr], service)
			t.probing.Add(target)
		case before[i].Node != target.Node: // a snapshot written without probe has no nodes
			t.probing.Place(target)
		}
	}
	for _, target := range before {
		if _, found := find(targets, target); found {
			continue
		}
		t.probing.Remove(target.Addr)
		rest := slices.DeleteFunc(t.probed[target.Addr], func(s cache.ObjectName) bool { return s == service })
		if t.probed[target.Addr] = rest; len(rest) == 0 {
			delete(t.probed, target.Addr)
		}
	}
}

// recheck takes in that an endpoint has become suspect, or trusted, and returns whose it is.
func (t *Translator) recheck(addr netip.AddrPort) []cache.ObjectName {
	t.mu.Lock()
	defer t.mu.Unlock()
	services := slices.Clone(t.probed[addr])
	for _, service := range services {
		t.update(service, 0)
	}
	return services
}

// Changed implements the probe.Observer interface.
func (p *probing) Changed(c probe.Change) {
	var services []cache.ObjectName
	for _, t := range p.translators {
		services = append(services, t.recheck(c.Addr)...)
	}
	if len(services) == 0 {
		return // gone in the meantime
	}
	slices.SortFunc(services, byName)
	services = slices.Compact(services)
	if !p.reporter.allows(services[0].Namespace) {
		return // a namespace whose endpoints come and go must not drown the others
	}
	what := "Service " + services[0].String()
	if more := len(services) - 1; more > 0 {
		what += fmt.Sprintf(" and %d more", more)
	}
	what += ": endpoint " + c.Addr.String()
	if c.Node != "" {
		what += " on node " + c.Node
	}
	switch {
	case !c.Suspect && c.Reason != nil:
		p.log.Infof("%s cannot be probed any longer (%v): it is answered again, whatever it does", what, c.Reason)
	case c.Suspect:
		p.log.Warningf("%s accepts no connections (%v): it is left out of the answers until it does, unless none is left", what, c.Reason)
	default:
		p.log.Infof("%s accepts connections again", what)
	}
}

// maxNodes is how many nodes are named in one line.
const maxNodes = 10

// noticing is how long a cluster may take, once it is back, to notice which nodes are not: until then
// it has their pods as they were before.
const noticing = time.Minute

// Unreached implements the probe.Observer interface. After a power cut, this machine may be back before
// the cluster is, and know what runs there from a snapshot: silence says nothing then.
func (p *probing) Unreached(targets []probe.Target) bool {
	now := time.Now()
	if p.server.restored.Load() > 0 || p.server.away() > 0 {
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
	p.log.Warningf("probe: no endpoint has ever answered from here on node %s: if these run, this machine has no route to their pods: compare what \"ip route get %s\" says on it with the route to %s that \"minilb routes\" prints, and add what is missing, or take probe out of the Corefile",
		strings.Join(nodes, ", "), targets[0].Addr.Addr(), targets[0].Node)
	return true
}

// Impeded implements the probe.Observer interface.
func (p *probing) Impeded(err error) {
	p.log.Warningf("probe: this machine lets no connection be made: %v; endpoints are taken for good where that is so", err)
}
