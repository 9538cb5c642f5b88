package minilb

import (
	"strings"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/coredns/coredns/plugin/pkg/upstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/source"
)

var log = clog.NewWithPlugin(pluginName)

func init() {
	plugin.Register(pluginName, setup)
	prometheus.MustRegister(requestsTotal, programmingDuration, clusters)
}

func setup(c *caddy.Controller) error {
	redirectKlog()
	conf, err := parse(c)
	if err != nil {
		return plugin.Error(pluginName, err)
	}
	for _, zone := range conf.source.Zones { // D8
		if !conf.source.Reachable(zone) {
			log.Warningf("Zone %s lies outside of this server block (%s), so that nobody can ask for it: add it to the block's zones", zone, strings.Join(c.ServerBlockKeys, " "))
		}
	}
	cl, err := clusterFor(c, conf.kubeconfig, conf.context)
	if err != nil {
		return plugin.Error(pluginName, err)
	}

	glue := &records.Set{}
	m := newMinilb(conf, glue)
	translator := source.NewTranslator(cl.watcher, conf.source, m.index, log)
	cl.translators = append(cl.translators, translator)

	c.OnStartup(func() error {
		addrs := conf.glue
		if addrs == nil {
			addrs = boundAddrs(dnsserver.GetConfig(c).ListenHosts)
		}
		glue.Store(records.NewAddresses(addrs...))
		cl.start()
		waitForSync(m, translator, cl.started.Add(conf.startupTimeout), conf.startupTimeout)
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

// newMinilb makes the handler. Its name server's addresses may be put into glue later.
func newMinilb(conf *config, glue *records.Set) *Minilb {
	var fixed []records.Record
	if conf.nameservers == nil {
		for _, zone := range conf.source.Zones {
			fixed = append(fixed, records.Record{Name: nameserver(zone), Node: &records.Node{Addrs: glue}})
		}
	}
	return &Minilb{
		zones:       conf.source.Zones,
		index:       records.NewIndex(conf.source.Zones, fixed...),
		upstream:    upstream.New(),
		fall:        conf.fall,
		ttl:         conf.ttl,
		maxAnswers:  conf.maxAnswers,
		ipv4:        conf.ipv4,
		ipv6:        conf.ipv6,
		nameservers: conf.nameservers,
	}
}

// waitForSync blocks until the zones can be answered for, or the deadline: a server that
// starts without its API server still has other zones to answer (D70).
func waitForSync(m *Minilb, t *source.Translator, deadline time.Time, timeout time.Duration) {
	const poll = 100 * time.Millisecond
	for !m.Ready() {
		if !time.Now().Before(deadline) {
			log.Warningf("Starting without the cluster's state: %s not read within startup_timeout %s. Names in %s get SERVFAIL until they are",
				strings.Join(t.Unsynced(), ", "), timeout, strings.Join(m.zones, " "))
			return
		}
		time.Sleep(poll)
	}
}
