package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"k8s.io/client-go/kubernetes"

	"github.com/minilb/minilb/cmd/minilb/corefile"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// corefileFlags name the Corefile of the DNS server, or what stands for it.
type corefileFlags struct {
	path, domain, class string
	defaultClass        bool
}

func addCorefileFlags(flags *flag.FlagSet) *corefileFlags {
	f := new(corefileFlags)
	flags.StringVar(&f.path, "corefile", "", "`path` of the DNS server's Corefile, - for standard input (default that\n"+
		"of the DNS server in the cluster, else built from -domain, -class and\n-default-class)")
	flags.StringVar(&f.domain, "domain", lb.DefaultDomain, "DNS `domain` below which Services are named")
	flags.StringVar(&f.class, "class", lb.DefaultClass, "`name` of the spec.loadBalancerClass that is ours")
	flags.BoolVar(&f.defaultClass, "default-class", false, "include Services without a class (default false)")
	return f
}

// replaced reports whether other flags than -corefile stand for a Corefile.
func (f *corefileFlags) replaced() bool {
	return f.domain != lb.DefaultDomain || f.class != lb.DefaultClass || f.defaultClass
}

// read returns the Corefile of the flag, or one built from the others.
func (f *corefileFlags) read() (*config.Corefile, error) {
	if f.path != "" && f.replaced() {
		return nil, errors.New("-corefile has the domain and the class: leave out -domain, -class and -default-class")
	}
	return readCorefile(f.path, f.domain, f.class, f.defaultClass)
}

// readCorefile returns the Corefile of a path, or one built from the rest if that is empty.
func readCorefile(path, domain, class string, defaultClass bool) (*config.Corefile, error) {
	switch path {
	case "":
		return config.Default(domain, class, defaultClass)
	case "-":
		return config.Read("Corefile", os.Stdin)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("-corefile: %w", err)
	}
	defer file.Close()
	return config.Read(path, file)
}

// find returns the Corefile of the DNS server in the cluster, nil if there is none or a flag is given. The note, "" for
// none, is a line for the user: whose Corefile it is, or why that cannot be read. Whoever reads the cluster reports
// all other errors.
func (f *corefileFlags) find(ctx context.Context, client kubernetes.Interface) (found *config.Corefile, note string) {
	if f.path != "" || f.replaced() {
		return nil, ""
	}
	server, err := corefile.Find(ctx, client)
	failure, is := errors.AsType[*kube.Error](err)
	switch {
	case is && failure.Kind != kube.Forbidden, err == nil && server == nil:
		return nil, ""
	case err != nil:
		return nil, printable.Line(fmt.Sprintf("minilb: cannot find the DNS server's Corefile: %v; using the defaults of -domain and -class: name it by -corefile", err)) + "\n"
	}
	return server.Corefile, printable.Line(fmt.Sprintf("minilb: using the Corefile in ConfigMap %s, mounted by %s", server.ConfigMap, server.Workload)) + "\n"
}
