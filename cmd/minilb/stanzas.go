package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/minilb/minilb/cmd/minilb/stanza"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// resolver says what the DNS server is told in its Corefile.
type resolver struct {
	corefile, domain, class string
	defaultClass            bool
}

// resolverFlags declares the flags of the subcommands that find out what the DNS server answers.
func resolverFlags(flags *flag.FlagSet) *resolver {
	r := new(resolver)
	flags.StringVar(&r.corefile, "corefile", "", "`path` of the DNS server's Corefile, - for standard input, to go by its\n"+
		"zones, classes, claim lines and so on (default a stanza of minilb that\nhas no properties but those that other flags name)")
	flags.StringVar(&r.domain, "domain", lb.DefaultDomain, "DNS `domain` below which Services are named")
	flags.StringVar(&r.class, "class", lb.DefaultClass, "`name` of the spec.loadBalancerClass that is ours")
	flags.BoolVar(&r.defaultClass, "default-class", false, "Services without a class are ours, too (default false)")
	return r
}

// stanzas returns what the Corefile says, or else the flags.
func (r *resolver) stanzas() ([]stanza.Stanza, error) {
	if r.corefile == "" {
		s, err := stanza.Default(r.domain, r.class, r.defaultClass)
		return []stanza.Stanza{s}, err
	}
	if r.domain != lb.DefaultDomain || r.class != lb.DefaultClass || r.defaultClass {
		return nil, fmt.Errorf("-corefile says the domain and the class: leave out -domain, -class and -default-class")
	}
	if r.corefile == "-" {
		return stanza.Read("Corefile", os.Stdin)
	}
	file, err := os.Open(r.corefile)
	if err != nil {
		return nil, fmt.Errorf("-corefile: %w", err)
	}
	defer file.Close()
	return stanza.Read(r.corefile, file)
}
