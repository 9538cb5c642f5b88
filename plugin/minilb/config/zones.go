package config

import (
	"slices"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// ServiceNames returns the names that an exposed Service has, one in each zone.
func (o *Options) ServiceNames(service cache.ObjectName) (names []string) {
	if o.Services {
		for _, zone := range o.Zones {
			names = append(names, service.Name+"."+service.Namespace+"."+zone)
		}
	}
	return names
}

// ServiceAt returns the Service that would have the name host by the structure of a zone (M3,
// D16), whether it is exposed or not. There is but one zone with two labels less.
func (o *Options) ServiceAt(host string) (service cache.ObjectName, ok bool) {
	for _, zone := range o.Zones {
		if !hostname.InZone(host, zone) {
			continue
		}
		if labels := hostname.Labels(host, zone); len(labels) == 2 {
			return cache.NewObjectName(labels[1], labels[0]), true
		}
	}
	return cache.ObjectName{}, false
}

// AllZones returns all zones, reverse zones last.
func (o *Options) AllZones() []string { return slices.Concat(o.Zones, o.ReverseZones) }

// Zone returns the longest of the zones that host lies in, or "" (M5b).
func (o *Options) Zone(host string) string {
	best := ""
	for _, zone := range o.Zones {
		if len(zone) > len(best) && hostname.InZone(host, zone) {
			best = zone
		}
	}
	return best
}
