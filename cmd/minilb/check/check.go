package check

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/cmd/minilb/inspect"
	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/plugin/minilb/cluster"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// Options say what is to be checked.
type Options struct {
	// Corefile is that of the DNS server.
	Corefile *config.Corefile
	// Guessed is set if nobody gave the Corefile, so that the server's may have more than this one.
	Guessed bool
	// DNSAccount and ControllerAccount are the ServiceAccounts, "namespace/name", whose permissions are
	// looked at; Auto for those that are labelled as deploy/ does it, "" for none.
	DNSAccount, ControllerAccount string
	// Server is the address and port of a DNS server whose answers are compared, "" for none.
	Server string
	// LAN is the network that the routes are for.
	LAN routes.LAN
}

// Run reads the cluster once, or twice if a DNS server's answers differ from it, and writes nothing.
// An error is one line; there is no report then.
func Run(ctx context.Context, kubeconfig *rest.Config, options Options) (*Report, error) {
	client, err := kubernetes.NewForConfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("make a client of the kubeconfig: %w", err)
	}
	c := newChecker(options, client, func(ctx context.Context, all ...config.Options) ([]*inspect.DryRun, error) {
		return inspect.Cluster(ctx, kubeconfig, options.Corefile.Covered, all...)
	})
	return c.run(ctx)
}

// dryRun reads the cluster as the DNS server does, once for all its plugin blocks.
type dryRun func(context.Context, ...config.Options) ([]*inspect.DryRun, error)

type checker struct {
	Options
	*state
	client  kubernetes.Interface
	dryRun  dryRun
	ask     asker             // of the DNS server whose answers are compared
	options []config.Options  // of the plugin blocks
	runs    []*inspect.DryRun // one for each plugin block
	served  []inspect.ServedKind
}

func newChecker(options Options, client kubernetes.Interface, run dryRun) *checker {
	return &checker{Options: options, client: client, dryRun: run, ask: over(options.Server), options: options.Corefile.Options()}
}

func (c *checker) run(ctx context.Context) (*Report, error) {
	if err := c.read(ctx); err != nil {
		return nil, err
	}
	problems := c.judge()
	lacking, err := c.missingPermissions(ctx)
	if err != nil {
		return nil, err
	}
	problems = append(problems, lacking...)
	if c.Server != "" {
		wrong, err := c.server(ctx)
		if err != nil {
			return nil, err
		}
		problems = append(problems, wrong...)
	}
	return &Report{Problems: sorted(problems), GatewayAPI: c.served}, nil
}

func (c *checker) read(ctx context.Context) (err error) {
	if c.runs, err = c.dryRun(ctx, c.options...); err != nil {
		return err
	}
	c.served = served(c.runs)
	if c.state, err = read(ctx, c.client, c.namespaces()); err != nil {
		return err
	}
	lan, unlocated := c.LAN.Locate(ctx, c.client)
	if c.LAN = lan; unlocated != nil && len(c.nodes) > 0 {
		c.unread = append(c.unread, Problem{Warning, "APIResource", "", "nodes", "Unread", unlocated.Error(),
			"run this where the API server's name can be resolved, with an account that may list endpointslices in the namespace default"})
	}
	return nil
}

func (c *checker) judge() []Problem {
	problems := slices.Concat(c.unread, c.nodeProblems(), c.statuses(), c.classes(), c.unsupported(), c.ports(), c.cilium(), c.annotations(), c.multicast(), c.missingCRDs(), c.inCluster())
	for n, i := range c.runs {
		problems = append(problems, c.openClaims(n)...)
		problems = append(problems, rejected(i.Problems())...)
		problems = append(problems, unavailable(i.Unavailable())...)
		for _, service := range i.Services() {
			problems = append(problems, c.endpoints(service)...)
		}
	}
	return problems
}

// namespaces returns those that are read, "" for all.
func (c *checker) namespaces() []string {
	var all []string
	for i := range c.options {
		all = append(all, cluster.NamespacesOf(&c.options[i])...)
	}
	if slices.Contains(all, metav1.NamespaceAll) {
		return []string{metav1.NamespaceAll}
	}
	return config.Distinct(all)
}

// exposed reports whether a Service is ours, and below which domain it is named in its status (S1).
func (c *checker) exposed(service *corev1.Service) (domain string, exposed bool) {
	if lb.Ignored(service.Labels) {
		return "", false
	}
	for i := range c.options {
		if o := &c.options[i]; lb.IsOurs(&service.Spec, o.Class, o.DefaultClass) {
			return strings.TrimSuffix(o.Zones[0], "."), true
		}
	}
	return "", false
}

// missingCRDs returns the kinds of the Gateway API that are missing while others are served.
func (c *checker) missingCRDs() []Problem {
	var problems []Problem
	if !slices.ContainsFunc(c.served, func(s inspect.ServedKind) bool { return s.Version != "" }) {
		return nil // nobody uses it
	}
	for _, kind := range c.served {
		without := map[string]string{
			"Gateway": "no host of a route is answered", "GatewayClass": "Gateways have no controller", "HTTPRoute": "no host of an HTTPRoute is answered",
		}[kind.Kind]
		if kind.Version == "" && without != "" {
			problems = append(problems, Problem{Warning, "CustomResourceDefinition", "", kind.Resource.String(), "MissingDefinition",
				fmt.Sprintf("the API server serves other kinds of the Gateway API and not this one: %s", without),
				"install all CRDs of the Gateway API's standard channel"})
		}
	}
	return problems
}

// served returns the kinds of the Gateway API, those that some server reads in the version that it does.
func served(runs []*inspect.DryRun) []inspect.ServedKind {
	var all []inspect.ServedKind
	for _, i := range runs {
		all = append(all, i.ServedKinds()...)
	}
	slices.SortFunc(all, func(a, b inspect.ServedKind) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(b.Version, a.Version))
	})
	return slices.CompactFunc(all, func(a, b inspect.ServedKind) bool { return a.Kind == b.Kind })
}
