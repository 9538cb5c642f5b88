package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/cmd/minilb/stanza"
	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/printable"
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
		"zones, classes, claim lines and so on (default that of the DNS server in\nthe cluster, else built from -domain, -class and -default-class)")
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

// find returns the stanzas of the DNS server in the cluster, and whether there are any, where no flag says what
// it is told; else the given ones. The note, "" for none, is a line for the user: whose Corefile it is, or why that
// cannot be had.
func (r *resolver) find(ctx context.Context, config *rest.Config, given []stanza.Stanza) (stanzas []stanza.Stanza, found bool, note string) {
	if r.corefile != "" || r.domain != lb.DefaultDomain || r.class != lb.DefaultClass || r.defaultClass {
		return given, false, ""
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return given, false, "" // who reads the cluster says so
	}
	server, err := stanza.Find(ctx, client)
	failure := new(kube.Failure)
	switch {
	case errors.As(err, &failure) && failure.Kind != kube.Forbidden:
		return given, false, "" // likewise
	case err != nil:
		return given, false, printable.Line(fmt.Sprintf("minilb: the DNS server's Corefile is not known: %v; going by the defaults of -domain and -class: name it by -corefile", err)) + "\n"
	case server == nil:
		return given, false, ""
	}
	return server.Stanzas, true, printable.Line(fmt.Sprintf("minilb: going by the Corefile in ConfigMap %s, which %s mounts", server.ConfigMap, server.Workload)) + "\n"
}
