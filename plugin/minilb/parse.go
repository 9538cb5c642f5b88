package minilb

import (
	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"

	"github.com/minilb/minilb/plugin/minilb/config"
)

// parse parses the plugin block. A relative path begins at the root of the Corefile, as plugin root has it.
func parse(c *caddy.Controller) (*config.Block, error) {
	return config.ParseBlock(&c.Dispenser, c.ServerBlockKeys, func(path string) (string, error) {
		return snapshotPath(dnsserver.GetConfig(c).Root, path)
	})
}
