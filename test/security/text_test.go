package security_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// obeyed is what a terminal or a log would obey: it clears the screen, sets the title, turns the direction of writing
// and begins a line of its own. The API server takes it for an annotation, a parentRef's name and a message.
const obeyed = "x\x1b[2J\x1b]0;pwned\x07\u202e\u2066\r\n[ERROR] forged"

// What a tenant, and a controller that writes statuses, have in their objects does nothing to a terminal, a log or
// an Event (M10).
func TestTenantText(t *testing.T) {
	t.Parallel()
	c := harness.GatewayCluster(t, cluster.NewestGatewayAPI)
	n := harness.NewTenants(t, c)
	e, text := n.Evil.Namespace, strconv.QuoteToASCII(obeyed)
	s := n.Serve(t)
	controller := harness.StartController(t, harness.ShippedAccounts(t, c).Controller, "-class", "text", "-v").WaitReady(t)

	route := fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: %s}\nspec: {hostnames: [route.%[1]s.example], parentRefs: [{name: gw}, {name: %s}]}\n", e, text)
	gateway := harness.Gateway{Namespace: e}.String()
	harness.Must(t, n.Evil.Apply(fmt.Sprintf(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, namespace: %[1]s, annotations: {minilb/service: %[2]s}}
spec: {rules: [{host: ingress.%[1]s.example}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: %[1]s, annotations: {minilb/host: %[2]s}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}
---
`, e, text)+gateway+route))
	harness.Must(t, c.Apply(t.Context(), gateway+route+fmt.Sprintf(`status: {parents: [{parentRef: {name: gw}, controllerName: %s, conditions: [{type: Accepted, status: 'False', reason: Refused, message: %s, lastTransitionTime: '2026-01-01T00:00:00Z'}]}]}
`, harness.ControllerName, text)))

	for _, want := range []string{"Ingress " + e + "/i: ", "Service " + e + "/web: ", "HTTPRoute " + e + "/r: "} {
		cluster.Eventually(t, patience, func() error {
			if len(s.Log.Lines(want)) == 0 {
				return fmt.Errorf("the server's log has no line of %q", want)
			}
			return nil
		})
	}
	var notes []string
	cluster.Eventually(t, 3*patience, func() error { // a host that leads nowhere is told of after half a minute
		list, err := c.Client.EventsV1().Events(e).List(t.Context(), metav1.ListOptions{})
		harness.Must(t, err)
		kinds := map[string]bool{}
		notes = nil
		for i := range list.Items {
			kinds[list.Items[i].Regarding.Kind] = true
			notes = append(notes, list.Items[i].Note)
		}
		if !kinds["Ingress"] || !kinds["HTTPRoute"] {
			return fmt.Errorf("got Events %q", notes)
		}
		return nil
	})
	printed := map[string]string{"the server's log": s.Log.String(), "the controller's log": controller.Stderr.String() + controller.Stdout.String(), "Events": strings.Join(notes, "\n")}
	for _, args := range [][]string{{"check"}, {"check", "-o", "json"}, {"explain", "ingress." + e + ".example", "route." + e + ".example", "web." + e + ".minilb"}, {"explain", "-o", "json", "route." + e + ".example"}} {
		out, _ := harness.Minilb(t, append([]string{args[0], "-kubeconfig", c.Kubeconfig}, args[1:]...)...).CombinedOutput() // check finds something
		printed[strings.Join(args, " ")] = string(out)
	}
	for what, text := range printed {
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) || strings.HasPrefix(line, "[ERROR] forged") {
				t.Errorf("%s: %q", what, line)
			}
		}
		if !strings.Contains(text, "pwned") && what != "the controller's log" {
			t.Errorf("%s has nothing of it:\n%s", what, text)
		}
	}
}
