package informer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// Served is what an API server serves of some API groups.
type Served map[schema.GroupVersionResource]bool

// First returns the first of the versions that is served, the zero value if none is (G3).
func (s Served) First(versions []schema.GroupVersionResource) schema.GroupVersionResource {
	for _, version := range versions {
		if s[version] {
			return version
		}
	}
	return schema.GroupVersionResource{}
}

// discoverTimeout bounds all requests of one Discover.
const discoverTimeout = 10 * time.Second

// Discover returns what can be listed and watched in these groups. Every account may read that, while only administrators
// may read the CRDs (G4).
func Discover(ctx context.Context, client rest.Interface, groups ...string) (Served, error) {
	ctx, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	served := Served{}
	missing := map[string]error{}
	for _, name := range groups {
		var group metav1.APIGroup
		switch err := client.Get().AbsPath("/apis/" + name).Do(ctx).Into(&group); {
		case apierrors.IsNotFound(err):
			missing[name] = err
			continue
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		case group.Name != name:
			return nil, fmt.Errorf("%s: the answer is about %q", name, group.Name)
		}
		for _, version := range group.Versions {
			gv := schema.GroupVersion{Group: name, Version: version.Version}
			var list metav1.APIResourceList
			if err := client.Get().AbsPath("/apis/" + gv.String()).Do(ctx).Into(&list); err != nil {
				return nil, fmt.Errorf("%s: %w", gv, err) // 404 included: the group has just announced it
			}
			if list.GroupVersion != gv.String() {
				return nil, fmt.Errorf("%s: the answer is about %q", gv, list.GroupVersion)
			}
			for _, resource := range list.APIResources {
				if slices.Contains(resource.Verbs, "list") && slices.Contains(resource.Verbs, "watch") {
					served[gv.WithResource(resource.Name)] = true
				}
			}
		}
	}
	if len(missing) > 0 {
		if err := absent(ctx, client, missing); err != nil {
			return nil, err
		}
	}
	return served, nil
}

// absent returns an error unless the API server has other groups than the missing ones: a load balancer without an API
// server behind it answers 404 as well.
func absent(ctx context.Context, client rest.Interface, missing map[string]error) error {
	var groups metav1.APIGroupList
	if err := client.Get().AbsPath("/apis").Do(ctx).Into(&groups); err != nil {
		return fmt.Errorf("/apis: %w", err)
	}
	if len(groups.Groups) == 0 {
		return errors.New("/apis: the answer has no API group at all")
	}
	for _, group := range groups.Groups {
		if err := missing[group.Name]; err != nil { // it may have come between two requests
			return fmt.Errorf("%s: it is among the API groups: %w", group.Name, err)
		}
	}
	return nil
}
