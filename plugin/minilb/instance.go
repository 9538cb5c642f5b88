package minilb

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/fall"
	"github.com/coredns/coredns/plugin/pkg/upstream"
	"github.com/coredns/coredns/plugin/transfer"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/loop"
	"github.com/minilb/minilb/plugin/minilb/notify"
	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

// instance is the plugin as one block of the Corefile has it: its handler, and what keeps that up to date.
type instance struct {
	conf       *config.Block
	server     *dnsserver.Config
	load       *load
	cluster    *cluster
	translator *translator.Translator
	handler    *Minilb
	glue       *records.AddressSet // addresses of ns1
}

// newInstance connects the handler of a block to its cluster, which other blocks may share. It dials nothing.
func newInstance(c *caddy.Controller, conf *config.Block) (*instance, error) {
	i := &instance{conf: conf, server: dnsserver.GetConfig(c), load: loadOf(c), glue: &records.AddressSet{}}
	i.load.covered = append(i.load.covered, conf.ServerZones...)
	var err error
	if i.cluster, err = i.load.clusterFor(conf.Kubeconfig, conf.Context); err != nil {
		return nil, err
	}
	if conf.Snapshot != "" {
		if err := i.load.keepSnapshot(i.cluster, conf.Snapshot); err != nil {
			return nil, err
		}
	}
	i.handler = newMinilb(conf, i.glue)
	i.load.readiness.add(c.ServerBlockIndex, i.handler.index)
	i.handler.ready = i.load.readiness.ready
	i.handler.outage, i.handler.restored = i.cluster.translators.OutageDuration, i.cluster.translators.Restored
	i.translator = translator.NewTranslator(i.cluster.translators, conf.Options, i.handler.index, i.hooks())
	i.cluster.blocks = append(i.cluster.blocks, i.translator)
	i.cluster.zones = append(i.cluster.zones, conf.Options.AllZones()...)
	return i, nil
}

// hooks returns what the translator calls.
func (i *instance) hooks() translator.Hooks {
	return translator.Hooks{Covered: i.load.covers, ObserveLatency: observeProgramming}
}

// newMinilb returns the handler. The addresses of its name server may be stored in glue later.
func newMinilb(conf *config.Block, glue *records.AddressSet) *Minilb {
	var zones []zoneMeta
	var fixed []records.Entry
	for _, zone := range conf.Options.Zones {
		meta := zoneMeta{zone: zone, servers: conf.Nameservers, mailbox: "hostmaster." + zone}
		if meta.servers == nil {
			meta.servers = []string{"ns1." + zone}
			fixed = append(fixed, records.Entry{Name: meta.servers[0], Node: &records.Node{Addrs: glue}})
		}
		zones = append(zones, meta)
	}
	m := &Minilb{
		zones:      zones,
		index:      records.NewIndex(conf.Options.AllZones(), fixed...),
		upstream:   upstream.New(),
		networks:   conf.Options.Addresses,
		fall:       fall.F{Zones: conf.Fallthrough},
		ttl:        conf.TTL,
		maxAnswers: conf.MaxAnswers,
		outage:     func() time.Duration { return 0 },
		restored:   func() bool { return false },
	}
	if conf.Options.ByClient() {
		m.near = conf.Options.NearTable()
	}
	m.ready = m.index.Synced
	m.loops = loop.New(func(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
		return plugin.NextOrFailure(pluginName, m.Next, ctx, w, r)
	}, log)
	return m
}

// start begins to watch the cluster, and waits until its state is known, startup_timeout at most.
func (i *instance) start() error {
	i.useServer()
	i.warn()
	i.cluster.start()
	if t, ok := i.server.Handler("transfer").(*transfer.Transfer); ok {
		n := &notify.Notifier{Transfer: t, Index: i.handler.index, HasPredecessor: i.cluster.hasPredecessor, Log: log}
		i.cluster.run(n.Run)
	}
	i.cluster.run(i.handler.loops.Run)
	if waitForSync(i.handler, i.cluster.restore(i.handler, i.cluster.started.Add(i.conf.StartupTimeout))) {
		return nil
	}
	missing := strings.Join(i.translator.Unsynced(), ", ")
	if i.cluster.replaces() { // D78: better the old configuration than no answers
		return plugin.Error(pluginName, fmt.Errorf("%s not read within startup_timeout %s: the previous configuration stays, which serves the last known state: change the Corefile again, or restart, once the API server answers", missing, i.conf.StartupTimeout))
	}
	log.Warningf("Starting without the cluster's state: %s not read within startup_timeout %s. Names in %s get SERVFAIL until they are",
		missing, i.conf.StartupTimeout, strings.Join(i.conf.Options.Zones, " "))
	return nil
}

// useServer takes what is known only once the whole server block has been set up.
func (i *instance) useServer() {
	addrs := i.conf.Glue
	if addrs == nil {
		addrs = boundAddrs(i.server.ListenHosts)
	}
	i.glue.Store(records.NewAddresses(i.conf.Options.FilterFamilies(addrs)...))
	i.handler.signed = i.server.Handler("dnssec") != nil
	i.handler.transferBehind = i.server.Handler("transfer") != nil &&
		slices.Index(dnsserver.Directives, "transfer") > slices.Index(dnsserver.Directives, pluginName)
}

// warn logs zones that no client can resolve, and plugins that undo answers by client.
func (i *instance) warn() {
	i.warnOfSpoilers()
	for _, zone := range i.conf.Options.AllZones() { // D8
		if !i.load.covers(zone) {
			log.Warningf("Zone %s is outside all server blocks with minilb, which get no query for it: add it to a block's zones", zone)
		}
	}
	for _, zone := range i.conf.Options.Zones { // C7
		if hostname.IsMulticast(zone) {
			log.Warningf("Zone %s %s: choose another", zone, hostname.MulticastOnly)
		}
	}
}

func (i *instance) stop() error {
	i.cluster.stop()
	return nil
}

// waitForSync waits until the zones can be answered for, or the deadline, as the server may have other zones (D70).
func waitForSync(m *Minilb, deadline time.Time) bool {
	const poll = 20 * time.Millisecond
	for !m.index.Synced() && time.Now().Before(deadline) {
		time.Sleep(poll)
	}
	return m.index.Synced()
}
