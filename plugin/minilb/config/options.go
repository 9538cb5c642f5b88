// Package config is the grammar of a plugin block of the Corefile, which the plugin and the companion share, and what
// its properties mean for a name whatever the cluster has.
package config

import (
	"net/netip"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// Options are the properties of a plugin block that say which objects become names. Names of zones are
// canonical. The zero value of a list means all, unless stated otherwise.
type Options struct {
	Zones           []string // forward zones under which Services are named; none is valid
	ReverseZones    []string // reverse zones, in which no host can be claimed (D60); none is valid
	Class           string   // the loadBalancerClass that is ours (S6)
	DefaultClass    bool     // Services without a class are ours, too
	Services        bool     // Services have names, by their annotations too
	Ingresses       bool     // Ingresses have names
	Gateways        bool     // routes of the Gateway API have names
	Namespaces      []string // read only these
	IngressClasses  []string // take claims only from Ingresses of these classes (I6)
	GatewayClasses  []string // take claims only from routes on Gateways of these classes
	IgnoreAccepted  bool     // take routes by their spec, whether a controller has accepted them or not (G23)
	HostAnnotations []string // annotations of Services that claim hosts (M9); none is valid
	Claims          []ClaimRule
	Addresses       []netip.Prefix // networks that addresses of statuses and at the end of aliases must lie in (D34)
	NoIPv4, NoIPv6  bool           // leave out the addresses of a family (D20b)
	HTTPS           bool           // find out how HTTPS is served (D50)
	Probe           time.Duration  // how often endpoints are probed, 0 for never
	Affinity        bool           // Services with sessionAffinity ClientIP are answered in an order of each client's own (L4)
	Near            []NearRule     // which endpoints are near which clients (L5)
	// ExcludeNodes selects the nodes whose endpoints are answered only where there is no other (L6); nil for none.
	ExcludeNodes labels.Selector
}

// Defaults returns the options of a plugin block without properties: all kinds of objects, of the
// default class. It names no zone.
func Defaults() Options {
	return Options{Class: lb.DefaultClass, Services: true, Ingresses: true, Gateways: true, HostAnnotations: []string{lb.HostAnnotation}}
}

// ClaimRule lets namespaces claim names below a suffix (C6).
type ClaimRule struct {
	Suffix     string // canonical
	Namespaces []string
}

// FilterFamilies returns a copy of the addresses, without those of a family that is left out (D20b).
func (o *Options) FilterFamilies(addrs []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(addr netip.Addr) bool { return !o.WantsFamily(addr) })
}

// WantsFamily reports whether addresses of the family are answered with (D20b).
func (o *Options) WantsFamily(addr netip.Addr) bool {
	return addr.Is4() && !o.NoIPv4 || addr.Is6() && !o.NoIPv6
}

// MayClaim reports whether the rule with the longest suffix of host lets namespace claim it.
// Without any rule, everybody may claim everything (C6).
func (o *Options) MayClaim(host, namespace string) bool {
	if len(o.Claims) == 0 {
		return true
	}
	var best *ClaimRule
	for i := range o.Claims {
		rule := &o.Claims[i]
		if hostname.InZone(host, rule.Suffix) && (best == nil || len(rule.Suffix) > len(best.Suffix)) {
			best = rule
		}
	}
	return best != nil && (len(best.Namespaces) == 0 || slices.Contains(best.Namespaces, namespace))
}

// Withholds reports whether a claim rule gives the very name, and what is below it, to others (C6).
func (o *Options) Withholds(name, namespace string) bool {
	return slices.ContainsFunc(o.Claims, func(rule ClaimRule) bool { return rule.Suffix == name }) && !o.MayClaim(name, namespace)
}
