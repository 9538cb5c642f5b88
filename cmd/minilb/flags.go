package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/version"
)

// help is what "-h" prints beside the flags. No line is wider than 80 columns.
type help struct {
	synopsis, example string
	arguments         string // after the flags, "" for none
}

func (h help) print(w io.Writer, flags *flag.FlagSet) {
	var described strings.Builder
	flags.SetOutput(&described)
	flags.PrintDefaults()
	usage := flags.Name()
	if described.Len() > 0 {
		usage += " [flags]"
		described.WriteByte('\n')
	}
	usage = strings.TrimSpace(usage + " " + h.arguments)
	fmt.Fprintf(w, "%s\n\nUsage:\n  minilb %s\n\n%sExample:\n  %s\n", h.synopsis, usage, &described, h.example)
}

// parse reads a subcommand's flags and checks the number of its arguments. For "-h" it prints the help to stdout and
// returns flag.ErrHelp.
func parse(flags *flag.FlagSet, args []string, stdout io.Writer, help help) error {
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	if help.arguments != "" {
		err = parseMixed(flags, args)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		help.print(stdout, flags)
		return err
	case err != nil:
		return misused(flags.Name(), "%v", err)
	case help.arguments == "" && flags.NArg() > 0:
		return misused(flags.Name(), "unexpected argument %q", flags.Arg(0))
	case help.arguments != "" && flags.NArg() == 0:
		return misused(flags.Name(), "%s is missing", strings.TrimSuffix(help.arguments, "..."))
	}
	return nil
}

// parseMixed reads flags that may stand before, between and after the arguments.
func parseMixed(flags *flag.FlagSet, args []string) error {
	arguments := []string{"--"}
	for {
		if err := flags.Parse(args); err != nil {
			return err
		}
		if args = flags.Args(); len(args) == 0 {
			return flags.Parse(arguments)
		}
		arguments, args = append(arguments, args[0]), args[1:]
	}
}

type cluster struct{ kubeconfig, context string }

func clusterFlags(flags *flag.FlagSet) *cluster {
	c := new(cluster)
	flags.StringVar(&c.kubeconfig, "kubeconfig", "", "`path` of the kubeconfig; without one the pod's ServiceAccount,\n"+
		"$KUBECONFIG and ~/.kube/config are tried in this order")
	flags.StringVar(&c.context, "context", "", "`name` of a context in the kubeconfig (default the current one)")
	return c
}

// client returns a client for the cluster and its configuration. Nothing is dialled.
func (c *cluster) client() (kubernetes.Interface, *rest.Config, error) {
	config, err := kube.Config(c.kubeconfig, c.context)
	if err != nil {
		return nil, nil, err
	}
	config = kube.ClientConfig(config, "minilb/"+version.Current().Version)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("make a client of the kubeconfig: %w", err)
	}
	return client, config, nil
}

// networksFlag declares a repeatable flag for networks separated by commas. Empty is none.
func networksFlag(flags *flag.FlagSet, networks *[]netip.Prefix, name, usage string) {
	flags.Func(name, usage, func(list string) error {
		for text := range strings.SplitSeq(list, ",") {
			if list == "" {
				break
			}
			network, err := netip.ParsePrefix(strings.TrimSpace(text))
			if err != nil || network.Addr().Is4In6() {
				return errors.New("want networks separated by commas, such as 192.168.1.0/24")
			}
			*networks = append(*networks, network.Masked())
		}
		return nil
	})
}

// withinFlag declares the flag for the cluster's pod networks (R7b).
func withinFlag(flags *flag.FlagSet, lan *routes.LAN) {
	networksFlag(flags, &lan.Within, "within", "`networks` of the cluster's pods, separated by commas: there are no routes\n"+
		"to others (default all private ones, not those of the Internet)")
}

// podsFlag declares the flag for what assigns pod networks to nodes (R20).
func podsFlag(flags *flag.FlagSet, lan *routes.LAN) {
	lan.Provider = podnetworks.Auto
	flags.Func("pods", "`provider` of pod networks: cilium, calico, ovn, kube-router or podcidrs,\n"+
		"or auto for the one that the addresses of pods prove (default auto)", func(name string) (err error) {
		lan.Provider, err = podnetworks.ProviderByName(name)
		return err
	})
}
