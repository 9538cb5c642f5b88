package source

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/config"
)

// InspectObjects returns the DryRuns of a cluster that has these objects and no others, without
// any API server. Services, EndpointSlices, Ingresses and Namespaces are of their Go types, objects of
// the Gateway API are *unstructured.Unstructured; all else is not looked at. A kind of the Gateway API
// is served in the versions that its objects have, and not at all if there are none.
func InspectObjects(objects []runtime.Object, hooks Hooks, options ...config.Options) ([]*DryRun, error) {
	ts, all, err := newDryRuns(&rest.Config{}, hooks, options)
	if err != nil {
		return nil, err
	}
	ts.Load(objects)
	for _, i := range all {
		i.judge()
	}
	return all, nil
}
