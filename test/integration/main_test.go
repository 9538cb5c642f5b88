// Package integration_test runs the real binaries against a real control plane.
package integration_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
)

// full is whether the tests that take long are to take as long as it takes, for as many
// repetitions as they are about.
var full = os.Getenv("MINILB_FULL") != ""

// TestMain ends what the tests have shared.
func TestMain(m *testing.M) {
	code := m.Run()
	for _, dir := range lasting.dirs {
		os.RemoveAll(dir)
	}
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// sharedCluster is the control plane of all tests that do not stop it or need it to themselves,
// and gatewayClusters those with a release of the Gateway API.
var (
	sharedCluster   clusterOnce
	gatewayClusters = map[string]*clusterOnce{}
)

// clusterOnce is a control plane that the first test to need it starts. It lives as long as
// the package's tests run.
type clusterOnce struct {
	sync.Once
	*cluster.Cluster
	err error
}

func (s *clusterOnce) get(t *testing.T) *cluster.Cluster {
	t.Helper()
	s.Do(func() {
		s.Cluster, s.err = cluster.Start(context.Background(), cluster.Options{})
	})
	if s.err != nil {
		t.Fatalf("start a shared control plane: %v", s.err)
	}
	return s.Cluster
}

// shared returns the control plane that tests share.
func shared(t *testing.T) *cluster.Cluster {
	t.Helper()
	return sharedCluster.get(t)
}

func stopShared() error {
	var errs []error
	for _, s := range slices.Concat([]*clusterOnce{&sharedCluster}, slices.Collect(maps.Values(gatewayClusters))) {
		if s.Cluster != nil {
			errs = append(errs, s.Stop())
		}
	}
	return errors.Join(errs...)
}

// newNamespace creates a namespace of the test's own and deletes it when the test ends.
func newNamespace(t *testing.T, c *cluster.Cluster) string {
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
