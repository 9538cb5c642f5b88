package deploy_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// The companion runs with the flags of its Deployment and the rights of its account.
func TestShippedController(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	kubeconfigs := harness.ShippedAccounts(t, c)
	harness.Must(t, c.Node(t.Context(), "node1", "192.168.1.31"))
	container := harness.ShippedObject[appsv1.Deployment](t, harness.Rendered(t, harness.Base), "Deployment", harness.ControllerAccount).Spec.Template.Spec.Containers[0]
	if get := container.LivenessProbe.HTTPGet; get.Path != "/livez" || get.Port.StrVal != "http" {
		t.Errorf("liveness probe: %+v", get)
	}
	if get := container.ReadinessProbe.HTTPGet; get.Path != "/readyz" || get.Port.StrVal != "http" {
		t.Errorf("readiness probe: %+v", get)
	}
	args := slices.Clone(container.Args)
	health, corefile := slices.Index(args, "-health"), slices.Index(args, "-corefile")
	if args[0] != "controller" || health < 0 || args[health+1] != fmt.Sprintf(":%d", container.Ports[0].ContainerPort) {
		t.Fatalf("args: %q", args)
	}
	if mounts := container.VolumeMounts; len(mounts) != 1 || corefile < 0 || args[corefile+1] != mounts[0].MountPath+"/Corefile" {
		t.Fatalf("args: %q, mounts: %+v", args, mounts)
	}
	text, err := os.ReadFile("../../deploy/kustomize/base/Corefile")
	harness.Must(t, err)
	args[corefile+1] = harness.ConfigFile(t, "Corefile", strings.ReplaceAll(string(text), "{$NODE_IP}", "192.168.1.31"))
	p := harness.StartController(t, kubeconfigs.Controller, slices.Delete(args, health, health+2)[1:]...)
	p.WaitReady(t)
	if code, body := harness.Get(p.URL + "/livez"); code != http.StatusOK {
		t.Errorf("/livez: got %d %s", code, body)
	}
	namespace := harness.NewNamespace(t, c)
	harness.CreateService(t, c, namespace, "web", "minilb")
	harness.ExpectStatus(t, c, namespace, "web", "web."+namespace+".minilb")
	cluster.Eventually(t, 10*time.Second, func() error {
		if !strings.Contains(p.Stdout.String(), "ip route add ") {
			return errors.New("no routes printed")
		}
		return nil
	})
	if lines := p.Stderr.Lines("may not"); len(lines) > 0 {
		t.Errorf("minilb controller said:\n%s", strings.Join(lines, "\n"))
	}
}
