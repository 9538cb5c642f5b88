package minilb

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/coredns/coredns/plugin/pkg/upstream"
	"github.com/coredns/coredns/plugin/transfer"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/source"
)

var log = logger{clog.NewWithPlugin(pluginName)}

func init() {
	plugin.Register(pluginName, setup)
	prometheus.MustRegister(requestsTotal, programmingDuration, buildInfo, clusters)
}

func setup(c *caddy.Controller) error {
	redirectKlog()
	conf, err := parse(c)
	if err != nil {
		return plugin.Error(pluginName, err)
	}
	shared := corefileOf(c)
	shared.reach = append(shared.reach, conf.reach...)
	cl, err := shared.clusterFor(conf.kubeconfig, conf.context)
	if err != nil {
		return plugin.Error(pluginName, err)
	}

	if conf.snapshot != "" {
		if err := shared.keep(cl, conf.snapshot); err != nil {
			return plugin.Error(pluginName, err)
		}
	}

	glue := &records.Set{}
	m := newMinilb(conf, glue)
	m.away, m.restored = cl.watcher.Away, cl.watcher.Restored
	translator := source.NewTranslator(cl.watcher, conf.source, m.index, source.Hooks{Covered: shared.reachable, ObserveLatency: observeProgramming})
	cl.translators = append(cl.translators, translator)
	cl.zones = slices.Concat(cl.zones, conf.source.Zones, conf.source.ReverseZones)

	c.OnStartup(func() error {
		addrs := conf.glue
		if addrs == nil {
			addrs = boundAddrs(dnsserver.GetConfig(c).ListenHosts)
		}
		m.signed = dnsserver.GetConfig(c).Handler("dnssec") != nil
		m.transferBehind = dnsserver.GetConfig(c).Handler("transfer") != nil &&
			slices.Index(dnsserver.Directives, "transfer") > slices.Index(dnsserver.Directives, pluginName)
		glue.Store(records.NewAddresses(conf.source.FilterFamilies(addrs)...))
		for _, zone := range slices.Concat(conf.source.Zones, conf.source.ReverseZones) { // D8
			if !shared.reachable(zone) {
				log.Warningf("Zone %s lies outside of all server blocks with minilb, so that nobody can ask for it: add it to a block's zones", zone)
			}
		}
		for _, zone := range conf.source.Zones { // C7
			if hostname.IsMulticast(zone) {
				log.Warningf("Zone %s %s: choose another", zone, hostname.MulticastOnly)
			}
		}
		cl.start()
		notifyChanges(c, m, cl)
		cl.run(m.loops.run)
		if waitForSync(m, cl.restore(m, cl.started.Add(conf.startupTimeout))) {
			return nil
		}
		missing := strings.Join(translator.Unsynced(), ", ")
		if cl.succeeds() { // D78: better the old configuration than no answers
			return plugin.Error(pluginName, fmt.Errorf("%s not read within startup_timeout %s: the configuration before, which serves the last known state, stays: change the Corefile again, or restart, once the API server answers", missing, conf.startupTimeout))
		}
		log.Warningf("Starting without the cluster's state: %s not read within startup_timeout %s. Names in %s get SERVFAIL until they are",
			missing, conf.startupTimeout, strings.Join(conf.source.Zones, " "))
		return nil
	})
	c.OnShutdown(func() error {
		cl.stop()
		return nil
	})

	dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler {
		m.Next = next
		return m
	})
	return nil
}

// notifyChanges tells secondaries of changes while the server runs, if there is plugin transfer.
func notifyChanges(c *caddy.Controller, m *Minilb, cl *cluster) {
	if t, ok := dnsserver.GetConfig(c).Handler("transfer").(*transfer.Transfer); ok {
		n := &notifier{transfer: t, index: m.index, notified: map[string]notified{}, preceded: cl.preceded}
		cl.run(n.run)
	}
}

// newMinilb makes the handler. Its name server's addresses may be put into glue later.
func newMinilb(conf *block, glue *records.Set) *Minilb {
	var fixed []records.Record
	if conf.nameservers == nil {
		for _, zone := range conf.source.Zones {
			fixed = append(fixed, records.Record{Name: nameserver(zone), Node: &records.Node{Addrs: glue}})
		}
	}
	m := &Minilb{
		homes:      newHomes(conf.source.Zones, conf.nameservers),
		index:      records.NewIndex(slices.Concat(conf.source.Zones, conf.source.ReverseZones), fixed...),
		upstream:   upstream.New(),
		answers:    func(addr netip.Addr) bool { return object.In(conf.source.Addresses, addr) },
		listed:     conf.source.Addresses != nil,
		fall:       conf.fall,
		ttl:        conf.ttl,
		maxAnswers: conf.maxAnswers,
		away:       func() time.Duration { return 0 },
		restored:   func() bool { return false },
	}
	m.loops = newLoops(m.askNext)
	return m
}

// waitForSync blocks until the zones can be answered for, or the deadline: a server that
// starts without its API server still has other zones to answer (D70). It reports which.
func waitForSync(m *Minilb, deadline time.Time) bool {
	const poll = 20 * time.Millisecond
	for !m.Ready() {
		if !time.Now().Before(deadline) {
			return false
		}
		time.Sleep(poll)
	}
	return true
}
