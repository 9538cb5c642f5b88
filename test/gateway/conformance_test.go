package gateway_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// conformanceCase is one manifest of the Gateway API's own conformance tests, what a
// controller that passes them makes of it, and what that means for names.
type conformanceCase struct {
	manifest string // tests/<manifest>.yaml

	// refused and attached are those of gatewayController, as the test's .go file asserts them.
	refused  map[string]string
	attached map[string]int32

	// probes are routes of ours, for manifests that have none or whose routes could have no
	// name anyway. A probe is accepted for each of its parents.
	probes []probeRoute

	resolution
	then []conformanceStep
}

// resolution is what resolves.
type resolution struct {
	// want has what resolves, and what does not.
	want answers

	// believed is what differs from that when the controller accepts everything: what only
	// its status can tell. All else follows from the specs (G10-G15, G30).
	believed answers
}

// answers are names by the Gateways whose addresses they resolve to. Both are separated by blanks.
type answers map[string]string

// nobody is the key of the names that do not resolve.
const nobody = ""

// probeRoute is a route with one parentRef, written as YAML, and a hostname, or none.
type probeRoute struct{ kind, parent, hostname string }

// conformanceStep is a change and the names after it. Those that a step does not list it does not ask for.
type conformanceStep struct {
	delete string // "<kind> [<namespace>/]<name>"
	edit   func(gateway string, spec *gatewayv1.GatewaySpec)
	resolution
}

const (
	conformanceInfra      = "gateway-conformance-infra"
	conformanceClass      = "conformance"
	conformanceController = "conformance.example/controller"
)

// conformance is where the tests of a case run.
type conformance struct {
	cluster *cluster.Cluster
	server  *harness.CoreDNS
	dir     string // of the conformance module
	base    map[string]string
	applied map[string]*unstructured.Unstructured // by objectKey: what the cluster has of the manifests
	round   int                                   // of the markers
	turns   int                                   // of the marker's Namespace
}

// TestGatewayConformance applies the manifests of the Gateway API's own conformance tests as
// they are published, has a controller report on them what those tests ask of it, and asks for
// the names that the tests send requests to.
func TestGatewayConformance(t *testing.T) {
	t.Parallel()
	c := harness.GatewayCluster(t, cluster.NewestGatewayAPI)
	dir, err := cluster.GatewayAPIConformance(t.Context())
	harness.Must(t, err)
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	e := &conformance{cluster: c, dir: dir, applied: map[string]*unstructured.Unstructured{}}
	base := e.published(t, "base/manifests.yaml") + `
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: ` + conformanceClass + `}
spec: {controllerName: ` + conformanceController + `}
`
	e.base = gatewayAddresses(t, base, "192.0.2.", 1)
	harness.Must(t, c.Apply(t.Context(), e.controller().withStatus(t, base)))
	// One of the manifests has a route to *.com, which takes a line of its own (C7).
	e.server = harness.StartCoreDNS(t, ".:PORT {\nbind 127.0.0.1\nREADY\nerrors\nminilb minilb {\nkubeconfig "+kubeconfig+"\nclaim . com\n}\n}\n")
	e.server.WaitReady(t)
	e.settle(t, nil)
	for _, tc := range conformanceCases {
		t.Run(tc.manifest, func(t *testing.T) { e.run(t, tc) })
	}
}

// TestGatewayConformanceCases checks that no manifest about hostnames, listeners or what they
// allow is forgotten.
func TestGatewayConformanceCases(t *testing.T) {
	dir, err := cluster.GatewayAPIConformance(t.Context())
	harness.Must(t, err)
	files, err := filepath.Glob(filepath.Join(dir, "tests/*.yaml"))
	harness.Must(t, err)
	var want []string
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		if _, skip := conformanceSkipped[name]; !skip && regexp.MustCompile("hostname|listener|allowed").MatchString(name) {
			want = append(want, name)
		}
	}
	var got []string
	for _, tc := range conformanceCases {
		got = append(got, tc.manifest)
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("got cases of\n%q\nwant\n%q", got, want)
	}
}

func (e *conformance) run(t *testing.T, tc conformanceCase) {
	manifest := e.published(t, filepath.Join("tests", tc.manifest+".yaml")) + tc.probeManifest()
	own := gatewayAddresses(t, manifest, "192.0.2.", 101)

	stubborn := e.controller()
	stubborn.stubborn = "Pending"
	honest := e.controller()
	honest.refused, honest.attached = tc.refused, tc.attached
	lying := e.controller()
	lying.credulous = true
	for _, controller := range []*gatewayController{stubborn, honest, lying} {
		maps.Copy(controller.addresses, own)
	}

	all := answers{nobody: tc.hostnames()}
	e.apply(t, stubborn, manifest)
	e.expect(t, stubborn, all, "while only a controller that is not the Gateways' own accepts the routes") // G20, G21
	for _, controller := range []*gatewayController{honest, lying} {
		state := "when the status is right"
		if controller == lying {
			state = "when everything is accepted"
		}
		e.apply(t, controller, manifest)
		e.expect(t, controller, tc.answers(controller), state)
		edited := manifest
		for _, step := range tc.then {
			if step.edit != nil {
				edited = editManifest(t, edited, func(object *unstructured.Unstructured) {
					if object.GetKind() == "Gateway" {
						spec := specOf[gatewayv1.GatewaySpec](t, object)
						step.edit(object.GetName(), spec)
						object.Object["spec"] = toMap(t, spec)
					}
				})
				e.apply(t, controller, edited)
				e.expect(t, controller, step.answers(controller), state+", after the edit")
				continue
			}
			kind, namespace, name := step.object()
			if !controller.asked[kind+" "+name] {
				t.Fatalf("the manifest has no %s", step.delete)
			}
			e.delete(t, fmt.Sprintf("{apiVersion: gateway.networking.k8s.io/v1, kind: %s, metadata: {namespace: %s, name: %s}}", kind, namespace, name))
			e.expect(t, controller, step.answers(controller), state+", without "+step.delete)
		}
	}
	e.delete(t, manifest)
	e.expect(t, honest, all, "when all is deleted")
	if keys := honest.unasked(); len(keys) > 0 {
		t.Errorf("the manifest has no %q", keys)
	}
}

// controller is one that refuses nothing and knows the Gateways that all cases share.
func (e *conformance) controller() *gatewayController {
	return &gatewayController{name: conformanceController, stranger: "stranger.example/controller", addresses: maps.Clone(e.base), asked: map[string]bool{}}
}

// published reads a manifest of the conformance tests and fills in what their suite does.
func (e *conformance) published(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(e.dir, path))
	harness.Must(t, err)
	return strings.ReplaceAll(string(text), "{GATEWAY_CLASS_NAME}", conformanceClass)
}

// expect checks every name at once: there is nothing to wait for.
func (e *conformance) expect(t *testing.T, controller *gatewayController, want answers, state string) {
	t.Helper()
	for _, gateways := range slices.Sorted(maps.Keys(want)) {
		var addresses []string
		for _, gateway := range strings.Fields(gateways) {
			address, ok := controller.addresses[gateway]
			if !ok {
				t.Fatalf("there is no Gateway %s", gateway)
			}
			addresses = append(addresses, address)
		}
		slices.Sort(addresses)
		for _, hostname := range strings.Fields(want[gateways]) {
			var err error
			if gateways == nobody {
				err = e.server.ExpectRcode(hostname, dns.TypeA, dns.RcodeRefused) // D3, D4
			} else {
				err = e.server.Expect(hostname, dns.TypeA, addresses...)
			}
			if err != nil {
				t.Errorf("%s: %v", state, err)
			}
		}
	}
}

// gatewayAddresses gives each Gateway of a manifest an address of its own.
func gatewayAddresses(t *testing.T, manifest, prefix string, first int) map[string]string {
	t.Helper()
	addresses := map[string]string{}
	editManifest(t, manifest, func(object *unstructured.Unstructured) {
		if object.GetKind() == "Gateway" {
			addresses[object.GetName()] = prefix + strconv.Itoa(first+len(addresses))
		}
	})
	return addresses
}

// probeManifest is the manifest of the case's probes.
func (tc conformanceCase) probeManifest() string {
	var all strings.Builder
	for i, p := range tc.probes {
		fmt.Fprintf(&all, `
---
apiVersion: gateway.networking.k8s.io/v1
kind: %s
metadata: {name: probe-%d, namespace: %s}
spec: {parentRefs: [%s], hostnames: [%s], rules: [{backendRefs: [{name: infra-backend-v1, port: 8080}]}]}
`, p.kind, i, conformanceInfra, p.parent, p.hostname)
	}
	return all.String()
}

// hostnames are all names of the case.
func (tc conformanceCase) hostnames() string {
	all := slices.Collect(maps.Values(tc.want))
	for _, step := range tc.then {
		all = append(all, slices.Collect(maps.Values(step.want))...)
	}
	return strings.Join(all, " ")
}

// answers are the names as they resolve with this controller.
func (r resolution) answers(controller *gatewayController) answers {
	if !controller.credulous {
		return r.want
	}
	believed := map[string]bool{}
	for _, hostnames := range r.believed {
		for _, hostname := range strings.Fields(hostnames) {
			believed[hostname] = true
		}
	}
	all := maps.Clone(r.believed)
	if all == nil {
		all = answers{}
	}
	for gateways, hostnames := range r.want {
		for _, hostname := range strings.Fields(hostnames) {
			if !believed[hostname] {
				all[gateways] += " " + hostname
			}
		}
	}
	return all
}

// object is what the step deletes.
func (s conformanceStep) object() (kind, namespace, name string) {
	kind, name, _ = strings.Cut(s.delete, " ")
	if namespace, name, found := strings.Cut(name, "/"); found {
		return kind, namespace, name
	}
	return kind, conformanceInfra, name
}
