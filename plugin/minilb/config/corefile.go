package config

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/coredns/caddy/caddyfile"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// Corefile is what the server blocks of a Corefile say about names.
type Corefile struct {
	Blocks []*Block // the plugin blocks, in order: at least one
	others []string // zones of the server blocks without the plugin
}

// Read parses a Corefile. Errors begin with the name of the file.
func Read(name string, corefile io.Reader) (*Corefile, error) {
	serverBlocks, err := caddyfile.Parse(name, corefile, nil)
	if err != nil {
		return nil, fmt.Errorf("read the Corefile: %w", err)
	}
	c := &Corefile{}
	for _, serverBlock := range serverBlocks {
		if err := checkVariables(serverBlock.Keys...); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		var zones []string
		for _, key := range serverBlock.Keys {
			of := zoneNames(key)
			if of == nil {
				return nil, fmt.Errorf("%s: %q is not a zone: a server block begins with its zones", name, key)
			}
			zones = append(zones, of...)
		}
		tokens, has := serverBlock.Tokens["minilb"]
		if !has {
			c.others = append(c.others, zones...)
			continue
		}
		dispenser := caddyfile.NewDispenserTokens(name, tokens)
		block, err := ParseBlock(&dispenser, serverBlock.Keys, nil)
		if err != nil {
			return nil, err
		}
		c.Blocks = append(c.Blocks, block)
	}
	if c.Blocks == nil {
		return nil, fmt.Errorf("%s: no server block has the plugin minilb", name)
	}
	return c, nil
}

// Default returns the Corefile of one server block for all names, whose plugin block has only these properties.
func Default(domain, class string, defaultClass bool) (*Corefile, error) {
	zone, err := lb.Domain(domain)
	if err != nil {
		return nil, fmt.Errorf("-domain: %w", err)
	}
	b := newBlock([]string{"."})
	b.Options.Zones, b.Options.DefaultClass = []string{zone + "."}, defaultClass
	if err := properties["class"](b, []string{class}); err != nil {
		return nil, fmt.Errorf("-class: %w", err)
	}
	return &Corefile{Blocks: []*Block{b}}, nil
}

// Options returns the options of each plugin block.
func (c *Corefile) Options() []Options {
	var all []Options
	for _, b := range c.Blocks {
		all = append(all, b.Options)
	}
	return all
}

// TTL returns the longest TTL of those plugin blocks that have such options, in seconds, and whether there are any.
func (c *Corefile) TTL(having func(*Options) bool) (ttl uint32, found bool) {
	for _, b := range c.Blocks {
		if having(&b.Options) {
			ttl, found = max(ttl, b.TTL), true
		}
	}
	return ttl, found
}

// Covered reports whether clients can ask for a name: a server block with the plugin is for it (D8).
func (c *Corefile) Covered(name string) bool {
	return slices.ContainsFunc(c.Blocks, func(b *Block) bool {
		return slices.ContainsFunc(b.ServerZones, func(zone string) bool { return hostname.InZone(name, zone) })
	})
}

// BlockOf returns the index of the plugin block that answers for a canonical name: that of the server block with the
// longest zone that the name lies in, the first one if none is. If that server block does not have the plugin, it
// returns its zone as well.
func (c *Corefile) BlockOf(name string) (index int, elsewhere string) {
	longest := -1
	for i, b := range c.Blocks {
		for _, zone := range b.ServerZones {
			if hostname.InZone(name, zone) && len(zone) > longest {
				index, longest = i, len(zone)
			}
		}
	}
	for _, zone := range c.others {
		if hostname.InZone(name, zone) && len(zone) > longest {
			elsewhere, longest = zone, len(zone)
		}
	}
	return index, elsewhere
}

const unknownVariable = "\x00"

// UnknownVariable returns what stands in a Corefile for a variable whose value is not known. Read returns an error
// that names the variable where its value matters.
func UnknownVariable(name string) string { return unknownVariable + name + unknownVariable }

// NameVariables returns the text with the bare names of such variables.
func NameVariables(text string) string { return strings.ReplaceAll(text, unknownVariable, "") }

// ofServer are the properties that decide nothing about which names there are and what they lead to.
var ofServer = []string{"kubeconfig", "ttl", "max_answers", "ns", "near", "probe", "startup_timeout", "snapshot"}

func checkVariables(words ...string) error {
	for _, word := range words {
		if parts := strings.SplitN(word, unknownVariable, 3); len(parts) == 3 {
			return fmt.Errorf("the variable %s is not known: the container has no literal value for it that is one word", parts[1])
		}
	}
	return nil
}
