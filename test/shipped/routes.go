package shipped

import (
	"context"
	"sync"

	"github.com/minilb/minilb/test/cluster"
)

// RoutesAccount is the account of deploy/kustomize/components/routes.
const RoutesAccount = "minilb-routes"

// Routes returns that component, rendered once.
var Routes = sync.OnceValues(func() (string, error) { return render("components/routes") })

// ApplyRoutes applies the component beside the base, of which Apply must have applied the
// namespace, and returns the path of a kubeconfig for "minilb routes" with a fresh token, valid for
// an hour.
func ApplyRoutes(ctx context.Context, c *cluster.Cluster) (kubeconfig string, err error) {
	manifest, err := Routes()
	if err != nil {
		return "", err
	}
	if err := c.Apply(ctx, manifest); err != nil {
		return "", err
	}
	return c.ServiceAccountKubeconfig(ctx, Namespace, RoutesAccount)
}

// Component returns a component of deploy/kustomize that is applied beside the base.
func Component(name string) (string, error) { return render("components/" + name) }
