package source

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// offer is what an API server serves of the Gateway API.
type offer map[schema.GroupVersionResource]bool

// first returns the first of the versions that is served, the zero value if none is (G3).
func (o offer) first(versions []schema.GroupVersionResource) schema.GroupVersionResource {
	for _, version := range versions {
		if o[version] {
			return version
		}
	}
	return schema.GroupVersionResource{}
}

// firstOf returns the choice of the first version that is served.
func firstOf(versions []schema.GroupVersionResource) func(offer) schema.GroupVersionResource {
	return func(o offer) schema.GroupVersionResource { return o.first(versions) }
}

// offerTimeout bounds one look at what is served.
const offerTimeout = 10 * time.Second

// discover asks the API server what it serves of the Gateway API. Everybody may ask that who
// may ask anything, which the definitions behind it are not for (G4).
func discover(ctx context.Context, client rest.Interface) (offer, error) {
	ctx, cancel := context.WithTimeout(ctx, offerTimeout)
	defer cancel()
	offered := offer{}
	for _, name := range []string{gatewayGroup, gatewayXGroup} {
		var group metav1.APIGroup
		switch err := client.Get().AbsPath("/apis/" + name).Do(ctx).Into(&group); {
		case apierrors.IsNotFound(err):
			continue
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, version := range group.Versions {
			gv := schema.GroupVersion{Group: name, Version: version.Version}
			var list metav1.APIResourceList
			if err := client.Get().AbsPath("/apis/" + gv.String()).Do(ctx).Into(&list); err != nil {
				return nil, fmt.Errorf("%s: %w", gv, err) // not even 404 is sure to mean it
			}
			for _, resource := range list.APIResources {
				if slices.Contains(resource.Verbs, "list") && slices.Contains(resource.Verbs, "watch") {
					offered[gv.WithResource(resource.Name)] = true
				}
			}
		}
	}
	return offered, nil
}
