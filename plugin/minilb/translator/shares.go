package translator

import (
	"math"

	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// member is one target of a union: a Service, or all of the addresses that are of none.
type member struct {
	service          cache.ObjectName // zero for the addresses
	addrs            *records.Addresses
	standing         standing
	weight, priority uint16
	chance           [2]uint16 // by family: the weight that it is drawn by, 0 for not at all
}

func (m *member) has(family int) bool {
	if family == 0 {
		return len(m.addrs.V4) > 0
	}
	return len(m.addrs.V6) > 0
}

// rank orders members by family, the best first: what is usable counts more than what is preferred.
func (m *member) rank(family int) int { return int(m.standing[family])<<16 | int(m.priority) }

// members returns the targets of the union with their chances, and whether one of them is drawn for each answer, as a Service has
// a weight or a priority (L3); if not, all that have a chance are answered (C3, G43).
func (u *union) members(o *config.Options, services map[cache.ObjectName]*exposedService) (all []member, drawn bool) {
	all = []member{{addrs: records.NewAddresses(o.FilterFamilies(u.fixed)...), weight: 1}}
	for _, name := range u.services {
		if e := services[name]; e != nil {
			share := e.share.Load()
			drawn = drawn || share.Weight != nil || share.Priority != nil
			all = append(all, member{
				service: name, addrs: e.addrs.Load(), standing: *e.standing.Load(),
				weight: ptr.Deref(share.Weight, 1), priority: ptr.Deref(share.Priority, 0),
			})
		}
	}
	setChances(all, 0)
	setChances(all, 1)
	return all, drawn
}

// setChances gives a chance to the best members that have addresses of a family: by their weights, or the same if these are all 0.
func setChances(all []member, family int) {
	best, sum := math.MaxInt, 0
	for i := range all {
		m := &all[i]
		switch rank := m.rank(family); {
		case !m.has(family) || rank > best:
		case rank < best:
			best, sum = rank, int(m.weight)
		default:
			sum += int(m.weight)
		}
	}
	for i := range all {
		m := &all[i]
		switch {
		case !m.has(family) || m.rank(family) > best:
		case sum == 0:
			m.chance[family] = 1
		default:
			m.chance[family] = m.weight
		}
	}
}

// merge returns what the union is answered with.
func (u *union) merge(o *config.Options, services map[cache.ObjectName]*exposedService) *records.Addresses {
	members, drawn := u.members(o, services)
	sets, shares := make([]*records.Addresses, 0, len(members)), &records.Shares{}
	for i := range members {
		m := &members[i]
		addrs := *m.addrs
		if m.chance[0] == 0 {
			addrs.V4 = nil
		}
		if m.chance[1] == 0 {
			addrs.V6 = nil
		}
		sets = append(sets, &addrs)
		for family, weight := range m.chance {
			if drawn {
				shares.Add(family, m.addrs, weight)
			}
		}
	}
	all := records.Union(sets...)
	for family := range shares {
		if len(shares[family]) < 2 {
			shares[family] = nil
		} else {
			all.Shares = shares
		}
	}
	return all
}

// ShareStatus is how much of the answers for a host is made of one of the targets that it leads to (L3).
type ShareStatus struct {
	Service  string  `json:"service"` // namespace/name, "" for all addresses that are of none
	Weight   uint16  `json:"weight"`
	Priority uint16  `json:"priority"`
	A        float64 `json:"a"` // percent of the answers
	AAAA     float64 `json:"aaaa"`
}

// Shares returns those of a claimed host, none if its answers are not drawn from them.
func (v *View) Shares(host string) (all []ShareStatus) {
	u := v.translator.last.resolved[host].union
	if u == nil || u.addrs == nil {
		return nil
	}
	members, drawn := u.members(v.Options, v.translator.services.state.exposed)
	if !drawn {
		return nil
	}
	var sums [2]float64
	for i := range members {
		sums[0], sums[1] = sums[0]+float64(members[i].chance[0]), sums[1]+float64(members[i].chance[1])
	}
	percent := func(m *member, family int) float64 { return 100 * float64(m.chance[family]) / max(1, sums[family]) }
	for i := range members {
		m := &members[i]
		s := ShareStatus{Weight: m.weight, Priority: m.priority, A: percent(m, 0), AAAA: percent(m, 1)}
		if m.service.Name != "" {
			s.Service = m.service.String()
		} else if !m.has(0) && !m.has(1) {
			continue
		}
		all = append(all, s)
	}
	return all
}
