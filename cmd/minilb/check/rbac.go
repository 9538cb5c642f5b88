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
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// permission is what an account must be able to do with a resource.
type permission struct {
	group, resource string // the resource as in "services/status"
	verbs           []string
	cluster         bool                         // the resource is in no namespace, or is needed in all
	needed          func(o *config.Options) bool // whether a plugin block needs it, nil for always
	without         string                       // what follows if it is missing
}

var (
	ingresses = func(o *config.Options) bool { return o.Ingresses }
	gateways  = func(o *config.Options) bool { return o.Gateways }
	watch     = []string{"list", "watch"}
)

// dnsPermissions are those of the DNS server, as the ClusterRole of deploy/kustomize has them.
var dnsPermissions = []permission{
	{"", "services", watch, false, nil, "no name can be answered"},
	{"discovery.k8s.io", "endpointslices", watch, false, nil, "no name can be answered"},
	{"networking.k8s.io", "ingresses", watch, false, ingresses, "hosts of Ingresses are not answered"},
	{"", "namespaces", watch, true, gateways, "listeners that select routes by the labels of their namespaces take none, and the names of other namespaces can be claimed in the zone"},
	{object.GatewayGroup, "gatewayclasses", watch, true, gateways, "acceptance by any controller counts, and gateway_classes cannot be applied"},
	{object.GatewayGroup, "gateways", watch, false, gateways, "hosts of routes are not answered"},
	{object.GatewayGroup, "listenersets", watch, false, gateways, "hosts of routes on ListenerSets are not answered"},
	{object.GatewayGroup, "httproutes", watch, false, gateways, "hosts of HTTPRoutes are not answered"},
	{object.GatewayGroup, "grpcroutes", watch, false, gateways, "hosts of GRPCRoutes are not answered"},
	{object.GatewayGroup, "tlsroutes", watch, false, gateways, "hosts of TLSRoutes are not answered"},
	{object.GatewayXGroup, "xlistenersets", watch, false, gateways, "hosts of routes on XListenerSets are not answered"},
}

// controllerPermissions are those of the controller, likewise.
var controllerPermissions = []permission{
	{"", "services", watch, true, nil, "it writes no status"},
	{"", "services/status", []string{"patch"}, true, nil, "it writes no status"},
	{"", "nodes", []string{"list"}, true, nil, "it prints no routes"},
	{"discovery.k8s.io", "endpointslices", []string{"list"}, true, nil, "it does not warn of pods that the routes do not reach"},
}

// eventPermissions are what the controller's Events take beside those: to write them, and to read what the
// DNS server does.
var eventPermissions = func() []permission {
	all := []permission{{"events.k8s.io", "events", []string{"create"}, true, nil, "it writes no Events"}}
	for _, r := range dnsPermissions {
		if r.resource != "services" && r.resource != "endpointslices" {
			r.without = "its Events tell nothing of what depends on them"
			all = append(all, r)
		}
	}
	return all
}()

// component is a program of ours that has ServiceAccounts.
type component struct {
	label, account, flag, role string
	permissions                []permission
	events                     []permission // that it needs for Events, the one to write them first; it can do without
}

// Auto stands for the accounts that are labelled as those of deploy/ are.
const Auto = "auto"

// accounts returns the ServiceAccounts of a component: the one that is named, those that are labelled
// as deploy/ does it for Auto, none for "".
func (c *checker) accounts(ctx context.Context, name, component string) ([]cache.ObjectName, error) {
	if name == "" {
		return nil, nil
	}
	if name != Auto {
		namespace, name, _ := strings.Cut(name, "/")
		return []cache.ObjectName{cache.NewObjectName(namespace, name)}, nil
	}
	list, err := c.client.CoreV1().ServiceAccounts(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/component=" + component,
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
func (c *checker) granted(ctx context.Context, names []cache.ObjectName, r permission) ([]cache.ObjectName, error) {
	var granted []cache.ObjectName
	for _, name := range names {
		missing, err := c.missing(ctx, name, r)
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

// missingPermissions returns what our ServiceAccounts lack. If this account may not ask, that is one problem.
func (c *checker) missingPermissions(ctx context.Context) ([]Problem, error) {
	var problems []Problem
	for _, component := range []component{
		{"dns", c.DNSAccount, "-dns-account", "DNS server", dnsPermissions, nil},
		{"controller", c.ControllerAccount, "-controller-account", "controller", controllerPermissions, eventPermissions},
	} {
		names, err := c.accounts(ctx, component.account, component.label)
		if err == nil && len(names) > 1 {
			names, err = c.granted(ctx, names, component.permissions[0])
		}
		for _, name := range names {
			var lacking []Problem
			if lacking, err = c.lacking(ctx, name, component); err != nil {
				break
			}
			problems = append(problems, lacking...)
		}
		switch {
		case apierrors.IsForbidden(err):
			return append(problems, Problem{Notice, "APIResource", "", "subjectaccessreviews.authorization.k8s.io", "RightsUnknown",
				"this account may not create SubjectAccessReviews: the permissions of our ServiceAccounts are not checked",
				"run this as an administrator, or leave them out with -dns-account= -controller-account="}), nil
		case err != nil:
			return nil, kube.Classify("ask for permissions by", "subjectaccessreviews", err)
		case len(names) == 0 && component.account == Auto:
			problems = append(problems, Problem{Notice, "APIResource", "", "serviceaccounts", "RightsUnknown",
				fmt.Sprintf("no ServiceAccount of the %s was found by the labels of deploy/: its permissions are not checked", component.role),
				fmt.Sprintf("name it by %s, or leave it out with %[1]s= if there is none", component.flag)})
		}
	}
	return problems, nil
}

// lacking returns the permissions that an account lacks, a problem for each resource.
func (c *checker) lacking(ctx context.Context, name cache.ObjectName, of component) ([]Problem, error) {
	_, err := c.client.CoreV1().ServiceAccounts(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return []Problem{{Error, "ServiceAccount", name.Namespace, name.Name, "NoServiceAccount", "it does not exist",
			"apply deploy/kustomize or the chart, or name the one that runs by " + of.flag}}, nil
	}
	if err != nil {
		return nil, err
	}
	var problems []Problem
	for _, r := range of.permissions {
		missing, err := c.missing(ctx, name, r)
		if err != nil {
			return nil, err
		}
		if missing != "" {
			problems = append(problems, c.lacks(name, r, missing, Error))
		}
	}
	for i, r := range of.events {
		missing, err := c.missing(ctx, name, r)
		switch {
		case err != nil:
			return nil, err
		case missing != "" && i == 0: // as it should be with -events=false
			return append(problems, c.lacks(name, r, missing, Notice)), nil
		case missing != "":
			problems = append(problems, c.lacks(name, r, missing, Warning))
		}
	}
	return problems, nil
}

func (c *checker) lacks(name cache.ObjectName, r permission, verbs string, severity Severity) Problem {
	fix := fmt.Sprintf("apply deploy/kustomize or the chart again, or grant %s on %s to it in a ClusterRole", verbs, r)
	if c.Guessed && !r.cluster { // its Role may be all that it takes
		fix += "; or give the server's Corefile by -corefile if it reads some namespaces only"
	}
	return Problem{severity, "ServiceAccount", name.Namespace, name.Name, "MissingRight", fmt.Sprintf("it may not %s %s: %s", verbs, r, r.without), fix}
}

// missing returns what the account may not do with a resource, such as "list and watch", "" if it may
// all that is needed.
func (c *checker) missing(ctx context.Context, name cache.ObjectName, r permission) (string, error) {
	if !c.needs(r) {
		return "", nil
	}
	namespaces := c.namespaces()
	if r.cluster {
		namespaces = []string{metav1.NamespaceAll}
	}
	resource, subresource, _ := strings.Cut(r.resource, "/")
	var missing []string
	for _, namespace := range namespaces {
		for _, verb := range r.verbs {
			allowed, err := access.May(ctx, c.client, name, authorizationv1.ResourceAttributes{
				Namespace: namespace, Verb: verb, Group: r.group, Resource: resource, Subresource: subresource,
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

func (c *checker) needs(r permission) bool {
	for _, kind := range c.served {
		if kind.Resource == (schema.GroupResource{Group: r.group, Resource: r.resource}) && kind.Version == "" {
			return false // nobody reads what is not served
		}
	}
	return r.needed == nil || slices.ContainsFunc(c.options, func(o config.Options) bool { return r.needed(&o) })
}

func (r permission) String() string {
	return schema.GroupResource{Group: r.group, Resource: r.resource}.String()
}
