// Package stanza reads what a Corefile says to the plugin minilb, so that the commands that explain
// answers go by what the server goes by.
package stanza

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/coredns/caddy/caddyfile"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// Stanza is what one server block says of which objects become names.
type Stanza struct {
	// Blocks are the zones of the server block, canonical: what it is asked for.
	Blocks []string
	// Options are those of the plugin there.
	Options config.Options
	reach   []string // zones of all server blocks with the plugin, canonical; nil for all there are
	falls   []string // zones of which unknown names are passed on, canonical
	others  []string // zones of the server blocks without the plugin, canonical
}

// Covered reports whether a name can be asked for at all, as a server block with the plugin exists for it (D8).
func (s *Stanza) Covered(name string) bool {
	return s.reach == nil || slices.ContainsFunc(s.reach, func(zone string) bool { return hostname.InZone(name, zone) })
}

// Falls reports whether an unknown name is passed on to the plugins that follow: outside of the
// zones each is, within them those that fallthrough names (D2).
func (s *Stanza) Falls(name string) bool {
	within := func(zone string) bool { return hostname.InZone(name, zone) }
	return !slices.ContainsFunc(s.Options.Zones, within) && !slices.ContainsFunc(s.Options.ReverseZones, within) || slices.ContainsFunc(s.falls, within)
}

// Default returns the stanza of a server block for all names that has no properties but these.
func Default(domain, class string, defaultClass bool) (Stanza, error) {
	zone, err := lb.Domain(domain)
	if err != nil {
		return Stanza{}, fmt.Errorf("-domain: %w", err)
	}
	s := Stanza{Blocks: []string{"."}, Options: config.Defaults()}
	s.Options.Zones = []string{zone + "."}
	s.Options.DefaultClass = defaultClass
	if err := config.Properties["class"](&s.Options, []string{class}); err != nil {
		return Stanza{}, fmt.Errorf("-class: %w", err)
	}
	return s, nil
}

// Read returns the stanzas of a Corefile, in its order: at least one. Names in errors are relative
// to the name of the file.
func Read(name string, corefile io.Reader) ([]Stanza, error) {
	blocks, err := caddyfile.Parse(name, corefile, nil)
	if err != nil {
		return nil, fmt.Errorf("read the Corefile: %w", err)
	}
	var all []Stanza
	var reach, others []string
	for _, block := range blocks {
		if err := known(block.Keys...); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		tokens, has := block.Tokens["minilb"]
		if !has {
			others = append(others, zones(block.Keys)...)
			continue
		}
		s, err := read(block.Keys, caddyfile.NewDispenserTokens(name, tokens))
		if err != nil {
			return nil, err
		}
		reach = append(reach, s.Blocks...)
		all = append(all, s)
	}
	if all == nil {
		return nil, fmt.Errorf("%s: no server block has the plugin minilb", name)
	}
	for i := range all { // D8
		all[i].others = others
		all[i].reach = reach
	}
	return all, nil
}

// read reads the properties of one stanza that say which objects become names; all others are the
// server's own matter.
func read(keys []string, tokens caddyfile.Dispenser) (Stanza, error) {
	s := Stanza{Blocks: zones(keys), Options: config.Defaults()}
	tokens.Next()
	args := tokens.RemainingArgs()
	if err := known(args...); err != nil {
		return s, tokens.Err(err.Error())
	}
	named := zones(args)
	if named == nil {
		named = s.Blocks
	}
	for _, zone := range named {
		if _, reverse := records.ReversePrefix(zone); reverse {
			s.Options.ReverseZones = append(s.Options.ReverseZones, zone)
		} else if zone != "." {
			s.Options.Zones = append(s.Options.Zones, zone)
		}
	}
	if s.Options.Zones == nil {
		return s, tokens.Err("minilb has no zone for the Services: name one, for example \"minilb minilb\"")
	}
	for tokens.NextBlock() {
		name, args := tokens.Val(), tokens.RemainingArgs()
		parse := config.Properties[name]
		if parse == nil && name != "fallthrough" {
			continue
		}
		if err := known(args...); err != nil {
			return s, tokens.Errf("%s: %v", name, err)
		}
		if name == "fallthrough" {
			if s.falls = zones(args); len(args) == 0 {
				s.falls = []string{"."}
			}
		}
		if parse != nil {
			if err := parse(&s.Options, args); err != nil {
				return s, tokens.Errf("%s: %v", name, err)
			}
		}
	}
	return s, nil
}

// zones returns the names of zones as they are written in a Corefile, canonical. A network, as in
// 10.244.0.0/16, is left out: no host is named in its reverse zone.
func zones(written []string) []string {
	var all []string
	for _, key := range written {
		if _, rest, found := strings.Cut(key, "://"); found {
			key = rest
		}
		if strings.Contains(key, "/") {
			continue
		}
		name, _, _ := strings.Cut(key, ":")
		all = append(all, dns.CanonicalName(name))
	}
	return all
}

// For returns the index of the stanza that answers for a canonical name, as its server block is the
// one with the longest zone that the name lies in; the first one if none is. If that is a server block
// without the plugin, it returns its zone, too.
func For(all []Stanza, name string) (index int, elsewhere string) {
	length := -1
	for i, s := range all {
		for _, zone := range s.Blocks {
			if hostname.InZone(name, zone) && len(zone) > length {
				index, length = i, len(zone)
			}
		}
	}
	for _, zone := range all[0].others {
		if hostname.InZone(name, zone) && len(zone) > length {
			elsewhere, length = zone, len(zone)
		}
	}
	return index, elsewhere
}
