package source

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

	"github.com/minilb/minilb/plugin/minilb/object"
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
	missing := map[string]error{}
	for _, name := range []string{object.GatewayGroup, object.GatewayXGroup} {
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
				return nil, fmt.Errorf("%s: %w", gv, err) // not even 404 is sure to mean it
			}
			if list.GroupVersion != gv.String() {
				return nil, fmt.Errorf("%s: the answer is about %q", gv, list.GroupVersion)
			}
			for _, resource := range list.APIResources {
				if slices.Contains(resource.Verbs, "list") && slices.Contains(resource.Verbs, "watch") {
					offered[gv.WithResource(resource.Name)] = true
				}
			}
		}
	}
	if len(missing) == 0 {
		return offered, nil
	}
	if err := absent(ctx, client, missing); err != nil {
		return nil, err
	}
	return offered, nil
}

// absent returns an error unless the API server says that it has other groups than the missing
// ones: 404 is also what a load balancer answers that has no API server behind it for the moment.
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
