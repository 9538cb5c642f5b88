package chart_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// What is misspelt or cannot be is refused, and what is said names the value and what it takes.
func TestRefused(t *testing.T) {
	t.Parallel()
	misspelt := map[string]string{
		"dns.replica=3":                           "at '/dns': additional properties 'replica' not allowed",
		"plugins.ttl=3":                           "additional properties 'plugins' not allowed",
		"plugin.max_answers=3":                    "at '/plugin': additional properties 'max_answers' not allowed",
		"dns.service.nodeport=53":                 "at '/dns/service': additional properties 'nodeport' not allowed",
		"dns.resources.limit.memory=1Gi":          "at '/dns/resources': additional properties 'limit' not allowed",
		"dns.replicas=many":                       "at '/dns/replicas': got string, want integer",
		"dns.kind=StatefulSet":                    "at '/dns/kind': value must be one of 'Deployment', 'DaemonSet'",
		"dns.image.digest=0123":                   "at '/dns/image/digest': '0123' does not match pattern",
		"dns.hostPort=70000":                      "at '/dns/hostPort': maximum: got 70,000, want 65,535",
		"dns.service.ipFamilies={ipv4}":           "at '/dns/service/ipFamilies/0': value must be one of 'IPv4', 'IPv6'",
		"plugin.ttl=3601":                         "at '/plugin/ttl': maximum: got 3,601, want 3,600",
		"plugin.families={IPv4}":                  "at '/plugin/families/0': value must be one of 'ipv4', 'ipv6'",
		"plugin.resources={services}":             "at '/plugin/resources/0': value must be one of 'service', 'ingress', 'gateway'",
		"plugin.namespaces={Shop}":                "at '/plugin/namespaces/0': 'Shop' does not match pattern",
		`plugin.ingressClasses={a\,b}`:            "at '/plugin/ingressClasses/0': 'a,b' does not match pattern",
		"plugin.hostAnnotations={minilb/service}": "at '/plugin/hostAnnotations/0':",
		"plugin.probe=often":                      "at '/plugin/probe': 'often' does not match pattern",
		"plugin.claims[0].from={shop}":            "missing property 'suffixes'",
		"plugin.claims[0].suffix=a":               "additional properties 'suffix' not allowed",
		"controller.within={10.244.0.0}":          "at '/controller/within/0': '10.244.0.0' does not match pattern",
		"plugin.extraZones={a b}":                 "at '/plugin/extraZones/0': 'a b' does not match pattern",
		"plugin.ns={a\n}":                         "at '/plugin/ns/0':",
		"corefile.forward[0].zone=a":              "at '/corefile/forward/0': missing property 'to'",
		"domain=.":                                "at '/domain': '.' does not match pattern",
		"tls.protocols={tls}":                     "at '/tls/protocols/0': value must be one of 'dot', 'doh', 'doq'",
	}
	said := refused(t, slices.Sorted(maps.Keys(misspelt))...)
	for set, want := range misspelt {
		if !strings.Contains(said, want) {
			t.Errorf("%s: got %q, want %q", set, said, want)
		}
	}
	for set, want := range map[string]string{
		"corefile.lameduck=30s":                                              "corefile.lameduck 30s is not shorter than dns.terminationGracePeriodSeconds 30: the server would be killed while it ends",
		"dns.resources.limits.memory=half":                                   `limits.memory "half": write a number with Ki, Mi, Gi, k, M or G, such as 512Mi`,
		"dns.resources.limits.memory=8Mi":                                    `limits.memory "8Mi" is too little to run in: give 32Mi or more`,
		"dns.ports.ready=8080":                                               "dns.ports: two are the same, of 1053, 8080, 8080, 9153",
		"dns.service.loadBalancerClass=metallb.io/metallb":                   "dns.service.loadBalancerClass is for dns.service.type LoadBalancer alone",
		"dns.service.type=LoadBalancer,defaultClass=true":                    "dns.service.loadBalancerClass is empty and defaultClass is true: the DNS server cannot be found by a name that it answers itself",
		"dns.service.type=LoadBalancer,dns.service.loadBalancerClass=minilb": `dns.service.loadBalancerClass is "minilb": the DNS server cannot be found by a name that it answers itself`,
	} {
		if said := refused(t, set); !strings.Contains(said, want) {
			t.Errorf("%s: got %q, want %q", set, said, want)
		}
	}
}

// The schema has the values that values.yaml has and no others, and takes what it says.
func TestSchema(t *testing.T) {
	t.Parallel()
	var schema struct {
		Properties map[string]any `json:"properties"`
	}
	text, err := os.ReadFile(filepath.Join(chartDir, "values.schema.json"))
	must(t, err)
	must(t, json.Unmarshal(text, &schema))
	if schema.Properties["global"] == nil {
		t.Error("no global, which Helm adds to the values of a chart that another depends on")
	}
	delete(schema.Properties, "global")
	compareKeys(t, "values", schema.Properties, defaults(t))
}

// defaults are the values of values.yaml.
func defaults(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chartDir, "values.yaml"))
	must(t, err)
	var values map[string]any
	must(t, yaml.UnmarshalStrict(text, &values))
	return values
}

// compareKeys compares the properties of the schema with the keys of the values, as deep as the
// schema names them.
func compareKeys(t *testing.T, path string, properties, values map[string]any) {
	t.Helper()
	if got, want := slices.Sorted(maps.Keys(properties)), slices.Sorted(maps.Keys(values)); !slices.Equal(got, want) {
		t.Errorf("%s: the schema has %q, values.yaml %q", path, got, want)
	}
	for name, property := range properties {
		schema := property.(map[string]any)
		nested, _ := schema["properties"].(map[string]any)
		if nested == nil || name == "resources" && nested["limits"] != nil {
			continue // Kubernetes' own
		}
		if schema["additionalProperties"] != false {
			t.Errorf("%s.%s takes what it does not name", path, name)
		}
		value, _ := values[name].(map[string]any)
		compareKeys(t, path+"."+name, nested, value)
	}
}
