package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/minilb/minilb/plugin/minilb/config"
)

// G20: which entries of the status speak of a parentRef, as the code of these controllers writes them.
func TestAcceptedEntries(t *testing.T) {
	const (
		two = `listeners: [{name: http, port: 80, protocol: HTTP, hostname: "*.a.org", allowedRoutes: {namespaces: {from: All}}},
			{name: https, port: 443, protocol: HTTPS, hostname: "*.b.org", allowedRoutes: {namespaces: {from: All}}}]`
		both = "x.a.org x.b.org"
	)
	for _, tc := range []struct {
		name            string
		parents, status string // lists of references: those of the status are accepted but for what follows an exclamation mark
		want            string // the hosts that are answered
	}{
		{"equal", "{name: gw, sectionName: http}", "{group: gateway.networking.k8s.io, kind: Gateway, namespace: infra, name: gw, sectionName: http, port: 0}", "x.a.org"},
		{"an empty group is the default", "{name: gw}", `{group: "", kind: Gateway, name: gw}`, both},
		{"of another namespace", "{name: gw}", "{name: gw, namespace: shop}", ""},
		{"of another kind", "{name: gw}", "{kind: ListenerSet, name: gw}", ""},
		{"a Service of that name", "{name: gw}", `{group: "", kind: Service, name: gw}`, ""},
		{"of nothing", "{name: gw}", "", ""},

		{"NGINX Gateway Fabric: the section of the one listener that takes the route", "{name: gw}", "{namespace: infra, name: gw, sectionName: http}", both},
		{"NGINX Gateway Fabric: the section of a port", "{name: gw, port: 443}", "{namespace: infra, name: gw, sectionName: https}", "x.b.org"},
		{"NGINX Gateway Fabric: no section for several listeners", "{name: gw}", "{namespace: infra, name: gw}", both},
		{"NGINX Gateway Fabric: two sections", "{name: gw, sectionName: http}, {name: gw, sectionName: https}",
			"{namespace: infra, name: gw, sectionName: http}, !{namespace: infra, name: gw, sectionName: https}", "x.a.org"},
		{"Kong: no port", "{name: gw, port: 443}", "{group: gateway.networking.k8s.io, kind: Gateway, namespace: infra, name: gw}", "x.b.org"},
		{"Kong: the section and no port", "{name: gw, sectionName: https, port: 443}", "{group: gateway.networking.k8s.io, kind: Gateway, namespace: infra, name: gw, sectionName: https}", "x.b.org"},
		{"APISIX: neither section nor port, an entry for each parentRef", "{name: gw, sectionName: http}, {name: gw, port: 443}",
			"{group: gateway.networking.k8s.io, kind: Gateway, namespace: infra, name: gw}, {group: gateway.networking.k8s.io, kind: Gateway, namespace: infra, name: gw}", both},
		{"APISIX: one of two suffices", "{name: gw, sectionName: http}", "!{namespace: infra, name: gw}, {namespace: infra, name: gw}", "x.a.org"},
		{"APISIX: refused", "{name: gw, sectionName: http}", "!{namespace: infra, name: gw}", ""},

		{"a stale entry of another section", "{name: gw, sectionName: https}", "{name: gw, sectionName: http}", ""},
		{"a stale entry of another port", "{name: gw, port: 443}", "{name: gw, port: 80}", ""},
		{"the same section of another port", "{name: gw, sectionName: https, port: 443}", "{name: gw, sectionName: https, port: 80}", ""},
		{"an equal entry, and no other", "{name: gw, sectionName: http}", "!{name: gw, sectionName: http}, {name: gw}", ""},
		{"an equal entry behind another", "{name: gw, sectionName: http}", "{name: gw}, !{name: gw, sectionName: http}", ""},
		{"an entry of another parentRef", "{name: gw}, {name: gw, sectionName: http}", "{name: gw, sectionName: http}, !{name: gw}", "x.a.org"},
		{"an entry of another parentRef alone", "{name: gw}, {name: gw, sectionName: http}", "{name: gw, sectionName: http}", "x.a.org"},
		{"an entry of the whole, beside a section's", "{name: gw, sectionName: https}, {name: gw}", "!{name: gw}, {name: gw, port: 443}", "x.b.org"},
	} {
		var status []string
		for _, ref := range strings.SplitAfter(tc.status, "}") {
			ref = strings.TrimPrefix(ref, ", ")
			if ref == "" {
				continue
			}
			refused := strings.HasPrefix(ref, "!")
			status = append(status, fmt.Sprintf("{parentRef: %s, controllerName: example.org/ctl, conditions: [{type: Accepted, status: '%t'}]}", strings.TrimPrefix(ref, "!"), !refused))
		}
		manifest := fmt.Sprintf("kind: HTTPRoute\nmetadata: {name: r, namespace: infra}\nspec: {hostnames: [x.a.org, x.b.org], parentRefs: [%s]}\nstatus: {parents: [%s]}\n",
			tc.parents, strings.NewReplacer("'true'", "'True'", "'false'", "'False'").Replace(strings.Join(status, ", ")))
		var got []string
		for _, line := range told(testObjects(t, gatewayWith(two)+manifest), config.Options{}) {
			if host, served := strings.CutSuffix(line, ". -> 10.0.0.5"); served {
				got = append(got, host)
			}
		}
		if got := strings.Join(got, " "); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// G21: an entry of another controller neither speaks of a parentRef nor keeps those of the right one from it.
func TestAcceptedEntriesOfOthers(t *testing.T) {
	route := func(status string) string {
		return "kind: HTTPRoute\nmetadata: {name: r, namespace: infra}\nspec: {hostnames: [a.org], parentRefs: [{name: gw}]}\nstatus: {parents: [" + status + "]}\n"
	}
	entry := func(ref, controller, accepted string) string {
		return fmt.Sprintf("{parentRef: %s, controllerName: %s, conditions: [{type: Accepted, status: %q}]}", ref, controller, accepted)
	}
	const section, whole = "{name: gw, sectionName: http}", "{name: gw}"
	for name, tc := range map[string]struct {
		status  string
		classes string
		answers bool
	}{
		"the right one's section":          {entry(whole, "example.org/other", "False") + ", " + entry(section, "example.org/ctl", "True"), class, true},
		"another's section":                {entry(section, "example.org/other", "True"), class, false},
		"any, where there is no class":     {entry(section, "example.org/other", "True"), "", true},
		"any, where the class names none":  {entry(section, "example.org/other", "True"), "kind: GatewayClass\nmetadata: {name: gc}\n---\n", true},
		"an equal one, without its class":  {entry(section, "example.org/other", "True") + ", " + entry(whole, "example.org/ctl", "False"), "", false},
		"one of several, without a class":  {entry(section, "example.org/other", "False") + ", " + entry(section, "example.org/ctl", "True"), "", true},
		"refused by the right one's whole": {entry(section, "example.org/ctl", "True") + ", " + entry(whole, "example.org/ctl", "False"), class, false},
	} {
		got := told(testObjects(t, tc.classes+fmt.Sprintf(gw, open)+route(tc.status)), config.Options{})
		if answers := len(got) == 1 && got[0] == "a.org. -> 10.0.0.5"; answers != tc.answers {
			t.Errorf("%s: got %q, want it answered: %v", name, got, tc.answers)
		}
	}
}
