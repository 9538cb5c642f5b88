package check

import (
	"strings"
	"testing"
)

// L1: a Service with the label is checked as one of the class is, but for its status and for fields that others read.
func TestLabelled(t *testing.T) {
	labelled := func(spec, labels string) string {
		return strings.NewReplacer("type: LoadBalancer, loadBalancerClass: minilb", spec, `name: web, creation`, "name: web, labels: {"+labels+"}, creation",
			"status: {loadBalancer: {ingress: [{hostname: web.shop.minilb}]}}", "status: {}").Replace(sound)
	}
	const expose = `minilb/expose: "true"`
	for _, tc := range []struct {
		name, manifest string
		want           []string
	}{
		{"ClusterIP", labelled("type: ClusterIP, externalIPs: [192.0.2.1], sessionAffinity: ClientIP", expose), nil},
		{"headless", labelled("clusterIP: None", expose), nil},
		{"another class", labelled("type: LoadBalancer, loadBalancerClass: metallb", expose), nil},
		{"another port", strings.NewReplacer("targetPort: 80}]", "targetPort: 8080}]", `{name: "", port: 80}`, `{name: "", port: 8080}`).Replace(labelled("type: NodePort", expose)), []string{
			"error Service shop/web TargetPortMismatch: port 80 leads to port 8080 of the pods"}},
		{"no pods", strings.Replace(labelled("type: ClusterIP", expose), "endpoints: [{addresses: [10.244.1.7], nodeName: n1}]", "endpoints: []", 1), []string{
			"error Service shop/web NoEndpoints: no address is answered"}},
		{"ExternalName", labelled("type: ExternalName, externalName: ex.org", expose), []string{
			"warning Service shop/web LabelIgnored: label minilb/expose has no effect on a Service of type ExternalName: it has no endpoints"}},
		{"yes", labelled("type: ClusterIP", `minilb/expose: "yes"`), []string{
			`warning Service shop/web LabelIgnored: label minilb/expose: "yes" has no effect; set it to "true" to have the Service answered, or remove it`}},
		{"ignored", labelled("type: ClusterIP", expose+`, minilb/ignore: "true"`), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			expect(t, mustRun(t, ofCluster(t, ". {\n minilb minilb\n}", tc.manifest)).Problems, tc.want)
		})
	}
}
