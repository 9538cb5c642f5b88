package minilb

import (
	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/minilb/minilb/plugin/minilb/config"
)

var log = logger{clog.NewWithPlugin(pluginName)}

func init() {
	plugin.Register(pluginName, setup)
	prometheus.MustRegister(requestsTotal, programmingDuration, buildInfo, collector{})
}

func setup(c *caddy.Controller) error {
	redirectKlog()
	conf, err := parse(c)
	if err != nil {
		return plugin.Error(pluginName, err)
	}
	i, err := newInstance(c, conf)
	if err != nil {
		return plugin.Error(pluginName, err)
	}
	c.OnStartup(i.start)
	c.OnShutdown(i.stop)
	dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler {
		i.handler.Next = next
		return i.handler
	})
	return nil
}

// parse parses the plugin block. A relative path begins at the root of the Corefile, as plugin root has it.
func parse(c *caddy.Controller) (*config.Block, error) {
	return config.ParseBlock(&c.Dispenser, c.ServerBlockKeys, func(path string) (string, error) {
		return snapshotPath(dnsserver.GetConfig(c).Root, path)
	})
}
