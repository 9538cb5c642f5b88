package minilb

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/dnsutil"
	"github.com/coredns/coredns/plugin/pkg/fall"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/probe"
	"github.com/minilb/minilb/plugin/minilb/records"
)

const (
	defaultTTL            = 5
	defaultMaxAnswers     = 16 // fits 512 bytes in either family (D23)
	defaultStartupTimeout = 5 * time.Second
	maxTTL                = 3600
)

// block is a plugin block of the Corefile.
type block struct {
	root                string // of relative paths, set by plugin root, "" for the working directory
	kubeconfig, context string
	source              config.Options
	covered             []string // zones of the server block, whose queries come here (D8)
	ttl                 uint32
	maxAnswers          int
	nameservers         []string     // names of the zones' servers, nil for ns1 below each apex
	glue                []netip.Addr // addresses of ns1, nil for those the server is bound to
	startupTimeout      time.Duration
	snapshot            string // path of the file that keeps the state, "" for none
	fall                fall.F
}

// zones returns all zones, reverse zones last.
func (conf *block) zones() []string {
	return slices.Concat(conf.source.Zones, conf.source.ReverseZones)
}

// parse parses the plugin block. An error names the property, what it got and what it wants.
func parse(c *caddy.Controller) (*block, error) {
	conf := &block{
		root:           dnsserver.GetConfig(c).Root,
		source:         config.Defaults(),
		ttl:            defaultTTL,
		maxAnswers:     defaultMaxAnswers,
		startupTimeout: defaultStartupTimeout,
	}
	blocks := 0
	for c.Next() {
		if blocks++; blocks > 1 {
			return nil, plugin.ErrOnce
		}
		if err := conf.parseZones(c); err != nil {
			return nil, c.Err(err.Error())
		}
		seen := map[string]bool{}
		for c.NextBlock() {
			name, args := c.Val(), c.RemainingArgs()
			parse := conf.property(name)
			if parse == nil {
				return nil, c.Errf("unknown property %q: want one of %s", name, strings.Join(propertyNames(), ", "))
			}
			if seen[name] && name != "claim" {
				return nil, c.Errf("%s is given twice: want it once", name)
			}
			seen[name] = true
			if err := parse(args); err != nil {
				return nil, c.Errf("%s: %v", name, err)
			}
		}
	}
	return conf, nil
}

// parseZones takes the zones from the arguments or, without any, from the server block (D1).
func (conf *block) parseZones(c *caddy.Controller) error {
	args := c.RemainingArgs()
	if err := config.Separated(args); err != nil {
		return fmt.Errorf("zones: %w", err)
	}
	zones := plugin.OriginsFromArgsOrServerBlock(args, c.ServerBlockKeys)
	if len(zones) < max(len(args), 1) {
		return fmt.Errorf("zones %q: not all of them are zone names", args)
	}
	for _, key := range c.ServerBlockKeys {
		conf.covered = append(conf.covered, plugin.Host(key).NormalizeExact()...)
	}
	for _, zone := range zones {
		_, reverse := records.ReversePrefix(zone)
		switch {
		case zone == ".":
			return fmt.Errorf("the root zone cannot be served, as every name is in it: name a zone, for example \"minilb %s\"", lb.DefaultDomain)
		case !reverse && dnsutil.IsReverse(zone) > 0:
			return fmt.Errorf("zone %q is no reverse zone: want whole octets or nibbles below in-addr.arpa or ip6.arpa, or a CIDR such as 10.244.0.0/16", zone)
		case reverse: // D60
			conf.source.ReverseZones = appendNew(conf.source.ReverseZones, zone)
			continue
		}
		domain, err := lb.Domain(zone)
		if err != nil {
			return fmt.Errorf("zone: %w", err)
		}
		conf.source.Zones = appendNew(conf.source.Zones, domain+".")
	}
	if len(conf.source.Zones) == 0 {
		return fmt.Errorf("zones %q are only reverse zones: name the zone of the Services as well, which PTR records lead to, for example \"minilb %s %s\"", zones, lb.DefaultDomain, zones[0])
	}
	return nil
}

func appendNew(list []string, item string) []string {
	if slices.Contains(list, item) {
		return list
	}
	return append(list, item)
}

// properties parse their arguments into the block. Those that are not only the plugin's are
// config.Properties.
var properties = map[string]func(conf *block, args []string) error{
	"kubeconfig": func(conf *block, args []string) error {
		if len(args) != 1 && len(args) != 2 {
			return config.Wants(args, "PATH [CONTEXT]")
		}
		conf.kubeconfig = args[0]
		if len(args) == 2 {
			conf.context = args[1]
		}
		return nil
	},
	"ttl": func(conf *block, args []string) error {
		ttl, err := number(args, "SECONDS", maxTTL)
		conf.ttl = uint32(ttl)
		return err
	},
	"max_answers": func(conf *block, args []string) error {
		count, err := number(args, "COUNT", 1<<16-1)
		conf.maxAnswers = count
		return err
	},
	"ns": parseNS,
	"probe": func(conf *block, args []string) error {
		conf.source.Probe = probe.DefaultInterval
		if len(args) == 0 {
			return nil
		}
		interval, err := time.ParseDuration(args[0])
		if len(args) > 1 || err != nil || interval < probe.MinInterval || interval > probe.MaxInterval {
			return config.Wants(args, fmt.Sprintf("nothing or an INTERVAL such as 500ms, from %v to %v", probe.MinInterval, probe.MaxInterval))
		}
		conf.source.Probe = interval
		return nil
	},
	"startup_timeout": func(conf *block, args []string) error {
		if len(args) != 1 {
			return config.Wants(args, "DURATION")
		}
		timeout, err := time.ParseDuration(args[0])
		if err != nil || timeout < 0 {
			return config.Wants(args, "a DURATION such as 5s, 0s or more")
		}
		conf.startupTimeout = timeout
		return nil
	},
	"snapshot": func(conf *block, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return config.Wants(args, "PATH")
		}
		path, err := snapshotPath(conf.root, args[0])
		conf.snapshot = path
		return err
	},
	"fallthrough": func(conf *block, args []string) error {
		if err := config.Separated(args); err != nil {
			return err
		}
		for _, arg := range args {
			if _, ok := dns.IsDomainName(arg); !ok || len(plugin.Host(arg).NormalizeExact()) == 0 {
				return fmt.Errorf("%q is not a zone", arg)
			}
		}
		conf.fall.SetZonesFromArgs(args)
		return nil
	},
}

// property returns the parser of a property, nil if there is none.
func (conf *block) property(name string) func(args []string) error {
	if parse := properties[name]; parse != nil {
		return func(args []string) error { return parse(conf, args) }
	}
	if parse := config.Properties[name]; parse != nil {
		return func(args []string) error { return parse(&conf.source, args) }
	}
	return nil
}

func propertyNames() []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(properties)), maps.Keys(config.Properties))
	slices.Sort(names)
	return names
}

// parseNS reads the name servers' names, or the addresses of the one that is ours (D26).
func parseNS(conf *block, args []string) error {
	if err := config.List(args, "NAME... or ADDRESS..."); err != nil {
		return err
	}
	for _, arg := range args {
		if addr, err := netip.ParseAddr(arg); err == nil {
			if addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast() {
				return fmt.Errorf("%q is not an address that clients can reach", arg)
			}
			conf.glue = append(conf.glue, addr)
			continue
		}
		domain, err := lb.Name(arg)
		if err != nil {
			return err
		}
		conf.nameservers = appendNew(conf.nameservers, domain+".")
	}
	if conf.glue != nil && conf.nameservers != nil {
		return config.Wants(args, "either names or addresses")
	}
	return nil
}

func number(args []string, what string, limit int) (int, error) {
	if len(args) != 1 {
		return 0, config.Wants(args, what)
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 0 || n > limit {
		return 0, config.Wants(args, fmt.Sprintf("%s from 0 to %d", what, limit))
	}
	return n, nil
}
