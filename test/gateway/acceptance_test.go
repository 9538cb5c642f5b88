package gateway_test

import (
	"fmt"

	"github.com/minilb/minilb/test/harness"
)

// acceptanceCases are about what the controllers say of a route (G20 to G24).
var acceptanceCases = []gatewayCase{
	// G20: only what a controller has accepted is attached.
	{name: "G20: no status", objects: harness.Manifest(harness.Gateway{}, harness.Route{Status: "none"}), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example" is not served: the route's status has no entry for Gateway NS/gw: is controller "example.org/controller" of GatewayClass "example" running?`}},
	{name: "G20: a fresh route", objects: harness.Manifest(harness.Gateway{}, harness.Route{Status: "empty"}), want: []string{"a -"}},
	{name: "G20: refused", objects: accepting("False"), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example" is not served: the controller of Gateway NS/gw does not accept it (Test)`}},
	{name: "G20: undecided", objects: accepting("Unknown"), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example" is not served: the controller of Gateway NS/gw has not decided on it yet (condition Accepted is Unknown)`}},
	{name: "G20: no such condition", objects: harness.Manifest(harness.Gateway{}, harness.Route{Status: harness.ParentStatus("{name: gw}", harness.ControllerName, harness.Condition("ResolvedRefs", "True"))}), want: []string{"a -"}},
	{name: "G20: accepted by another Gateway", objects: harness.Manifest(harness.Gateway{}, harness.Gateway{Name: "other"}, harness.Route{Status: harness.Attached("{name: other}")}), want: []string{"a -"}},
	{name: "G20: accepted by another namespace's Gateway", objects: harness.Manifest(harness.Gateway{}, harness.Route{Status: harness.Attached("{name: gw, namespace: elsewhere}")}), want: []string{"a -"}},
	{name: "G20: accepted by a Service of that name", objects: harness.Manifest(harness.Gateway{}, harness.Route{Status: harness.Attached(`{group: "", kind: Service, name: gw}`)}), want: []string{"a -"}},
	{name: "G20: the status names the namespace and the spec does not", objects: harness.Manifest(harness.Gateway{}, harness.Route{Status: harness.Attached("{name: gw, namespace: NS}")}), want: []string{"a 10.1.0.1"}},
	{name: "G20: the spec names the namespace and the status does not", objects: harness.Manifest(harness.Gateway{}, harness.Route{Parents: "{name: gw, namespace: NS}", Status: harness.Attached("{name: gw}")}), want: []string{"a 10.1.0.1"}},
	{name: "G20: all fields agree", objects: harness.Manifest(harness.Gateway{}, harness.Route{Parents: "{name: gw, sectionName: http, port: 80}"}), want: []string{"a 10.1.0.1"}},
	{name: "G20: the status is for a section and the spec is not", objects: harness.Manifest(harness.Gateway{}, harness.Route{Status: harness.Attached("{name: gw, sectionName: http}")}), want: []string{"a 10.1.0.1"}},
	{name: "G20: the spec is for a section and the status is not", objects: harness.Manifest(harness.Gateway{}, harness.Route{Parents: "{name: gw, sectionName: http}", Status: harness.Attached("{name: gw}")}), want: []string{"a 10.1.0.1"}},
	{name: "G20: the status is for another section", objects: harness.Manifest(harness.Gateway{Listeners: twoListeners}, harness.Route{Hosts: twoHosts, Parents: "{name: gw, sectionName: http}", Status: harness.Attached("{name: gw, sectionName: https}")}), want: []string{"a.http -", "a.https -"}},
	{name: "G20: the status is for a port and the spec is not", objects: harness.Manifest(harness.Gateway{}, harness.Route{Status: harness.Attached("{name: gw, port: 80}")}), want: []string{"a 10.1.0.1"}},
	{name: "G20: the status is for another port", objects: harness.Manifest(harness.Gateway{Listeners: twoListeners}, harness.Route{Hosts: twoHosts, Parents: "{name: gw, port: 80}", Status: harness.Attached("{name: gw, port: 443}")}), want: []string{"a.http -", "a.https -"}},
	{name: "G20: one of two sections is accepted",
		objects: harness.Manifest(harness.Gateway{Listeners: twoListeners}, harness.Route{Hosts: twoHosts, Parents: "{name: gw, sectionName: http}, {name: gw, sectionName: https}",
			Status: harness.Attached("{name: gw, sectionName: http}") + ", " + harness.ParentStatus("{name: gw, sectionName: https}", harness.ControllerName, harness.Condition("Accepted", "False"))}),
		want: []string{"a.http 10.1.0.1", "a.https -"}},
	{name: "G20: one of two Gateways has accepted",
		objects: harness.Manifest(harness.Gateway{}, harness.Gateway{Name: "other", Addresses: "{value: 10.1.0.2}"}, harness.Route{Parents: "{name: gw}, {name: other}",
			Status: harness.ParentStatus("{name: gw}", harness.ControllerName, harness.Condition("Accepted", "False")) + ", " + harness.Attached("{name: other}")}),
		want: []string{"a 10.1.0.2"}},

	// G20: what controllers write that do not copy the parentRef.
	{name: "G20: NGINX Gateway Fabric, one listener", objects: harness.Manifest(harness.Gateway{}, harness.Route{Status: harness.Attached("{namespace: NS, name: gw, sectionName: http}")}), want: []string{"a 10.1.0.1"}},
	{name: "G20: NGINX Gateway Fabric, a port",
		objects: harness.Manifest(harness.Gateway{Listeners: twoListeners}, harness.Route{Hosts: twoHosts, Parents: "{name: gw, port: 443}", Status: harness.Attached("{namespace: NS, name: gw, sectionName: https}")}),
		want:    []string{"a.http -", "a.https 10.1.0.1"}},
	{name: "G20: Kong, a port",
		objects: harness.Manifest(harness.Gateway{Listeners: twoListeners}, harness.Route{Hosts: twoHosts, Parents: "{name: gw, port: 443}", Status: harness.Attached("{group: gateway.networking.k8s.io, kind: Gateway, namespace: NS, name: gw}")}),
		want:    []string{"a.http -", "a.https 10.1.0.1"}},
	{name: "G20: APISIX, two sections",
		objects: harness.Manifest(harness.Gateway{Listeners: twoListeners}, harness.Route{Hosts: twoHosts, Parents: "{name: gw, sectionName: http}, {name: gw, sectionName: https}",
			Status: harness.Attached("{group: gateway.networking.k8s.io, kind: Gateway, namespace: NS, name: gw}, {group: gateway.networking.k8s.io, kind: Gateway, namespace: NS, name: gw}")}),
		want: []string{"a.http 10.1.0.1", "a.https 10.1.0.1"}},

	// G21: the controller of the Gateway's class decides.
	{name: "G21: accepted by the owner, refused by another",
		objects: harness.Manifest(harness.Gateway{}, harness.Route{Status: harness.ParentStatus("{name: gw}", "example.org/other", harness.Condition("Accepted", "False")) + ", " + harness.Attached("{name: gw}")}),
		want:    []string{"a 10.1.0.1"}},
	{name: "G21: refused by the owner, accepted by another",
		objects: harness.Manifest(harness.Gateway{}, harness.Route{Status: harness.ParentStatus("{name: gw}", harness.ControllerName, harness.Condition("Accepted", "False")) + ", " + harness.ParentStatus("{name: gw}", "example.org/other", harness.Condition("Accepted", "True"))}),
		want:    []string{"a -"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example" is not served: the controller of Gateway NS/gw does not accept it (Test)`}},
	{name: "G21: accepted by another alone",
		objects: harness.Manifest(harness.Gateway{}, harness.Route{Status: harness.ParentStatus("{name: gw}", "example.org/other", harness.Condition("Accepted", "True"))}),
		want:    []string{"a -"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example" is not served: it is accepted by controller "example.org/other", but GatewayClass "example" of Gateway NS/gw names controller "example.org/controller"`}},
	{name: "G21: each Gateway by its own class",
		objects: harness.GatewayClass("NS", "example.org/other") + harness.Manifest(harness.Gateway{}, harness.Gateway{Name: "other", Class: "NS", Addresses: "{value: 10.1.0.2}"}, harness.Route{Parents: "{name: gw}, {name: other}",
			Status: harness.ParentStatus("{name: gw}", "example.org/other", harness.Condition("Accepted", "True")) + ", " + harness.ParentStatus("{name: other}", "example.org/other", harness.Condition("Accepted", "True"))}),
		want: []string{"a 10.1.0.2"}},
	{name: "G21: a class that is not there has any controller",
		objects: harness.Manifest(harness.Gateway{Class: "nobody"}, harness.Route{Status: harness.ParentStatus("{name: gw}", "example.org/other", harness.Condition("Accepted", "True"))}),
		want:    []string{"a 10.1.0.1"}},

	// G22: a condition from before the last edit is not void.
	{name: "G22: a condition of an earlier generation", objects: harness.Manifest(harness.Gateway{}, harness.Route{Status: harness.ParentStatus("{name: gw}", harness.ControllerName, generation(0))}), want: []string{"a 10.1.0.1"}},
	{name: "G22: a condition of any generation", objects: harness.Manifest(harness.Gateway{}, harness.Route{Status: harness.ParentStatus("{name: gw}", harness.ControllerName, generation(77))}), want: []string{"a 10.1.0.1"}},

	// G24: what does not work yet has its name all the same.
	{name: "G24: a route whose backends are missing",
		objects: harness.Manifest(harness.Gateway{}, harness.Route{Status: harness.ParentStatus("{name: gw}", harness.ControllerName, harness.Condition("Accepted", "True")+", "+harness.Condition("ResolvedRefs", "False"))}),
		want:    []string{"a 10.1.0.1"}},
	{name: "G24: a Gateway that is not programmed",
		objects: harness.Manifest(harness.Gateway{Conditions: harness.Condition("Accepted", "True") + ", " + harness.Condition("Programmed", "False")}, harness.Route{}),
		want:    []string{"a 10.1.0.1"}},
	{name: "G24: a Gateway without conditions", objects: harness.Manifest(harness.Gateway{Conditions: "none"}, harness.Route{}), want: []string{"a 10.1.0.1"}},
	{name: "G24: no Gateway", objects: harness.Manifest(harness.Route{}), want: []string{"a -"}},

	// G20b: what is not as it should be is told apart.
	{name: "G20b: a Gateway that is ignored", objects: harness.Manifest(harness.Gateway{Metadata: ignored}, harness.Route{}), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example" is not served: Gateway NS/gw has label minilb/ignore or k8s-gateway.dns/ignore, which makes it absent`}},
	{name: "G20b: no GatewayClass", objects: harness.Manifest(harness.Gateway{Class: "nobody"}, harness.Route{Status: "none"}), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example" is not served: the route's status has no entry for Gateway NS/gw: GatewayClass "nobody" does not exist`}},
	{name: "G20b: a status of another section alone", objects: harness.Manifest(harness.Gateway{}, harness.Route{Parents: "{name: gw, sectionName: http}", Status: harness.Attached("{name: gw, sectionName: old}")}), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example" is not served: the route's status has an entry for Gateway NS/gw section "old" alone, and none for Gateway NS/gw section "http"`}},
}

func accepting(status string) string {
	return harness.Manifest(harness.Gateway{}, harness.Route{Status: harness.ParentStatus("{name: gw}", harness.ControllerName, harness.Condition("Accepted", status)+", "+harness.Condition("ResolvedRefs", "True"))})
}

func generation(observed int) string {
	return fmt.Sprintf("{type: Accepted, status: 'True', reason: Test, message: '', lastTransitionTime: '2026-01-01T00:00:00Z', observedGeneration: %d}", observed)
}
