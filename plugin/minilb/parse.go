package minilb

import (
	"fmt"
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
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/probe"
	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/source"
)

const (
	defaultTTL            = 5
	defaultMaxAnswers     = 16 // fits 512 bytes in either family (D23)
	defaultStartupTimeout = 5 * time.Second
	maxTTL                = 3600
)

// config is a stanza of the Corefile.
type config struct {
	root                string // where relative paths begin, as plugin root has it, "" for the working directory
	kubeconfig, context string
	source              source.Options
	reach               []string // zones of the server block, which questions come for (D8)
	ttl                 uint32
	maxAnswers          int
	nameservers         []string     // names of the zones' servers, nil for ns1 below each apex
	glue                []netip.Addr // addresses of ns1, nil for those the server is bound to
	startupTimeout      time.Duration
	snapshot            string // path of the file that the state is kept in, "" for none
	fall                fall.F
}

// parse reads the plugin's stanza. An error names the property, what it got and what it takes.
func parse(c *caddy.Controller) (*config, error) {
	conf := &config{
		root:           dnsserver.GetConfig(c).Root,
		source:         source.Options{Class: lb.DefaultClass, HostAnnotations: []string{lb.HostAnnotation}, Observe: observeProgramming},
		ttl:            defaultTTL,
		maxAnswers:     defaultMaxAnswers,
		startupTimeout: defaultStartupTimeout,
	}
	conf.source.Services, conf.source.Ingresses, conf.source.Gateways = true, true, true
	stanzas := 0
	for c.Next() {
		if stanzas++; stanzas > 1 {
			return nil, plugin.ErrOnce
		}
		if err := conf.parseZones(c); err != nil {
			return nil, c.Err(err.Error())
		}
		seen := map[string]bool{}
		for c.NextBlock() {
			name, args := c.Val(), c.RemainingArgs()
			parse := properties[name]
			if parse == nil {
				return nil, c.Errf("unknown property %q: want one of %s", name, strings.Join(propertyNames(), ", "))
			}
			if seen[name] && name != "claim" {
				return nil, c.Errf("%s is given twice: want it once", name)
			}
			seen[name] = true
			if err := parse(conf, args); err != nil {
				return nil, c.Errf("%s: %v", name, err)
			}
		}
	}
	return conf, nil
}

// parseZones takes the zones from the arguments or, without any, from the server block (D1).
func (conf *config) parseZones(c *caddy.Controller) error {
	args := c.RemainingArgs()
	zones := plugin.OriginsFromArgsOrServerBlock(args, c.ServerBlockKeys)
	if len(zones) < max(len(args), 1) {
		return fmt.Errorf("zones %q: not all of them are zone names", args)
	}
	for _, key := range c.ServerBlockKeys {
		conf.reach = append(conf.reach, plugin.Host(key).NormalizeExact()...)
	}
	for _, zone := range zones {
		_, reverse := records.ReversePrefix(zone)
		switch {
		case zone == ".":
			return fmt.Errorf("the root zone cannot be served, as every name there is would be answered for: name a zone, for example \"minilb %s\"", lb.DefaultDomain)
		case !reverse && dnsutil.IsReverse(zone) > 0:
			return fmt.Errorf("zone %q stands for no addresses: want whole octets or nibbles below in-addr.arpa or ip6.arpa, or a CIDR such as 10.244.0.0/16", zone)
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
		return fmt.Errorf("zones %q are reverse zones alone: name the zone of the Services as well, which their records point into, for example \"minilb %s %s\"", zones, lb.DefaultDomain, zones[0])
	}
	return nil
}

func appendNew(list []string, item string) []string {
	if slices.Contains(list, item) {
		return list
	}
	return append(list, item)
}

// properties parse their arguments into the configuration.
var properties = map[string]func(conf *config, args []string) error{
	"kubeconfig": func(conf *config, args []string) error {
		if len(args) != 1 && len(args) != 2 {
			return wants(args, "PATH [CONTEXT]")
		}
		conf.kubeconfig = args[0]
		if len(args) == 2 {
			conf.context = args[1]
		}
		return nil
	},
	"class": func(conf *config, args []string) error {
		if len(args) != 1 {
			return wants(args, "NAME")
		}
		if problems := validation.IsQualifiedName(args[0]); len(problems) > 0 {
			return fmt.Errorf("%q cannot be a loadBalancerClass: %s", args[0], problems[0])
		}
		conf.source.Class = args[0]
		return nil
	},
	"default_class": func(conf *config, args []string) error {
		if len(args) != 0 {
			return wants(args, "no argument")
		}
		conf.source.DefaultClass = true
		return nil
	},
	"resources": func(conf *config, args []string) error {
		conf.source.Services, conf.source.Ingresses, conf.source.Gateways = false, false, false
		for _, arg := range args {
			switch arg {
			case "service":
				conf.source.Services = true
			case "ingress":
				conf.source.Ingresses = true
			case "gateway":
				conf.source.Gateways = true
			default:
				return wants([]string{arg}, "service, ingress or gateway")
			}
		}
		return atLeastOne(args, "KIND...: service, ingress, gateway")
	},
	"namespaces": func(conf *config, args []string) error {
		conf.source.Namespaces = distinct(args)
		return namespaceNames(args)
	},
	"ingress_classes": func(conf *config, args []string) error {
		conf.source.IngressClasses = args
		return atLeastOne(args, "NAME...")
	},
	"gateway_classes": func(conf *config, args []string) error {
		conf.source.GatewayClasses = args
		return atLeastOne(args, "NAME...")
	},
	"require_accepted": func(conf *config, args []string) error {
		if len(args) != 1 || args[0] != "on" && args[0] != "off" {
			return wants(args, "on or off")
		}
		conf.source.Unaccepted = args[0] == "off"
		return nil
	},
	"host_annotations": func(conf *config, args []string) error {
		for _, arg := range args {
			if problems := validation.IsQualifiedName(strings.ToLower(arg)); len(problems) > 0 {
				return fmt.Errorf("%q cannot be an annotation: %s", arg, problems[0])
			}
		}
		conf.source.HostAnnotations = distinct(args)
		return atLeastOne(args, "NAME...")
	},
	"claim": parseClaim,
	"ttl": func(conf *config, args []string) error {
		ttl, err := number(args, "SECONDS", maxTTL)
		conf.ttl = uint32(ttl)
		return err
	},
	"max_answers": func(conf *config, args []string) error {
		count, err := number(args, "COUNT", 1<<16-1)
		conf.maxAnswers = count
		return err
	},
	"families": func(conf *config, args []string) error {
		conf.source.NoIPv4, conf.source.NoIPv6 = true, true
		for _, arg := range args {
			switch arg {
			case "ipv4":
				conf.source.NoIPv4 = false
			case "ipv6":
				conf.source.NoIPv6 = false
			default:
				return wants([]string{arg}, "ipv4 or ipv6")
			}
		}
		return atLeastOne(args, "FAMILY...: ipv4, ipv6")
	},
	"ns": parseNS,
	"https": func(conf *config, args []string) error {
		if len(args) != 0 {
			return wants(args, "no argument")
		}
		conf.source.HTTPS = true
		return nil
	},
	"probe": func(conf *config, args []string) error {
		conf.source.Probe = probe.DefaultInterval
		if len(args) == 0 {
			return nil
		}
		interval, err := time.ParseDuration(args[0])
		if len(args) > 1 || err != nil || interval < probe.MinInterval || interval > probe.MaxInterval {
			return wants(args, fmt.Sprintf("nothing or an INTERVAL such as 500ms, from %v to %v", probe.MinInterval, probe.MaxInterval))
		}
		conf.source.Probe = interval
		return nil
	},
	"startup_timeout": func(conf *config, args []string) error {
		if len(args) != 1 {
			return wants(args, "DURATION")
		}
		timeout, err := time.ParseDuration(args[0])
		if err != nil || timeout < 0 {
			return wants(args, "a DURATION such as 5s, 0s or more")
		}
		conf.startupTimeout = timeout
		return nil
	},
	"snapshot": func(conf *config, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return wants(args, "PATH")
		}
		path, err := snapshotPath(conf.root, args[0])
		conf.snapshot = path
		return err
	},
	"fallthrough": func(conf *config, args []string) error {
		for _, arg := range args {
			if _, ok := dns.IsDomainName(arg); !ok || len(plugin.Host(arg).NormalizeExact()) == 0 {
				return fmt.Errorf("%q is not a zone", arg)
			}
		}
		conf.fall.SetZonesFromArgs(args)
		return nil
	},
}

func propertyNames() []string {
	var names []string
	for name := range properties {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// parseClaim reads "claim SUFFIX... [from NAMESPACE...]" (C6).
func parseClaim(conf *config, args []string) error {
	suffixes, namespaces := args, []string(nil)
	if i := slices.Index(args, "from"); i >= 0 {
		suffixes, namespaces = args[:i], args[i+1:]
		if err := namespaceNames(namespaces); err != nil {
			return fmt.Errorf("from: %w", err)
		}
	}
	if len(suffixes) == 0 {
		return wants(args, "SUFFIX... [from NAMESPACE...]")
	}
	for _, suffix := range suffixes {
		domain, err := lb.Name(suffix)
		if err != nil && suffix != "." {
			return fmt.Errorf("suffix: %w", err)
		}
		rule := source.ClaimRule{Suffix: dns.Fqdn(domain), Namespaces: namespaces}
		if slices.ContainsFunc(conf.source.Claims, func(r source.ClaimRule) bool { return r.Suffix == rule.Suffix }) {
			return fmt.Errorf("suffix %q is given twice: name all its namespaces in one line", suffix)
		}
		conf.source.Claims = append(conf.source.Claims, rule)
	}
	return nil
}

// parseNS reads the name servers' names, or the addresses of the one that is ours (D26).
func parseNS(conf *config, args []string) error {
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
		return wants(args, "either names or addresses")
	}
	return atLeastOne(args, "NAME... or ADDRESS...")
}

// wants makes the error for arguments that are not what the property takes.
func wants(args []string, what string) error {
	if len(args) == 0 {
		return fmt.Errorf("got nothing, want %s", what)
	}
	return fmt.Errorf("got %q, want %s", strings.Join(args, " "), what)
}

func atLeastOne(args []string, what string) error {
	if len(args) == 0 {
		return wants(args, what)
	}
	return nil
}

func number(args []string, what string, limit int) (int, error) {
	if len(args) != 1 {
		return 0, wants(args, what)
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 0 || n > limit {
		return 0, wants(args, fmt.Sprintf("%s from 0 to %d", what, limit))
	}
	return n, nil
}

func namespaceNames(args []string) error {
	for _, arg := range args {
		if problems := validation.IsDNS1123Label(arg); len(problems) > 0 {
			return fmt.Errorf("%q cannot be a namespace: %s", arg, problems[0])
		}
	}
	return atLeastOne(args, "NAMESPACE...")
}

func distinct(args []string) []string {
	sorted := slices.Sorted(slices.Values(args))
	return slices.Compact(sorted)
}
