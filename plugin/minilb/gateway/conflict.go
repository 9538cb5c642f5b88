package gateway

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/minilb/minilb/plugin/minilb/object"
)

// superseded reports whether a listener of a ListenerSet, which has no status yet, conflicts with one that goes before it:
// the Gateway's own, then those of the older set, then by namespace/name. A superseded listener supersedes none (G53).
func (rs *Routes) superseded(l *object.Listener) bool {
	if rs.losers != nil {
		return rs.losers[l]
	}
	rs.losers = map[*object.Listener]bool{}
	taken := map[object.KindName]ports{}
	for name, gw := range rs.gateways {
		taken[name] = ports{}
		for i := range gw.Listeners {
			taken[name].take(&gw.Listeners[i])
		}
	}
	sets := slices.SortedFunc(maps.Values(rs.sets), func(x, y *object.ListenerSet) int {
		ox, oy := x.Ref(""), y.Ref("")
		return cmp.Or(ox.Older(&oy), strings.Compare(x.Kind, y.Kind)) // C5
	})
	for _, set := range sets {
		gw := rs.gateways[set.Parent]
		if gw == nil || rs.detached(set, gw) != nil {
			continue
		}
		for i := range set.Listeners {
			if l := &set.Listeners[i]; !taken[set.Parent].take(l) && l.Accepted == "" {
				rs.losers[l] = true
			}
		}
	}
	return rs.losers[l]
}

// ports are what the listeners of a Gateway have taken: of each port, the hosts by protocol.
type ports map[int32]map[gatewayv1.ProtocolType]map[string]bool

// take adds a listener, unless one is there of the same port and another protocol or the same host.
func (p ports) take(l *object.Listener) bool {
	speaks := l.Protocol
	switch {
	case l.Port == 0 || speaks == gatewayv1.UDPProtocolType || l.Accepted == object.ConditionFalse || l.Conflicts == object.ConditionTrue:
		return true // it has a port of its own, or none
	case speaks == gatewayv1.TLSProtocolType:
		speaks = gatewayv1.HTTPSProtocolType // told apart by the name that clients ask for
	}
	there := p[l.Port]
	if there != nil && (there[speaks] == nil || there[speaks][l.Host]) {
		return false
	}
	if there == nil {
		p[l.Port] = map[gatewayv1.ProtocolType]map[string]bool{speaks: {}}
	}
	p[l.Port][speaks][l.Host] = true
	return true
}
