package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/cmd/minilb/access"
	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// permission is what an account must be able to do with a resource.
type permission struct {
	resource string // as in "services/status" or "ingresses.networking.k8s.io"
	verbs    []string
	severity Severity                     // if it is missing; what follows a Notice is needed for the same
	cluster  bool                         // the resource is in no namespace, or is needed in all
	needed   func(o *config.Options) bool // whether a plugin block needs it, nil for always
	without  string                       // what follows if it is missing
}

var (
	ingresses = func(o *config.Options) bool { return o.Ingresses }
	gateways  = func(o *config.Options) bool { return o.Gateways }
	excludes  = func(o *config.Options) bool { return o.ExcludeNodes != nil }
	watch     = []string{"list", "watch"}
)

// dnsPermissions are those of the DNS server, as the ClusterRole of deploy/kustomize has them.
var dnsPermissions = []permission{
	{"services", watch, Error, false, nil, "no name can be answered"},
	{"endpointslices.discovery.k8s.io", watch, Error, false, nil, "no name can be answered"},
	{"ingresses.networking.k8s.io", watch, Error, false, ingresses, "hosts of Ingresses are not answered"},
	{"namespaces", watch, Error, true, gateways, "listeners that select routes by the labels of their namespaces take none, and the names of other namespaces can be claimed in the zone"},
	{"gatewayclasses." + object.GatewayGroup, watch, Error, true, gateways, "acceptance by any controller counts, and gateway_classes cannot be applied"},
	{"gateways." + object.GatewayGroup, watch, Error, false, gateways, "hosts of routes are not answered"},
	{"listenersets." + object.GatewayGroup, watch, Error, false, gateways, "hosts of routes on ListenerSets are not answered"},
	{"httproutes." + object.GatewayGroup, watch, Error, false, gateways, "hosts of HTTPRoutes are not answered"},
	{"grpcroutes." + object.GatewayGroup, watch, Error, false, gateways, "hosts of GRPCRoutes are not answered"},
	{"tlsroutes." + object.GatewayGroup, watch, Error, false, gateways, "hosts of TLSRoutes are not answered"},
	{"xlistenersets." + object.GatewayXGroup, watch, Error, false, gateways, "hosts of routes on XListenerSets are not answered"},
}

// optInPermissions are what the DNS server needs beyond that, for properties that are off by default: that of
// deploy/kustomize/components/exclude-nodes.
var optInPermissions = []permission{
	{"nodes", watch, Error, true, excludes, "exclude_nodes has no effect"},
}

// controllerPermissions are those of the controller, likewise, with what its provider of pod networks takes (R20). It can do
// without Events (-events=false), which take the permission to write them, and to read what the DNS server does; pods come last,
// as a Notice ends the list.
func controllerPermissions(networks podnetworks.Choice) []permission {
	list := []string{"list"}
	all := []permission{
		{"services", watch, Error, true, nil, "it writes no status"},
		{"services/status", []string{"patch"}, Error, true, nil, "it writes no status"},
		{"nodes", list, Error, true, nil, "it prints no routes"},
		{"endpointslices.discovery.k8s.io", list, Error, true, nil, "it does not warn of pods that the routes do not reach"},
	}
	for _, resource := range networks.Resources() {
		all = append(all, permission{resource, list, Warning, true, nil,
			fmt.Sprintf("it prints no routes to the pod networks of %s, nor writes Events by them: deploy/kustomize/components/%[1]s lets it", networks.Provider)})
	}
	all = append(all, permission{"events.events.k8s.io", []string{"create"}, Notice, true, nil, "it writes no Events"})
	for _, p := range dnsPermissions[2:] { // it has those for Services and EndpointSlices
		p.severity, p.without = Warning, "its Events tell nothing of what depends on them"
		all = append(all, p)
	}
	return append(all, permission{"pods", list, Notice, true, nil, "it writes no Events NoDrainTime"})
}

// component is a program of ours that has ServiceAccounts.
type component struct {
	label, account, flag, role string
	permissions                []permission
}

// Auto stands for the accounts that are labelled as those of deploy/ are.
const Auto = "auto"

// accounts returns the ServiceAccounts of a component: the one that is named, those that are labelled
// as deploy/ does it for Auto, none for "".
func (c *checker) accounts(ctx context.Context, of component) ([]cache.ObjectName, error) {
	switch of.account {
	case "":
		return nil, nil
	case Auto:
	default:
		namespace, name, _ := strings.Cut(of.account, "/")
		return []cache.ObjectName{cache.NewObjectName(namespace, name)}, nil
	}
	list, err := c.client.CoreV1().ServiceAccounts(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/component=" + of.label,
	})
	if err != nil {
		return nil, err
	}
	var all []cache.ObjectName
	for i := range list.Items {
		// The name is another with the chart's nameOverride.
		if labels := list.Items[i].Labels; labels["app.kubernetes.io/name"] == "minilb" || labels["app.kubernetes.io/part-of"] == "minilb" {
			all = append(all, cache.MetaObjectToName(&list.Items[i]))
		}
	}
	return all, nil
}

// granted returns those of several accounts that have a permission, all of them if none has: a tenant may label one, too.
func (c *checker) granted(ctx context.Context, names []cache.ObjectName, p permission) ([]cache.ObjectName, error) {
	var granted []cache.ObjectName
	for _, name := range names {
		missing, err := c.missing(ctx, name, p)
		if err != nil {
			return nil, err
		}
		if missing == "" {
			granted = append(granted, name)
		}
	}
	if granted == nil {
		return names, nil
	}
	return granted, nil
}

// permissions finds what our ServiceAccounts lack. If this account may not ask, that is one problem.
func (c *checker) permissions(ctx context.Context) error {
	for _, of := range []component{
		{"dns", c.DNSAccount, "-dns-account", "DNS server", slices.Concat(dnsPermissions, optInPermissions)},
		{"controller", c.ControllerAccount, "-controller-account", "controller", controllerPermissions(c.provider)},
	} {
		err := c.component(ctx, of)
		switch {
		case apierrors.IsForbidden(err):
			c.add(Problem{Notice, "APIResource", "", "subjectaccessreviews.authorization.k8s.io", "RightsUnknown",
				"this account may not create SubjectAccessReviews: the permissions of our ServiceAccounts are not checked",
				"run this as an administrator, or leave them out with -dns-account= -controller-account="})
			return nil
		case err != nil:
			return kube.Classify("ask for permissions by", "subjectaccessreviews", err)
		}
	}
	return nil
}

func (c *checker) component(ctx context.Context, of component) error {
	names, err := c.accounts(ctx, of)
	if err == nil && len(names) > 1 {
		names, err = c.granted(ctx, names, of.permissions[0])
	}
	if err != nil {
		return err
	}
	if len(names) == 0 && of.account == Auto {
		c.add(Problem{Notice, "APIResource", "", "serviceaccounts", "RightsUnknown",
			fmt.Sprintf("no ServiceAccount of the %s was found by the labels of deploy/: its permissions are not checked", of.role),
			fmt.Sprintf("name it by %s, or leave it out with %[1]s= if there is none", of.flag)})
	}
	for _, name := range names {
		if err := c.account(ctx, name, of); err != nil {
			return err
		}
	}
	return nil
}

// account finds the permissions that an account lacks, a problem for each resource.
func (c *checker) account(ctx context.Context, name cache.ObjectName, of component) error {
	_, err := c.client.CoreV1().ServiceAccounts(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		c.add(Problem{Error, "ServiceAccount", name.Namespace, name.Name, "NoServiceAccount", "it does not exist",
			"apply deploy/kustomize or the chart, or name the one that runs by " + of.flag})
		return nil
	}
	if err != nil {
		return err
	}
	for _, p := range of.permissions {
		verbs, err := c.missing(ctx, name, p)
		if err != nil {
			return err
		}
		if verbs == "" {
			continue
		}
		fix := fmt.Sprintf("apply deploy/kustomize or the chart again, or grant %s on %s to it in a ClusterRole", verbs, p.resource)
		if c.Guessed && !p.cluster { // its Role may be all that it takes
			fix += "; or give the server's Corefile by -corefile if it reads some namespaces only"
		}
		c.add(Problem{p.severity, "ServiceAccount", name.Namespace, name.Name, "MissingRight", fmt.Sprintf("it may not %s %s: %s", verbs, p.resource, p.without), fix})
		if p.severity == Notice {
			break
		}
	}
	return nil
}

// missing returns what the account may not do with a resource, such as "list and watch", "" if it may
// all that is needed.
func (c *checker) missing(ctx context.Context, name cache.ObjectName, p permission) (string, error) {
	if !c.needs(p) {
		return "", nil
	}
	namespaces := c.namespaces()
	if p.cluster {
		namespaces = []string{metav1.NamespaceAll}
	}
	of := schema.ParseGroupResource(p.resource)
	resource, subresource, _ := strings.Cut(of.Resource, "/")
	var missing []string
	for _, namespace := range namespaces {
		for _, verb := range p.verbs {
			allowed, err := access.May(ctx, c.client, name, authorizationv1.ResourceAttributes{
				Namespace: namespace, Verb: verb, Group: of.Group, Resource: resource, Subresource: subresource,
			})
			if err != nil {
				return "", err
			}
			if !allowed && !slices.Contains(missing, verb) {
				missing = append(missing, verb)
			}
		}
	}
	return strings.Join(missing, " and "), nil
}

func (c *checker) needs(p permission) bool {
	for _, kind := range c.served {
		if kind.Resource.String() == p.resource && kind.Version == "" {
			return false // nobody reads what is not served
		}
	}
	return p.needed == nil || slices.ContainsFunc(c.options, func(o config.Options) bool { return p.needed(&o) })
}
