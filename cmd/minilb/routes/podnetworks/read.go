package podnetworks

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/kube"
)

// The API groups of Calico: of its CRDs, and of its API server or, in new versions, of CRDs without one.
const (
	calicoGroup    = "crd.projectcalico.org"
	calicoAPIGroup = "projectcalico.org"
)

// apiGroups is what a discovery reads.
const apiGroups = "API groups"

var (
	apiBlocks     = calico(calicoAPIGroup, "v3", "ipamblocks") // which Calico's own API server does not have
	crdAffinities = calico(calicoGroup, "v1", "blockaffinities")
)

// kind is a resource that says which networks pods have.
type kind struct {
	provider Provider
	kind     string
	resource schema.GroupVersionResource
	read     func(*unstructured.Unstructured) Assignment
}

var kinds = []kind{
	{Cilium, "CiliumNode", schema.GroupVersionResource{Group: "cilium.io", Version: "v2", Resource: "ciliumnodes"}, readCiliumNode},
	{Calico, "BlockAffinity", calico(calicoAPIGroup, "v3", "blockaffinities"), readBlockAffinity},
	{Calico, "IPAMBlock", apiBlocks, readIPAMBlock},
	{Calico, "BlockAffinity", crdAffinities, readBlockAffinity},
	{Calico, "IPAMBlock", calico(calicoGroup, "v1", "ipamblocks"), readIPAMBlock},
}

func calico(group, version, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
}

// Object is what is kept of an object of one of the kinds.
type Object struct {
	name       cache.ObjectName
	assignment Assignment
}

// Key implements the informer.Object interface.
func (o *Object) Key() cache.ObjectName { return o.name }

// reduce returns what is kept of an object, nil for one whose name the API server would not accept (R7b).
func (k *kind) reduce(full *unstructured.Unstructured) *Object {
	if len(validation.IsDNS1123Subdomain(full.GetName())) > 0 {
		return nil
	}
	return &Object{cache.ObjectName{Name: full.GetName()}, k.read(full)}
}

// wanted reports whether the kind is to be read for a provider, as it is served. Calico's own API server shows the affinities
// that are in its CRDs as well.
func (k *kind) wanted(provider Provider, served informer.Served) bool {
	repeats := k.resource.Group == calicoAPIGroup && !served[apiBlocks] && served[crdAffinities]
	return (provider == Auto || provider == k.provider) && served[k.resource] && !repeats
}

// Clients read an API server's own resources.
type Clients struct {
	Dynamic dynamic.Interface
	// Served returns what is served of the groups of all kinds.
	Served func(context.Context) (informer.Served, error)
}

// NewClients returns the Clients of the API server that config names. Nothing is dialled.
func NewClients(config *rest.Config) (*Clients, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("configure the client: %w", err)
	}
	dynamic, err := dynamic.NewForConfigAndClient(dynamic.ConfigFor(config), client)
	if err != nil {
		return nil, fmt.Errorf("configure the client: %w", err)
	}
	groups, err := discovery.NewDiscoveryClientForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("configure the client: %w", err)
	}
	return &Clients{dynamic, func(ctx context.Context) (informer.Served, error) { return discover(ctx, groups.RESTClient()) }}, nil
}

// discover costs one request if no group is there. Calico's own API server, which repeats what is in its CRDs, may be away.
func discover(ctx context.Context, client rest.Interface) (informer.Served, error) {
	var all metav1.APIGroupList
	if err := client.Get().AbsPath("/apis").Do(ctx).Into(&all); err != nil {
		return nil, err
	}
	served := informer.Served{}
	for _, group := range []string{"cilium.io", calicoGroup, calicoAPIGroup} {
		if !slices.ContainsFunc(all.Groups, func(g metav1.APIGroup) bool { return g.Name == group }) {
			continue
		}
		found, err := informer.Discover(ctx, client, group)
		if err != nil && !(group == calicoAPIGroup && served[crdAffinities]) {
			return nil, err
		}
		maps.Copy(served, found)
	}
	return served, nil
}

// Read lists what the API server's own resources say, for Auto or "" of all providers. What this account may not list is left out for
// Auto, and a failure for the provider that was asked for. Errors are *kube.Errors.
func (c *Clients) Read(ctx context.Context, provider Provider) (Found, error) {
	provider = cmp.Or(provider, Auto)
	found := Found{Objects: map[schema.GroupVersionResource][]*Object{}}
	if !slices.ContainsFunc(kinds, func(k kind) bool { return provider == Auto || provider == k.provider }) {
		return found, nil // Nodes say it all
	}
	served, err := c.Served(ctx)
	switch {
	case apierrors.IsForbidden(err) && provider == Auto:
		found.Unread = []string{apiGroups}
	case err != nil:
		return found, kube.Classify("discover", apiGroups, err)
	}
	for _, k := range kinds {
		if !k.wanted(provider, served) {
			continue
		}
		_, err := kube.ListReduced(ctx, metav1.ListOptions{}, c.Dynamic.Resource(k.resource).List, func(full runtime.Object) runtime.Object {
			found.add(&k, full.(*unstructured.Unstructured))
			return nil
		})
		name := k.resource.GroupResource().String()
		switch {
		case apierrors.IsForbidden(err) && provider == Auto:
			found.Unread = append(found.Unread, name)
		case err != nil:
			return found, kube.Classify("list", name, err)
		}
	}
	return found, nil
}

// FromObjects returns what objects say that were read otherwise; those of other kinds say nothing.
func FromObjects(objects ...*unstructured.Unstructured) Found {
	found := Found{Objects: map[schema.GroupVersionResource][]*Object{}}
	for _, full := range objects {
		for _, k := range kinds {
			if full.GroupVersionKind() == k.resource.GroupVersion().WithKind(k.kind) {
				found.add(&k, full)
			}
		}
	}
	return found
}

func (f Found) add(k *kind, full *unstructured.Unstructured) {
	if object := k.reduce(full); object != nil {
		f.Objects[k.resource] = append(f.Objects[k.resource], object)
	}
}
