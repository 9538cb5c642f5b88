package docs_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// The quota of the recipe is one that the API server takes and holds a namespace to, with the kinds that there are and with
// those that there are not.
func TestTenantQuota(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	r := &recipeCluster{Cluster: c}
	namespace := harness.NewNamespace(t, c)
	recipe := harness.Recipe(t, "tenants.md", "Tenants: how much a namespace may have")
	quota := strings.Replace(recipe[0], "namespace: shop", "namespace: "+namespace, 1)
	r.does(t, "kubectl apply -f quota.yaml", map[string]string{"quota.yaml": quota})
	// Its controller, which counts what there is, does not run here; the admission that holds to it does.
	set, err := c.Client.CoreV1().ResourceQuotas(namespace).Get(t.Context(), "names", metav1.GetOptions{})
	harness.Must(t, err)
	set.Status.Hard, set.Status.Used = set.Spec.Hard, corev1.ResourceList{}
	for name := range set.Spec.Hard {
		set.Status.Used[name] = resource.Quantity{}
	}
	_, err = c.Client.CoreV1().ResourceQuotas(namespace).UpdateStatus(t.Context(), set, metav1.UpdateOptions{})
	harness.Must(t, err)
	most := int(set.Spec.Hard.Name("services.loadbalancers", resource.DecimalSI).Value())
	create := func(n int) error {
		service := harness.NewService(namespace, "s"+strconv.Itoa(n), "metallb")
		_, err := c.Client.CoreV1().Services(namespace).Create(t.Context(), service, metav1.CreateOptions{})
		return err
	}
	for n := range most {
		harness.Must(t, create(n))
	}
	cluster.Eventually(t, 10*time.Second, func() error { // it may be known a moment late
		if err := create(most); !apierrors.IsForbidden(err) {
			return errors.Join(fmt.Errorf("%d Services of type LoadBalancer may be created", most+1), err)
		}
		return nil
	})
	out := r.does(t, recipe[1], nil)
	if !strings.Contains(out, strconv.Itoa(most)+" "+namespace) {
		t.Errorf("the command prints\n%s", out)
	}
}
