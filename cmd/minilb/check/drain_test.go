package check

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// L9: a Service is judged by one of its pods, for the longest TTL that it is answered with.
func TestDrainTime(t *testing.T) {
	const (
		pods    = "endpoints: [{addresses: [10.244.1.7], nodeName: n1, targetRef: {kind: Pod, namespace: shop, name: web-1}}]\n"
		pod     = "---\napiVersion: v1\nkind: Pod\nmetadata: {namespace: shop, name: web-1}\nspec: {containers: [{name: web, image: web}]}\n"
		missing = "notice shop/web NoDrainTime: its pods have no preStop: when one ends, clients go on connecting to it for the TTL, 5 s; set lifecycle.preStop.sleep.seconds: 7 in"
	)
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no"))
	replaced := func(manifest string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(manifest) }
	with := replaced(sound, "endpoints: [{addresses: [10.244.1.7], nodeName: n1}]\n", pods) + pod
	for _, tc := range []struct {
		name, corefile, manifest string
		err                      error
		want                     string // the beginning, "" for nothing
	}{
		{"none", "minilb minilb", with, nil, missing},
		{"another TTL", "minilb minilb {\n ttl 60\n}", with, nil, "notice shop/web NoDrainTime: its pods have no preStop: when one ends, clients go on connecting to it for the TTL, 60 s; set lifecycle.preStop.sleep.seconds: 62 in"},
		{"its own TTL", "minilb minilb", replaced(with, `name: web, creationTimestamp: "2026-01-01T00:00:00Z"`, `name: web, annotations: {minilb/ttl: "60"}`), nil, "notice shop/web NoDrainTime: its pods have no preStop: when one ends, clients go on connecting to it for the TTL, 60 s;"}, // L2
		{"its own TTL, shorter than that of its other names", "minilb minilb", replaced(with, `name: web, creationTimestamp: "2026-01-01T00:00:00Z"`, `name: web, annotations: {minilb/ttl: "1"}`), nil, missing},
		{"another class' TTL", "minilb minilb\n}\nlan {\n minilb lan {\n ttl 60\n class lan\n}", with, nil, missing},
		{"two blocks", "minilb minilb\n}\nlan {\n minilb lan {\n ttl 60\n}", with, nil, "notice shop/web NoDrainTime: its pods have no preStop: when one ends, clients go on connecting to it for the TTL, 60 s;"},
		{"a sleep", "minilb minilb", replaced(with, "image: web}", "image: web, lifecycle: {preStop: {sleep: {seconds: 6}}}}"), nil, ""},
		{"no selector", "minilb minilb", replaced(with, "selector: {app: web}, ", ""), nil, ""},
		{"of another class", "minilb minilb {\n class lan\n}", replaced(with, "loadBalancer: {ingress: [{hostname: web.shop.minilb}]}", "loadBalancer: {ingress: [{ip: 192.0.2.1}]}"), nil, ""},
		{"ignored", "minilb minilb", replaced(with, `name: web, creationTimestamp: "2026-01-01T00:00:00Z"`, `name: web, labels: {minilb/ignore: "true"}`), nil, ""},
		{"gone", "minilb minilb", strings.TrimSuffix(with, pod), nil, ""},
		{"no right", "minilb minilb", with, forbidden, "notice pods Unread: pods may not be read by this account"},
		{"away", "minilb minilb", with, apierrors.NewServiceUnavailable("starting"), "pods: cannot get: starting"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := ofCluster(t, ". {\n "+tc.corefile+"\n}", tc.manifest)
			if tc.err != nil {
				c.client.(*fake.Clientset).PrependReactor("get", "pods", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, tc.err })
			}
			report, err := c.run(t.Context())
			got := ""
			switch {
			case err != nil:
				got = err.Error()
			case len(report.Problems) > 0:
				got = strings.ReplaceAll(strings.Join(lines(report.Problems), "\n"), "Service ", "")
			}
			got = strings.ReplaceAll(got, "APIResource ", "")
			if (got == "") != (tc.want == "") || !strings.HasPrefix(got, tc.want) || strings.Contains(got, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}
