//go:build linux

package realcluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/realcluster"
	"github.com/minilb/minilb/test/shipped"
)

const (
	// requestInterval is the time between two requests of a client: 50 a second.
	requestInterval = 20 * time.Millisecond

	// userRollouts is how often the pods of a user are replaced while the client works.
	userRollouts = 3
)

// L9: a rollout of a user's pods, whose program ends at once on SIGTERM, as a client sees it that resolves by way of
// Unbound. With time to drain no request fails; without it some do, and an Event and "minilb check" say why.
func TestUsersRollout(t *testing.T) {
	inFull(t)
	harness.Program(t, "unbound", "unbound")
	l := theLab(t)
	manifest, err := shipped.Overlay(base+"components: [https://github.com/minilb/minilb//deploy/kustomize/components/drain?ref=v0.1.0]\n", nil)
	harness.Must(t, err)
	install(t, l, manifest)
	awaitReady(t, l, shipped.Namespace)
	awaitDrainPolicy(t, l)
	resolver := startUnbound(t, l, recipeFor(t, l, "Unbound"))
	const labels, found = "metadata: {labels: {app: web", "NoDrainTime"

	t.Run("with the label", func(t *testing.T) {
		with(t, l, strings.Replace(webService, labels, labels+", "+lb.DrainLabel+`: ""`, 1))
		if lost := rollUsersPods(t, l, resolver); lost > 0 {
			t.Errorf("%d requests failed", lost)
		}
		if out := do(t, l, "minilb check"); strings.Contains(out, found) {
			t.Error(out)
		}
	})
	t.Run("without", func(t *testing.T) {
		web(t, l)
		if lost := rollUsersPods(t, l, resolver); lost == 0 {
			t.Error("no request failed, so that the label is for nothing")
		}
		const why = "pods have no preStop: when one ends, clients go on connecting to it for the TTL, 1 s"
		if out := strings.Join(strings.Fields(do(t, l, "minilb check")), " "); !strings.Contains(out, found) || !strings.Contains(out, why) {
			t.Error(out)
		}
		cluster.Eventually(t, readyTimeout, func() error {
			shown := do(t, l, "kubectl describe service web")
			if !strings.Contains(shown, found) || !strings.Contains(shown, why) {
				return errors.New(shown)
			}
			return nil
		})
	})
}

// awaitDrainPolicy waits until the API server gives pods with the label a preStop, which takes it a second or two.
func awaitDrainPolicy(t *testing.T, l *realcluster.Lab) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "drains", Labels: map[string]string{lb.DrainLabel: ""}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: realcluster.PodImage}}},
	}
	cluster.Eventually(t, 30*time.Second, func() error {
		got, err := l.Cluster.Client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && got.Spec.Containers[0].Lifecycle == nil {
			err = errors.New("the policy has no effect yet")
		}
		return err
	})
}

// rollUsersPods replaces the pods of webService while a client looks its name up and fetches a page for each request,
// and returns how many requests failed.
func rollUsersPods(t *testing.T, l *realcluster.Lab, resolver netip.AddrPort) (lost int) {
	t.Helper()
	awaitReady(t, l, "default")
	answersWith(t, l, 3)
	ctx := context.WithoutCancel(t.Context())
	var turn atomic.Uint32
	s := repeat(t, "requests by way of Unbound", requestInterval, func() error {
		addrs, err := stub(ctx, l.Client, resolver, webName)
		if err != nil {
			return err
		}
		if len(addrs) == 0 {
			return errors.New("the answer has no address")
		}
		text, err := page(l, addrs[int(turn.Add(1))%len(addrs)])
		if err == nil && !strings.HasPrefix(text, "web-") {
			err = fmt.Errorf("the page is %q", text)
		}
		return err
	})
	for range userRollouts {
		do(t, l, "kubectl rollout restart deployment web")
		awaitReady(t, l, "default")
	}
	time.Sleep(2 * time.Second) // the resolver forgets the last pod after the TTL
	return s.finish(t)
}
