package minilb

import (
	"slices"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/client"
	"github.com/minilb/minilb/plugin/minilb/ede"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// asker is whose question a query is, where that may matter to the answer (L4, L5), else nil.
type asker struct {
	records.Client
	subnet *dns.EDNS0_SUBNET // of the query, nil for none
	varies bool              // others would get another answer
}

// asker returns whose question it is. ok is false if its client subnet is malformed.
func (m *Minilb) asker(state *request.Request) (a *asker, ok bool) {
	if m.near == nil {
		return nil, true
	}
	a = &asker{Client: records.Client{Rule: -1}}
	if a.Network, a.subnet, ok = client.Of(state.W.RemoteAddr(), state.Req); !ok || !a.Network.IsValid() {
		return a, ok
	}
	if rule, near := m.near.LookupPrefix(a.Network); near {
		a.Rule = rule
	}
	return a, true
}

// mark adds the client subnet to the reply, if the query has one (RFC 7871 §7.2.1).
func (a *asker) mark(reply *dns.Msg) {
	if a != nil && a.subnet != nil {
		ede.AddOption(reply, client.Tailored(a.subnet, a.varies))
	}
}

// CacheBypassZones implements the cache.ZoneBypasser interface: a cache in front would give one client's answers to others.
func (m *Minilb) CacheBypassZones() []string {
	if m.near == nil || !inFront("cache") {
		return nil
	}
	return m.index.Zones
}

// inFront reports whether a plugin gets queries before this one.
func inFront(name string) bool {
	at := slices.Index(dnsserver.Directives, name)
	return at >= 0 && at < slices.Index(dnsserver.Directives, pluginName)
}

// spoilers are plugins that take from answers what depends on the client, if they stand in front.
var spoilers = []struct {
	name         string
	affinityOnly bool
	does         string
}{
	{"cache", false, "gives all clients the same answer for hosts outside the zones"},
	{"minimal", false, "removes the client subnet from answers, so that resolvers give all clients the same"},
	{"loadbalance", true, "shuffles the answers, so that clients have no first address of their own"},
}

// warnOfSpoilers logs plugins of the server block that take from answers what depends on the client.
func (i *instance) warnOfSpoilers() {
	for _, s := range spoilers {
		if i.conf.Options.ByClient() && (i.conf.Options.Affinity || !s.affinityOnly) && i.server.Handler(s.name) != nil && inFront(s.name) {
			log.Warningf("affinity and near: plugin %s, which stands in front of minilb, %s: take %s out of this server block, or build CoreDNS with minilb in front of it",
				s.name, s.does, s.name)
		}
	}
}
