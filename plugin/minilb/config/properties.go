package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// Defaults returns the options of a stanza that has no properties: all kinds of objects, of the
// default class. It names no zone.
func Defaults() Options {
	return Options{Class: lb.DefaultClass, Services: true, Ingresses: true, Gateways: true, HostAnnotations: []string{lb.HostAnnotation}}
}

// Properties read the arguments of a Corefile's properties that say which objects become names. An
// error says what the property got and what it takes.
var Properties = map[string]func(o *Options, args []string) error{
	"class": func(o *Options, args []string) error {
		if len(args) != 1 {
			return Wants(args, "NAME")
		}
		if problems := validation.IsQualifiedName(args[0]); len(problems) > 0 {
			return fmt.Errorf("%q cannot be a loadBalancerClass: %s", args[0], problems[0])
		}
		o.Class = args[0]
		return nil
	},
	"default_class": func(o *Options, args []string) error {
		if len(args) != 0 {
			return Wants(args, "no argument")
		}
		o.DefaultClass = true
		return nil
	},
	"resources": func(o *Options, args []string) error {
		if err := List(args, "KIND...: service, ingress, gateway"); err != nil {
			return err
		}
		o.Services, o.Ingresses, o.Gateways = false, false, false
		for _, arg := range args {
			switch arg {
			case "service":
				o.Services = true
			case "ingress":
				o.Ingresses = true
			case "gateway":
				o.Gateways = true
			default:
				return Wants([]string{arg}, "service, ingress or gateway")
			}
		}
		return nil
	},
	"namespaces": func(o *Options, args []string) error {
		o.Namespaces = Distinct(args)
		return namespaceNames(args)
	},
	"ingress_classes": func(o *Options, args []string) error {
		o.IngressClasses = args
		return List(args, "NAME...")
	},
	"gateway_classes": func(o *Options, args []string) error {
		o.GatewayClasses = args
		return List(args, "NAME...")
	},
	"require_accepted": func(o *Options, args []string) error {
		if len(args) != 1 || args[0] != "on" && args[0] != "off" {
			return Wants(args, "on or off")
		}
		o.IgnoreAccepted = args[0] == "off"
		return nil
	},
	"host_annotations": func(o *Options, args []string) error {
		if err := List(args, "NAME..."); err != nil {
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
		o.HostAnnotations = Distinct(args)
		return nil
	},
	"families": func(o *Options, args []string) error {
		if err := List(args, "FAMILY...: ipv4, ipv6"); err != nil {
			return err
		}
		o.NoIPv4, o.NoIPv6 = true, true
		for _, arg := range args {
			switch arg {
			case "ipv4":
				o.NoIPv4 = false
			case "ipv6":
				o.NoIPv6 = false
			default:
				return Wants([]string{arg}, "ipv4 or ipv6")
			}
		}
		return nil
	},
	"https": func(o *Options, args []string) error {
		if len(args) != 0 {
			return Wants(args, "no argument")
		}
		o.HTTPS = true
		return nil
	},
	"claim": parseClaim,
	"addresses": func(o *Options, args []string) error { // D34
		if err := List(args, "CIDR..."); err != nil {
			return err
		}
		for _, arg := range args {
			network, err := netip.ParsePrefix(arg)
			if err != nil || network.Addr().Is4In6() {
				return fmt.Errorf("%q is not a CIDR such as 192.168.1.0/24 or fd00::/64", arg)
			}
			o.Addresses = append(o.Addresses, network.Masked())
		}
		return nil
	},
}

// parseClaim reads "claim SUFFIX... [from NAMESPACE...]" (C6).
func parseClaim(o *Options, args []string) error {
	suffixes, namespaces := args, []string(nil)
	if i := slices.Index(args, "from"); i >= 0 {
		suffixes, namespaces = args[:i], args[i+1:]
		if err := namespaceNames(namespaces); err != nil {
			return fmt.Errorf("from: %w", err)
		}
	}
	if len(suffixes) == 0 {
		return Wants(args, "SUFFIX... [from NAMESPACE...]")
	}
	if err := Separated(suffixes); err != nil {
		return err
	}
	for _, suffix := range suffixes {
		domain, err := lb.Name(suffix)
		if err != nil && suffix != "." {
			return fmt.Errorf("suffix: %w", err)
		}
		rule := ClaimRule{Suffix: dns.Fqdn(domain), Namespaces: namespaces}
		if slices.ContainsFunc(o.Claims, func(r ClaimRule) bool { return r.Suffix == rule.Suffix }) {
			return fmt.Errorf("suffix %q is given twice: name all its namespaces in one line", suffix)
		}
		o.Claims = append(o.Claims, rule)
	}
	return nil
}

// Wants makes the error for arguments that are not what the property takes.
func Wants(args []string, what string) error {
	if len(args) == 0 {
		return fmt.Errorf("got nothing, want %s", what)
	}
	return fmt.Errorf("got %q, want %s", strings.Join(args, " "), what)
}

// List returns an error if the arguments are no list: there are none, or they have commas.
func List(args []string, what string) error {
	if len(args) == 0 {
		return Wants(args, what)
	}
	return Separated(args)
}

// Separated returns an error if some of the arguments are separated by commas.
func Separated(args []string) error {
	if slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, ",") }) {
		return fmt.Errorf("got %q: separate by spaces, not by commas", strings.Join(args, " "))
	}
	return nil
}

func namespaceNames(args []string) error {
	if err := List(args, "NAMESPACE..."); err != nil {
		return err
	}
	for _, arg := range args {
		if problems := validation.IsDNS1123Label(arg); len(problems) > 0 {
			return fmt.Errorf("%q cannot be a namespace: %s", arg, problems[0])
		}
	}
	return nil
}

func Distinct(args []string) []string {
	sorted := slices.Sorted(slices.Values(args))
	return slices.Compact(sorted)
}
