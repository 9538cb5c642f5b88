package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/probe"
)

// properties parse the arguments of each property of a plugin block.
var properties = map[string]func(b *Block, args []string) error{
	"class": func(b *Block, args []string) error {
		if len(args) != 1 {
			return wants(args, "NAME")
		}
		if problems := validation.IsQualifiedName(args[0]); len(problems) > 0 {
			return fmt.Errorf("%q cannot be a loadBalancerClass: %s", args[0], problems[0])
		}
		b.Options.Class = args[0]
		return nil
	},
	"default_class": func(b *Block, args []string) error { return set(&b.Options.DefaultClass, args) },
	"resources": func(b *Block, args []string) error {
		o := &b.Options
		o.Services, o.Ingresses, o.Gateways = slices.Contains(args, "service"), slices.Contains(args, "ingress"), slices.Contains(args, "gateway")
		return some(args, "KIND", "service", "ingress", "gateway")
	},
	"namespaces": func(b *Block, args []string) error {
		b.Options.Namespaces = Distinct(args)
		return namespaceNames(args)
	},
	"ingress_classes": func(b *Block, args []string) error {
		b.Options.IngressClasses = args
		return list(args, "NAME...")
	},
	"gateway_classes": func(b *Block, args []string) error {
		b.Options.GatewayClasses = args
		return list(args, "NAME...")
	},
	"require_accepted": func(b *Block, args []string) error {
		if len(args) != 1 || args[0] != "on" && args[0] != "off" {
			return wants(args, "on or off")
		}
		b.Options.IgnoreAccepted = args[0] == "off"
		return nil
	},
	"host_annotations": func(b *Block, args []string) error {
		if err := list(args, "NAME..."); err != nil {
			return err
		}
		for _, arg := range args {
			if arg != lb.HostAnnotation && lb.Known(arg) {
				return fmt.Errorf("%q has another meaning and lists no hosts: the default is %s", arg, lb.HostAnnotation)
			}
			if problems := validation.IsQualifiedName(strings.ToLower(arg)); len(problems) > 0 {
				return fmt.Errorf("%q cannot be an annotation: %s", arg, problems[0])
			}
		}
		b.Options.HostAnnotations = Distinct(args)
		return nil
	},
	"families": func(b *Block, args []string) error {
		b.Options.NoIPv4, b.Options.NoIPv6 = !slices.Contains(args, "ipv4"), !slices.Contains(args, "ipv6")
		return some(args, "FAMILY", "ipv4", "ipv6")
	},
	"https": func(b *Block, args []string) error { return set(&b.Options.HTTPS, args) },
	"claim": parseClaim,
	"addresses": func(b *Block, args []string) error { // D34
		if err := list(args, "CIDR..."); err != nil {
			return err
		}
		for _, arg := range args {
			network, err := parseNetwork(arg)
			if err != nil {
				return err
			}
			b.Options.Addresses = append(b.Options.Addresses, network)
		}
		return nil
	},
	"exclude_nodes": func(b *Block, args []string) error { // L6
		selector, err := labels.Parse(strings.Join(args, " "))
		switch {
		case len(args) == 0 || err == nil && selector.Empty():
			return wants(nil, "a SELECTOR of labels such as example.org/vps")
		case err != nil:
			return fmt.Errorf("%q is not a label selector such as example.org/vps or \"zone in (a, b)\": %w", strings.Join(args, " "), err)
		}
		b.Options.ExcludeNodes = selector
		return nil
	},
	"affinity": func(b *Block, args []string) error { return set(&b.Options.Affinity, args) }, // L4
	"near":     parseNear,
	"kubeconfig": func(b *Block, args []string) error {
		if len(args) != 1 && len(args) != 2 {
			return wants(args, "PATH [CONTEXT]")
		}
		b.Kubeconfig = args[0]
		if len(args) == 2 {
			b.Context = args[1]
		}
		return nil
	},
	"ttl": func(b *Block, args []string) error {
		ttl, err := number(args, "SECONDS", lb.MaxTTL)
		b.TTL = uint32(ttl)
		return err
	},
	"max_answers": func(b *Block, args []string) (err error) {
		b.MaxAnswers, err = number(args, "COUNT", 1<<16-1)
		return err
	},
	"ns": parseNS,
	"probe": func(b *Block, args []string) error {
		b.Options.Probe = probe.DefaultInterval
		if len(args) == 0 {
			return nil
		}
		interval, err := time.ParseDuration(args[0])
		if len(args) > 1 || err != nil || interval < probe.MinInterval || interval > probe.MaxInterval {
			return wants(args, fmt.Sprintf("nothing or an INTERVAL such as 500ms, from %v to %v", probe.MinInterval, probe.MaxInterval))
		}
		b.Options.Probe = interval
		return nil
	},
	"startup_timeout": func(b *Block, args []string) error {
		if len(args) != 1 {
			return wants(args, "DURATION")
		}
		timeout, err := time.ParseDuration(args[0])
		if err != nil || timeout < 0 {
			return wants(args, "a DURATION such as 5s, 0s or more")
		}
		b.StartupTimeout = timeout
		return nil
	},
	"snapshot": func(b *Block, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return wants(args, "PATH")
		}
		b.Snapshot = args[0]
		return nil
	},
	"fallthrough": func(b *Block, args []string) error {
		if len(args) == 0 {
			b.Fallthrough = []string{"."}
			return nil
		}
		if err := separated(args); err != nil {
			return err
		}
		for _, arg := range args {
			zones := zoneNames(arg)
			if _, ok := dns.IsDomainName(arg); !ok || len(zones) == 0 {
				return fmt.Errorf("%q is not a zone", arg)
			}
			b.Fallthrough = append(b.Fallthrough, zones...)
		}
		return nil
	},
}

// parseClaim reads "claim SUFFIX... [from NAMESPACE...]" (C6).
func parseClaim(b *Block, args []string) error {
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
	if err := separated(suffixes); err != nil {
		return err
	}
	for _, suffix := range suffixes {
		domain, err := lb.Name(suffix)
		if err != nil && suffix != "." {
			return fmt.Errorf("suffix: %w", err)
		}
		rule := ClaimRule{Suffix: dns.Fqdn(domain), Namespaces: namespaces}
		if slices.ContainsFunc(b.Options.Claims, func(r ClaimRule) bool { return r.Suffix == rule.Suffix }) {
			return fmt.Errorf("suffix %q is given twice: name all its namespaces in one line", suffix)
		}
		b.Options.Claims = append(b.Options.Claims, rule)
	}
	return nil
}

// parseNS reads the name servers' names, or the addresses of the one that is ours (D26).
func parseNS(b *Block, args []string) error {
	if err := list(args, "NAME... or ADDRESS..."); err != nil {
		return err
	}
	for _, arg := range args {
		if addr, err := netip.ParseAddr(arg); err == nil {
			if addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast() {
				return fmt.Errorf("%q is not an address that clients can reach", arg)
			}
			b.Glue = append(b.Glue, addr)
			continue
		}
		domain, err := lb.Name(arg)
		if err != nil {
			return err
		}
		b.Nameservers = appendNew(b.Nameservers, domain+".")
	}
	if b.Glue != nil && b.Nameservers != nil {
		return wants(args, "either names or addresses")
	}
	return nil
}

func set(option *bool, args []string) error {
	if len(args) != 0 {
		return wants(args, "no argument")
	}
	*option = true
	return nil
}

// some returns an error unless the arguments are some of the words.
func some(args []string, what string, words ...string) error {
	last := len(words) - 1
	if err := list(args, what+"...: "+strings.Join(words, ", ")); err != nil {
		return err
	}
	for _, arg := range args {
		if !slices.Contains(words, arg) {
			return wants([]string{arg}, strings.Join(words[:last], ", ")+" or "+words[last])
		}
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

func wants(args []string, what string) error {
	if len(args) == 0 {
		return fmt.Errorf("got nothing, want %s", what)
	}
	return fmt.Errorf("got %q, want %s", strings.Join(args, " "), what)
}

func list(args []string, what string) error {
	if len(args) == 0 {
		return wants(args, what)
	}
	return separated(args)
}

func separated(args []string) error {
	if slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, ",") }) {
		return fmt.Errorf("got %q: separate by spaces, not by commas", strings.Join(args, " "))
	}
	return nil
}

func namespaceNames(args []string) error {
	if err := list(args, "NAMESPACE..."); err != nil {
		return err
	}
	for _, arg := range args {
		if problems := validation.IsDNS1123Label(arg); len(problems) > 0 {
			return fmt.Errorf("%q cannot be a namespace: %s", arg, problems[0])
		}
	}
	return nil
}

// Distinct returns the arguments sorted, each once.
func Distinct(args []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(args)))
}

func appendNew(list []string, item string) []string {
	if slices.Contains(list, item) {
		return list
	}
	return append(list, item)
}
