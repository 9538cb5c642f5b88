package harness

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/shipped"
)

// shared are the control planes of all tests that do not stop one or need one to themselves: by the
// release of the Gateway API that each has, "" for none.
var shared struct {
	sync.Mutex
	clusters map[string]*sharedCluster
}

// sharedCluster is a control plane that the first test to need it starts. It lives as long as
// the package's tests run.
type sharedCluster struct {
	once sync.Once
	*cluster.Cluster
	err error
}

// Shared returns the control plane that the package's tests share. The accounts that are shipped
// exist there.
func Shared(t *testing.T) *cluster.Cluster {
	t.Helper()
	return sharedWith(t, "")
}

// GatewayCluster returns the control plane that the package's tests share with a release of the
// Gateway API, of its experimental channel, which has every kind.
func GatewayCluster(t *testing.T, release string) *cluster.Cluster {
	t.Helper()
	return sharedWith(t, release)
}

func sharedWith(t *testing.T, release string) *cluster.Cluster {
	t.Helper()
	shared.Lock()
	if shared.clusters == nil {
		shared.clusters = map[string]*sharedCluster{}
	}
	s := shared.clusters[release]
	if s == nil {
		s = &sharedCluster{}
		shared.clusters[release] = s
	}
	shared.Unlock()
	s.once.Do(func() { s.Cluster, s.err = startShared(release) })
	if s.err != nil {
		t.Fatalf("start a shared control plane: %v", s.err)
	}
	return s.Cluster
}

func startShared(release string) (*cluster.Cluster, error) {
	ctx := context.Background()
	c, err := cluster.Start(ctx, cluster.Options{})
	if err != nil {
		return nil, err
	}
	if _, err = shipped.Apply(ctx, c); err == nil && release != "" {
		err = installGatewayAPI(ctx, c, release)
	}
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func stopShared() error {
	var errs []error
	for _, s := range shared.clusters {
		if s.Cluster != nil {
			errs = append(errs, s.Stop())
		}
	}
	return errors.Join(errs...)
}

// InstallGatewayAPI installs a release, of the experimental channel, and the class of the tests' Gateways.
func InstallGatewayAPI(t *testing.T, c *cluster.Cluster, release string) {
	t.Helper()
	Must(t, installGatewayAPI(t.Context(), c, release))
}

func installGatewayAPI(ctx context.Context, c *cluster.Cluster, release string) error {
	definitions, err := cluster.GatewayAPI(ctx, release, "experimental")
	if err != nil {
		return err
	}
	if err := c.Apply(ctx, definitions); err != nil {
		return err
	}
	return c.Apply(ctx, GatewayClass(defaultClass, ControllerName))
}

// NewNamespace creates a namespace of the test's own and deletes it when the test ends.
func NewNamespace(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	namespaces := c.Client.CoreV1().Namespaces()
	namespace, err := namespaces.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := namespaces.Delete(ctx, namespace.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete the test's namespace: %v", err)
		}
	})
	return namespace.Name
}

// Apply applies a manifest in which HTTP stands for the paths of an Ingress rule, which do
// not matter to DNS.
func Apply(c *cluster.Cluster, manifest string) error {
	const http = "http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: x, port: {number: 80}}}}]}"
	return c.Apply(context.Background(), strings.ReplaceAll(manifest, "HTTP", http))
}

// ApplyTogether applies a manifest of CustomResourceDefinitions, which takes the API server a while.
func ApplyTogether(t *testing.T, c *cluster.Cluster, manifest string) {
	t.Helper()
	Must(t, c.Apply(context.Background(), manifest))
}

// Parallel calls work for 0 to n-1, sixteen at a time.
func Parallel(t *testing.T, n int, work func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	slots, errs := make(chan struct{}, 16), make(chan error, n)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			errs <- work(i)
			<-slots
		})
	}
	wg.Wait()
	for range n {
		Must(t, <-errs)
	}
}

// FreePorts returns n addresses on loopback that are free for UDP and TCP.
func FreePorts(t *testing.T, n int) []string {
	t.Helper()
	addrs, err := cluster.FreeAddrs(n)
	Must(t, err)
	return addrs
}

// Must ends the test if there is an error.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
