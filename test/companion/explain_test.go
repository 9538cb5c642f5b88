package companion_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// explainObjects are what TestExplain breaks on purpose, each in its way.
const explainObjects = `
{apiVersion: v1, kind: Namespace, metadata: {name: explained}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: explained-too}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: explained, annotations: {minilb/host: "own.explained.example, taken.explained.example"}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: slip, namespace: explained, annotations: {minilb/host: slip.explained.example}}
spec: {type: LoadBalancer, loadBalancerClass: MiniLB, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: misspelt, namespace: explained, annotations: {minilb/hots: misspelt.explained.example}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: misspelt}, ports: [{port: 8888, targetPort: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: inner, namespace: explained}
spec: {type: ClusterIP, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: idle, namespace: explained}
spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: idle}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: addressless, namespace: explained}
spec: {rules: [{host: addressless.explained.example}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: explained}
spec: {controllerName: example.org/gateways}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: explained}
spec:
  gatewayClassName: explained
  listeners:
  - {name: wild, port: 80, protocol: HTTP, hostname: "*.gw.explained.example"}
  - {name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}
status:
  addresses: [{type: Hostname, value: web.explained.minilb}]
` + explainRouteAccepted + `
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: pending, namespace: explained}
spec: {parentRefs: [{name: gw}], hostnames: [pending.gw.explained.example], rules: [{backendRefs: [{name: web, port: 80}]}]}
`

const explainRouteAccepted = `
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: accepted, namespace: explained}
spec: {parentRefs: [{name: gw}], hostnames: [a.gw.explained.example, elsewhere.explained.example], rules: [{backendRefs: [{name: web, port: 80}]}]}
status: {parents: [{parentRef: {name: gw}, controllerName: example.org/gateways, conditions: ` + harness.GatewayAccepted + `}]}
`

// TestExplain asks about names that break in the ways that people break them, and expects the cause.
func TestExplain(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	expectUnserved(t, c)
	harness.InstallGatewayAPI(t, c, cluster.NewestGatewayAPI)
	harness.Must(t, c.Apply(t.Context(), explainObjects))
	harness.Must(t, c.Node(t.Context(), "explained", "192.168.7.31"))
	harness.Must(t, c.Pod(t.Context(), cluster.PodSpec{Namespace: "explained", Name: "web-0", Labels: map[string]string{"app": "web"}, Node: "explained", IPs: []string{"10.77.1.1"}}))
	harness.Must(t, c.Pod(t.Context(), cluster.PodSpec{Namespace: "explained", Name: "web-1", Labels: map[string]string{"app": "web"}, Node: "explained", IPs: []string{"10.77.1.2"}, Unready: true}))
	// Creation times have whole seconds.
	time.Sleep(time.Until(harness.GetService(t, c, "explained", "web").CreationTimestamp.Add(1050 * time.Millisecond)))
	harness.Must(t, harness.Apply(c, `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: late, namespace: explained-too, annotations: {minilb/service: explained/idle}}
spec: {rules: [{host: taken.explained.example, HTTP}]}
`))
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	corefile := filepath.Join(t.TempDir(), "Corefile")
	harness.Must(t, os.WriteFile(corefile, []byte("(none) {\n}\n. {\n minilb minilb 10.77.0.0/16 {\n claim explained.example\n claim closed.example from nobody\n }\n}\n"), 0o600))
	explain := func(args ...string) string {
		t.Helper()
		out, err := harness.Minilb(t, append([]string{"explain", "-kubeconfig", kubeconfig, "-corefile", corefile}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
		for line := range strings.Lines(string(out)) {
			if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > 80 {
				t.Errorf("%q: wider than 80 columns: %s", args, line)
			}
		}
		return string(out)
	}
	// each checks all names, which are asked for at once.
	each := func(want map[string][]string) {
		t.Helper()
		names := slices.Sorted(maps.Keys(want))
		all := "\n" + explain(names...)
		for _, name := range names {
			_, text, found := strings.Cut(all, "\n"+strings.ToLower(strings.TrimSuffix(name, "."))+"\n")
			if !found {
				t.Fatalf("%s is missing in %s", name, all)
			}
			text, _, _ = strings.Cut(text, "\n\n\n")
			if i := strings.Index(text, "\nAnswers"); i >= 0 {
				end := strings.Index(text[i:]+"\n\n", "\n\n")
				text = text[:min(len(text), i+end)]
			}
			if err := wanted(text, want[name]...); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	cluster.Eventually(t, 20*time.Second, func() error {
		return wanted(explain("web.explained.minilb"), "10.77.1.1", "10.77.1.2")
	})
	each(map[string][]string{
		"web.explained.minilb": {
			"It is answered with 1 IPv4 address and no IPv6 address.", "in zone minilb, the name of Service explained/web",
			"10.77.1.1  answered  ready      explained", "10.77.1.2  left out  not ready  explained  Answers", "A      10.77.1.1", "AAAA   NODATA"},
		"idle.explained.minilb":           {"A and AAAA are NODATA: its Service has no endpoints, as no pod matches its selector or none has an address yet"},
		"slip.explained.minilb":           {"It does not exist: NXDOMAIN.", `Service explained/slip`, `it cannot be read to say more`},
		"gone.explained.minilb":           {"It does not exist: NXDOMAIN."},
		"_http._tcp.web.explained.minilb": {"It is a named port: SRV answers with 1 target.", "SRV 80 10-77-1-1.web.explained.minilb"},
		"explained.minilb":                {"has no records of its own: NODATA"},
		"minilb":                          {"the apex of zone minilb"},
		"own.explained.example":           {"in none of the zones", "Service explained/web, of ", ": answers", "leads to Service explained/web", "A      10.77.1.1"},
		"taken.explained.example":         {"Ingress explained-too/late, of ", ": does not count", `host "taken.explained.example" is refused: another namespace claimed it earlier`},
		"slip.explained.example":          {"passes it on", "Service explained/slip, of ", `it is not of class "minilb": its spec.loadBalancerClass is "MiniLB"`},
		"misspelt.explained.example":      {"passes it on", "See the notes for why.", `Service explained/misspelt: annotation "minilb/hots" is none of ours and has no effect: set the annotation minilb/host`},
		"misspelt.explained.minilb":       {"Service explained/misspelt: port 8888 → pods listen on 80, and nothing translates it: clients must use 80"},
		"x.own.explained.example":         {"passes it on", "No object asks for it."},
		"addressless.explained.example":   {"Ingress explained/addressless", "its status has no address yet"},
		"a.gw.explained.example":          {"HTTPRoute explained/accepted", "parentRef Gateway explained/gw: attached", `listener "wild" (*.gw.explained.example, port 80): serves it`, `listener "tls" (any hostname, port 443): it takes no HTTPRoute`, "A      10.77.1.1"},
		"elsewhere.explained.example":     {"HTTPRoute explained/accepted", "does not count", `is not served: no listener of Gateway explained/gw has a hostname for it: "wild" has *.gw.explained.example`, "its hostname and the route's have nothing in common that is this name"},
		"pending.gw.explained.example":    {"HTTPRoute explained/pending", "does not count", `the route's status has no entry for Gateway explained/gw: is controller "example.org/gateways" of GatewayClass "explained" running?`},
		"unclaimed.explained.example":     {"passes it on", "No object asks for it."},
		"X.Elsewhere.Explained.Example.":  {"No object asks for it."},
		"10-77-1-1.web.explained.minilb":  {"below the name of Service explained/web", "A      10.77.1.1"},
		"1.1.77.10.in-addr.arpa":          {"in the reverse zone 77.10.in-addr.arpa, the name of address 10.77.1.1", "10.77.1.1  answered  ready", "PTR   10-77-1-1.web.explained.minilb"},
		"2.1.77.10.in-addr.arpa":          {"It does not exist: NXDOMAIN.", "Service explained/web is not answered with its endpoint 10.77.1.2, which is not ready", "10.77.1.2  left out  not ready"},
		"ns1.minilb":                      {"the DNS server's own addresses", "they are not known here"},
	})

	// Whoever may read Services at large is told more.
	kubeconfig = c.Kubeconfig
	each(map[string][]string{
		"slip.explained.minilb":  {`Service explained/slip is of class "MiniLB", want "minilb"`},
		"inner.explained.minilb": {`Service explained/inner is of type ClusterIP: set spec.type to LoadBalancer and spec.loadBalancerClass to "minilb", or the label minilb/expose to "true"`},
		"wbe.explained.minilb":   {`Service explained/wbe does not exist; there are explained/idle, explained/misspelt, explained/web`},
	})

	var of struct {
		Summary string
		Claims  []struct{ Kind, Name, Verdict string }
		Answer  struct {
			A, AAAA []string
			Own     bool
		}
	}
	harness.Must(t, json.Unmarshal([]byte(explain("own.explained.example", "-o", "json")), &of))
	if len(of.Claims) != 1 || of.Claims[0].Verdict != "answers" || !slices.Equal(of.Answer.A, []string{"10.77.1.1"}) || of.Answer.AAAA == nil || of.Answer.Own {
		t.Errorf("got %+v", of)
	}
	out, err := harness.Minilb(t, "explain", "-kubeconfig", kubeconfig, "-corefile", corefile, "-o", "json", "ns1.minilb").Output()
	harness.Must(t, err)
	harness.Must(t, json.Unmarshal(out, &of))
	if len(of.Claims) > 0 || !of.Answer.Own {
		t.Errorf("got %+v", of)
	}
	expectReads(t, c)
}

// expectUnserved installs the Gateway API in part: explain says which routes are not known, of names that
// nothing asks for.
func expectUnserved(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	explain := func(name string) string {
		t.Helper()
		out, err := harness.Minilb(t, "explain", "-kubeconfig", c.Kubeconfig, name).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	const note = "the API server does not serve"
	if out := explain("shop.example.org"); strings.Contains(out, note) {
		t.Errorf("without the Gateway API: got\n%s", out)
	}
	harness.ApplyTogether(t, c, harness.NewestGateways.Definitions(t, "gatewayclasses", "gateways", "httproutes"))
	cluster.Eventually(t, 10*time.Second, func() error {
		return wanted(explain("shop.example.org"), "No object asks for it.", note+" GRPCRoute or TLSRoute: hosts of such routes cannot be found")
	})
	if out := explain("minilb"); strings.Contains(out, note) {
		t.Errorf("the apex: got\n%s", out)
	}
}

// wanted returns an error unless all are in the text, however its lines are broken.
func wanted(text string, all ...string) error {
	flat := strings.Join(strings.Fields(text), " ")
	for _, want := range all {
		if !strings.Contains(flat, strings.Join(strings.Fields(want), " ")) {
			return fmt.Errorf("got\n%s\nwant %q in it", text, want)
		}
	}
	return nil
}
