package source

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"k8s.io/client-go/tools/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// superseded reports whether another listener goes before that of a ListenerSet, which nobody
// has judged: the Gateway's own, then those of the older set, then by namespace/name. One that
// is superseded itself stands in nobody's way (G53).
func (a *attachment) superseded(p *parent, l *listener) bool {
	if a.losers == nil {
		a.losers = a.precedence()
	}
	return a.losers[l]
}

// precedence returns the listeners of all ListenerSets that others go before.
func (a *attachment) precedence() map[*listener]bool {
	losers, taken := map[*listener]bool{}, map[kindName]ports{}
	for _, gw := range a.gateways {
		taken[gw.kindName()] = ports{}
		for i := range gw.listeners {
			taken[gw.kindName()].take(&gw.listeners[i])
		}
	}
	sets := slices.SortedFunc(maps.Values(a.sets), func(x, y *listenerSet) int {
		ox, oy := x.owner(""), y.owner("")
		return cmp.Or(ox.older(&oy), strings.Compare(x.kind, y.kind)) // C5
	})
	for _, set := range sets {
		gw := a.gateways[cache.NewObjectName(set.parent.namespace, set.parent.name)]
		if set.parent.kind != gatewayKind || gw == nil || a.detached(set, gw) != nil {
			continue
		}
		for i := range set.listeners {
			if l := &set.listeners[i]; !taken[set.parent].take(l) && l.accepted == "" {
				losers[l] = true
			}
		}
	}
	return losers
}

// ports are what the listeners of a Gateway have taken: of each port, the hosts by what is
// spoken there.
type ports map[int32]map[gatewayv1.ProtocolType]map[string]bool

// take adds a listener, unless it clashes with one that is there: two of one port clash if
// they speak different things there or have the same host.
func (p ports) take(l *listener) bool {
	speaks := l.protocol
	switch {
	case l.port == 0 || speaks == gatewayv1.UDPProtocolType || l.accepted == conditionFalse || l.conflicts == conditionTrue:
		return true // it has a port of its own, or none
	case speaks == gatewayv1.TLSProtocolType:
		speaks = gatewayv1.HTTPSProtocolType // told apart by the name that clients ask for
	}
	there := p[l.port]
	if there != nil && (there[speaks] == nil || there[speaks][l.host]) {
		return false
	}
	if there == nil {
		p[l.port] = map[gatewayv1.ProtocolType]map[string]bool{speaks: {}}
	}
	p[l.port][speaks][l.host] = true
	return true
}
