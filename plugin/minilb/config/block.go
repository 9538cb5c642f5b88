package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/plugin/pkg/cidr"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/records"
)

const (
	defaultTTL            = 5
	defaultMaxAnswers     = 16 // fits 512 bytes in either family (D23)
	defaultStartupTimeout = 5 * time.Second
)

// Block is a plugin block of the Corefile. Zones are canonical.
type Block struct {
	ServerZones         []string // zones of the server block, whose queries the plugin gets (D8)
	Options             Options
	Kubeconfig, Context string
	TTL                 uint32 // in seconds
	MaxAnswers          int
	Nameservers         []string     // names of the zones' servers, nil for ns1 below each apex
	Glue                []netip.Addr // addresses of ns1, nil for those the server is bound to
	StartupTimeout      time.Duration
	Snapshot            string   // path of the file that keeps the state, as it is written, "" for none
	Fallthrough         []string // zones whose unknown names go to the next plugin
}

func newBlock(serverZones []string) *Block {
	return &Block{
		ServerZones:    serverZones,
		Options:        Defaults(),
		TTL:            defaultTTL,
		MaxAnswers:     defaultMaxAnswers,
		StartupTimeout: defaultStartupTimeout,
	}
}

// ParseBlock parses the plugin block of a server block with the given keys. An error has the file and line, and names
// the property, what it got and what it takes. The snapshot's path becomes what resolve returns, or stays as it is
// written if resolve is nil.
func ParseBlock(d *caddyfile.Dispenser, keys []string, resolve func(path string) (string, error)) (*Block, error) {
	var serverZones []string
	for _, key := range keys {
		serverZones = append(serverZones, zoneNames(key)...)
	}
	b := newBlock(serverZones)
	for blocks := 0; d.Next(); blocks++ {
		if blocks > 0 {
			return nil, d.Err("this plugin can only be used once per Server Block")
		}
		if err := b.parseZones(d.RemainingArgs()); err != nil {
			return nil, d.Err(err.Error())
		}
		given := map[string]bool{}
		for d.NextBlock() {
			name, args := d.Val(), d.RemainingArgs()
			parse := properties[name]
			if parse == nil {
				return nil, d.Errf("unknown property %q: want one of %s", name, strings.Join(PropertyNames(), ", "))
			}
			if given[name] && name != "claim" && name != "near" {
				return nil, d.Errf("%s is given twice: want it once", name)
			}
			given[name] = true
			err := checkVariables(args...)
			if err != nil && slices.Contains(ofServer, name) {
				continue
			}
			if err == nil {
				err = parse(b, args)
			}
			if err == nil && name == "snapshot" && resolve != nil {
				b.Snapshot, err = resolve(b.Snapshot)
			}
			if err != nil {
				return nil, d.Errf("%s: %v", name, err)
			}
		}
	}
	return b, nil
}

// PropertyNames returns all properties, sorted.
func PropertyNames() []string { return slices.Sorted(maps.Keys(properties)) }

// parseZones takes the zones from the arguments or, without any, from the server block (D1).
func (b *Block) parseZones(args []string) error {
	if err := checkVariables(args...); err != nil {
		return err
	}
	if err := separated(args); err != nil {
		return fmt.Errorf("zones: %w", err)
	}
	zones := b.ServerZones
	if len(args) > 0 {
		zones = nil
		for _, arg := range args {
			zones = append(zones, zoneNames(arg)...)
		}
	}
	if len(zones) < max(len(args), 1) {
		return fmt.Errorf("zones %q: not all of them are zone names", args)
	}
	o := &b.Options
	for _, zone := range zones {
		_, reverse := records.ReversePrefix(zone)
		switch {
		case zone == ".":
			return fmt.Errorf("the root zone cannot be served, as every name is in it: name a zone, for example \"minilb %s\"", lb.DefaultDomain)
		case !reverse && (hostname.InZone(zone, "in-addr.arpa.") || hostname.InZone(zone, "ip6.arpa.")):
			return fmt.Errorf("zone %q is no reverse zone: want whole octets or nibbles below in-addr.arpa or ip6.arpa, or a CIDR such as 10.244.0.0/16", zone)
		case reverse: // D60
			o.ReverseZones = appendNew(o.ReverseZones, zone)
			continue
		}
		domain, err := lb.Domain(zone)
		if err != nil {
			return fmt.Errorf("zone: %w", err)
		}
		o.Zones = appendNew(o.Zones, domain+".")
	}
	if len(o.Zones) == 0 {
		return fmt.Errorf("zones %q are only reverse zones: name the zone of the Services as well, which PTR records lead to, for example \"minilb %s %s\"", zones, lb.DefaultDomain, zones[0])
	}
	return nil
}

// Falls reports whether an unknown name goes to the next plugin: outside of the zones each does, within them those of
// Fallthrough (D2).
func (b *Block) Falls(name string) bool {
	within := func(zone string) bool { return hostname.InZone(name, zone) }
	return !slices.ContainsFunc(b.Options.Zones, within) && !slices.ContainsFunc(b.Options.ReverseZones, within) || slices.ContainsFunc(b.Fallthrough, within)
}

// zoneNames returns the zones of a key of a server block, or of an argument, as CoreDNS's plugin.Host.NormalizeExact
// does: several for a network that does not end at a label of its reverse zone, none for what is not a zone. The
// companion does without that package, which comes with half of CoreDNS.
func zoneNames(key string) []string {
	transports := []string{"tls", "dns", "quic", "grpc", "https3", "https", "unix"}
	if transport, rest, found := strings.Cut(key, "://"); found && slices.Contains(transports, transport) {
		key = rest
	}
	colon := strings.LastIndex(key, ":")
	if colon == len(key)-1 {
		return nil
	}
	if colon >= 0 {
		if _, err := strconv.Atoi(key[colon+1:]); err == nil {
			key = key[:colon]
		}
	}
	if _, ok := dns.IsDomainName(key); !ok || len(key) > 255 {
		return nil
	}
	zones := []string{key}
	if _, network, err := net.ParseCIDR(key); err == nil {
		if key[0] == ':' || key[0] == '0' && strings.Contains(key, ":") {
			return nil
		}
		zones = cidr.Reverse(cidr.Split(network))
	}
	for i := range zones {
		zones[i] = strings.ToLower(dns.Fqdn(zones[i]))
	}
	return zones
}
