package minilb

import (
	"slices"

	"github.com/coredns/coredns/plugin/transfer"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// Transfer implements the transfer.Transferer interface. It sends the whole zone, regardless of max_answers, unless the
// serial is not older than the zone's (RFC 1995 §4). What is outside the zones is never transferred (D29).
func (m *Minilb) Transfer(zone string, serial uint32) (<-chan []dns.RR, error) {
	if !slices.Contains(m.index.Zones, zone) {
		return nil, transfer.ErrNotAuthoritative
	}
	if !m.index.Synced() {
		return nil, errNotSynced
	}
	// The serial before the content: a change in between gets another serial, and is transferred later.
	soa := m.soa(zone, zone, m.index.Serial(zone))
	names := m.index.Entries(zone)
	rrs := make(chan []dns.RR)
	go func() { // it ends with the transfer: plugin transfer reads to the end, even when the connection breaks
		defer close(rrs)
		rrs <- []dns.RR{soa}
		if serial != 0 && int32(serial-soa.Serial) >= 0 { // RFC 1982
			return
		}
		rrs <- m.apexServers(zone, zone)
		for _, inner := range m.index.Zones {
			if inner != zone && m.index.Zone(hostname.Parent(inner)) == zone {
				rrs <- m.delegation(inner)
			}
		}
		for r := range names {
			rrs <- m.all(r)
		}
		rrs <- []dns.RR{soa}
	}()
	return rrs, nil
}

// apexServers returns the zone's NS records. The servers' addresses are entries of the zone like others.
func (m *Minilb) apexServers(owner, zone string) (rrs []dns.RR) {
	for _, name := range m.zoneMeta(zone).servers {
		rrs = append(rrs, &dns.NS{Hdr: m.header(owner, dns.TypeNS), Ns: name})
	}
	return rrs
}

// delegation returns the NS records of a zone in another one, and the glue.
func (m *Minilb) delegation(inner string) []dns.RR {
	rrs := m.apexServers(inner, inner)
	for _, name := range m.zoneMeta(inner).servers {
		if m.index.Zone(name) != inner {
			continue
		}
		if _, node := m.index.Lookup(inner, name); node != nil && node.Addrs != nil {
			rrs = append(rrs, m.bothFamilies(name, node, 0)...)
		}
	}
	return rrs
}

// all returns all records of a name. A name without any must exist at a secondary as well (D18).
func (m *Minilb) all(r records.Entry) []dns.RR {
	var rrs []dns.RR
	switch node := r.Node; {
	case node.Target != "":
		rrs = []dns.RR{&dns.CNAME{Hdr: m.headerOf(node, r.Name, dns.TypeCNAME), Target: node.Target}}
	case node.Pointers != nil:
		rrs = m.pointers(r.Name, node.Pointers)
	case node.Ports != nil:
		rrs = m.targets(r.Name, node, node.Targets(serviceOf(r.Name), 0))
	default:
		rrs = append(m.bothFamilies(r.Name, node, 0), m.https(r.Name, node)...)
	}
	if len(rrs) == 0 {
		rrs = []dns.RR{m.hinfo(r.Name)}
	}
	return rrs
}
