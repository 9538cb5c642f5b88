package check

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/cmd/minilb/inspect"
	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
	"github.com/minilb/minilb/plugin/minilb/cluster"
	"github.com/minilb/minilb/plugin/minilb/config"
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
	networks, err := podnetworks.NewClients(kubeconfig)
	if err != nil {
		return nil, err
	}
	c := newChecker(options, client, networks, func(ctx context.Context, all ...config.Options) ([]*inspect.DryRun, error) {
		return inspect.Cluster(ctx, kubeconfig, options.Corefile.Covered, all...)
	})
	return c.run(ctx)
}

// dryRun reads the cluster as the DNS server does, once for all its plugin blocks.
type dryRun func(context.Context, ...config.Options) ([]*inspect.DryRun, error)

type checker struct {
	Options
	client   kubernetes.Interface
	networks *podnetworks.Clients
	dryRun   dryRun
	ask      asker             // of the DNS server whose answers are compared
	options  []config.Options  // of the plugin blocks
	runs     []*inspect.DryRun // one for each plugin block
	served   []inspect.ServedKind

	// What the dry runs do not have: all fields of Services and EndpointSlices, Services of other types, nodes.
	services []*corev1.Service
	slices   map[cache.ObjectName][]*discoveryv1.EndpointSlice // by Service
	nodes    []*corev1.Node
	found    podnetworks.Found
	provider podnetworks.Choice

	problems []Problem // found so far
}

func newChecker(options Options, client kubernetes.Interface, networks *podnetworks.Clients, run dryRun) *checker {
	return &checker{
		Options: options, client: client, networks: networks, dryRun: run, ask: over(options.Server), options: options.Corefile.Options(),
		slices: map[cache.ObjectName][]*discoveryv1.EndpointSlice{},
	}
}

func (c *checker) add(p Problem) { c.problems = append(c.problems, p) }

func (c *checker) run(ctx context.Context) (*Report, error) {
	if err := c.read(ctx); err != nil {
		return nil, err
	}
	c.judge()
	if err := c.drainTime(ctx); err != nil {
		return nil, err
	}
	if err := c.permissions(ctx); err != nil {
		return nil, err
	}
	if c.Server != "" {
		if err := c.server(ctx); err != nil {
			return nil, err
		}
	}
	return &Report{Problems: sorted(c.problems), GatewayAPI: c.served}, nil
}

func (c *checker) judge() {
	c.checkNodes()
	for _, service := range c.services {
		c.checkService(service)
	}
	c.multicast()
	c.missingCRDs()
	c.inCluster()
	for n, i := range c.runs {
		c.openClaims(n)
		c.excludedNodes(&c.options[n])
		for _, o := range i.Annotated() {
			if !o.Ignored {
				c.lint(o.Kind, o.Namespace, o.Name, o.Labels, o.Annotations, true)
			}
		}
		c.rejected(i.Problems())
		c.zeroWeights(i)
		c.unavailable(i.Unavailable())
	}
}

// distinct returns what all plugin blocks have together, sorted, each once.
func (c *checker) distinct(of func(*config.Options) []string) []string {
	var all []string
	for i := range c.options {
		all = append(all, of(&c.options[i])...)
	}
	return config.Distinct(all)
}

// namespaces returns those that are read, "" for all.
func (c *checker) namespaces() []string {
	all := c.distinct(cluster.NamespacesOf)
	if all[0] == metav1.NamespaceAll {
		return all[:1]
	}
	return all
}

// missingCRDs finds the kinds of the Gateway API that are missing while others are served: nobody uses it otherwise.
func (c *checker) missingCRDs() {
	if !slices.ContainsFunc(c.served, func(s inspect.ServedKind) bool { return s.Version != "" }) {
		return
	}
	for _, kind := range c.served {
		without := map[string]string{
			"Gateway": "no host of a route is answered", "GatewayClass": "Gateways have no controller", "HTTPRoute": "no host of an HTTPRoute is answered",
		}[kind.Kind]
		if kind.Version == "" && without != "" {
			c.add(Problem{Warning, "CustomResourceDefinition", "", kind.Resource.String(), "MissingDefinition",
				fmt.Sprintf("the API server serves other kinds of the Gateway API and not this one: %s", without),
				"install all CRDs of the Gateway API's standard channel"})
		}
	}
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
