package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

const (
	// serversInterval is how often it is looked on which nodes a DNS server is ready: two lists of one namespace each time, and one of
	// all Nodes when that has changed.
	serversInterval = 2 * time.Minute
	// serversShown is how many nodes a line names.
	serversShown = 20
)

// logServers logs which nodes have a ready DNS server, which the LAN's resolver needs to know (R23), and again when these change.
func (c *Controller) logServers(ctx context.Context) {
	for last := ""; ; {
		if state, err := c.serversState(ctx); err != nil {
			c.log.Debug("DNS servers not looked for: " + err.Error())
		} else if state != last && c.logServersOnce(ctx) {
			last = state
		}
		if !sleep(ctx, serversInterval) {
			return
		}
	}
}

func (c *Controller) dnsService() cache.ObjectName {
	return cache.ObjectName{Namespace: c.options.Namespace}
}

// serversState returns what changes when the set of ready nodes does, "" for no servers.
func (c *Controller) serversState(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, printTimeout)
	defer cancel()
	_, nodes, err := routes.DNSService(ctx, c.client, c.dnsService())
	if err != nil || len(nodes) == 0 {
		return "", err
	}
	return fmt.Sprint(nodes), nil // in the order of the names
}

// logServersOnce reports whether it could read what it is to log.
func (c *Controller) logServersOnce(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, printTimeout)
	defer cancel()
	nodes, err := routes.ListNodes(ctx, c.client)
	if err != nil {
		c.log.Debug("DNS servers not looked for: " + err.Error())
		return false
	}
	found, err := c.options.LAN.FindDNSServers(ctx, c.client, nodes, c.dnsService())
	ready, command := map[string]bool{}, "minilb routes -o dnsmasq-server"
	var servers []string
	for _, server := range found.Ready {
		ready[server.Node] = true
		servers = append(servers, fmt.Sprintf("%s %s", server.Node, server.Addr))
	}
	if c.options.Domain != lb.DefaultDomain {
		command += " -domain " + c.options.Domain
	}
	if found.Service.Namespace != lb.DefaultNamespace {
		command += " -dns-service " + found.Service.String()
	}
	args := []any{"servers", shown(servers), "hint", command + " prints the lines for the LAN's resolver"}
	if len(found.Without) > 0 {
		args = append(args, "without", shown(found.Without))
	}
	if len(found.Ready)+len(found.Without) == 0 {
		if err != nil {
			c.log.Debug(err.Error())
		}
		return true
	}
	c.log.Info(fmt.Sprintf("DNS servers are ready on %d of %d nodes", len(ready), len(ready)+len(found.Without)), args...)
	return true
}

// shown returns the items in one line.
func shown(items []string) string {
	if more := len(items) - serversShown; more > 0 {
		items = append(slices.Clone(items[:serversShown]), fmt.Sprintf("and %d more", more))
	}
	return strings.Join(items, ", ")
}
