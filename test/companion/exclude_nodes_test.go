package companion_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/shipped"
)

// L6: with the shipped account, which takes the component to read Nodes; as labels come and go; and after a restart without the
// API server. Check and explain report what is left out, and what has no effect.
func TestExcludeNodes(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{Audit: true})
	ctx := t.Context()
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	for i, name := range []string{"home1", "vps1"} {
		harness.Must(t, c.Node(ctx, name, fmt.Sprintf("192.168.1.3%d", i+1)))
	}
	label := func(node, value string) {
		t.Helper()
		_, err := c.Client.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{"example.org/vps":%s}}}`, value), metav1.PatchOptions{})
		harness.Must(t, err)
	}
	harness.CreateService(t, c, "default", "web", "minilb")
	harness.Must(t, c.Apply(ctx, `{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
metadata: {namespace: default, name: web-1, labels: {kubernetes.io/service-name: web}}, ports: [{name: http, port: 80}],
endpoints: [{addresses: [10.244.1.7], nodeName: home1}, {addresses: [10.244.9.7], nodeName: vps1}]}`))

	const property = "exclude_nodes example.org/vps"
	snapshot := "snapshot " + filepath.Join(t.TempDir(), "snapshot")
	start := func() *harness.CoreDNS {
		t.Helper()
		s := harness.StartCoreDNS(t, harness.ResolverFor(kubeconfig, harness.StartUpstream(t), property, snapshot))
		s.WaitReady(t)
		return s
	}
	answers := func(s *harness.CoreDNS, want ...string) {
		t.Helper()
		cluster.Eventually(t, 20*time.Second, func() error { return s.Expect("web.default.minilb", dns.TypeA, want...) })
	}
	s := start()
	label("vps1", `""`)
	answers(s, "10.244.1.7", "10.244.9.7")
	cluster.Eventually(t, 20*time.Second, func() error {
		if len(s.Log.Lines("nodes: list and watch is forbidden: ")) == 0 || len(s.Log.Lines("exclude_nodes has no effect")) == 0 {
			return fmt.Errorf("the log says\n%s", s.Log)
		}
		return nil
	})
	corefile := filepath.Join(t.TempDir(), "Corefile")
	harness.Must(t, os.WriteFile(corefile, []byte(". {\n minilb minilb {\n  "+property+"\n }\n}\n"), 0o600))
	found := func(reason string) error {
		out, _, _ := check(t, c.Kubeconfig, "-corefile", corefile, "-controller-account", "", "-o", "json")
		for _, f := range decodeChecked(t, out).Findings {
			if f.Reason == reason && (reason != "MissingRight" || strings.Contains(f.Text, "it may not list and watch nodes: exclude_nodes has no effect")) {
				return nil
			}
		}
		return fmt.Errorf("%s is not found:\n%s", reason, out)
	}
	harness.Must(t, found("MissingRight"))

	manifest, err := shipped.Overlay("resources: [https://github.com/minilb/minilb//deploy/kustomize/base?ref=v0.1.0]\n"+
		"components: [https://github.com/minilb/minilb//deploy/kustomize/components/exclude-nodes?ref=v0.1.0]\n", nil)
	harness.Must(t, err)
	harness.Must(t, c.Apply(ctx, harness.OfKinds(t, manifest, "ClusterRole")))
	answers(s, "10.244.1.7")
	if found("MissingRight") == nil {
		t.Error("the permission is missing with the component, too")
	}
	out, err := harness.Minilb(t, "explain", "-kubeconfig", c.Kubeconfig, "-corefile", corefile, "web.default.minilb").CombinedOutput()
	if text := string(out); err != nil || !strings.Contains(text, "10.244.9.7  left out  ready, excluded node  vps1") || !strings.Contains(text, "10.244.1.7  answered  ready") {
		t.Errorf("explain: %v\n%s", err, text)
	}

	label("vps1", "null")
	answers(s, "10.244.1.7", "10.244.9.7")
	harness.Must(t, found("ExcludesNoNode"))
	label("vps1", `""`)
	label("home1", `""`)
	answers(s, "10.244.1.7", "10.244.9.7")
	harness.Must(t, found("ExcludesAllNodes"))
	label("home1", "null")
	answers(s, "10.244.1.7")
	requests, err := c.Requests()
	harness.Must(t, err)
	for _, r := range requests {
		if strings.HasSuffix(r.User, ":"+harness.DNSAccount) && r.Resource == "nodes" && !strings.Contains(r.URI, "labelSelector="+url.QueryEscape("example.org/vps")) {
			t.Errorf("it asks for %s", r.URI)
		}
	}

	time.Sleep(3 * time.Second) // the snapshot is written within two
	s.Stop(t)
	harness.Must(t, c.StopAPIServer())
	s = start()
	answers(s, "10.244.1.7")
}
