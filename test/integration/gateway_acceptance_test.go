package integration_test

import "fmt"

// acceptanceCases are about what the controllers say of a route (G20 to G24).
var acceptanceCases = []gatewayCase{
	// G20: only what a controller has accepted is attached.
	{name: "G20: no status", objects: manifest(gateway{}, route{status: "none"}), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example." is not served: the controller of Gateway NS/gw has not accepted it yet`}},
	{name: "G20: a fresh route", objects: manifest(gateway{}, route{status: "empty"}), want: []string{"a -"}},
	{name: "G20: refused", objects: accepting("False"), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example." is not served: the controller of Gateway NS/gw does not accept it (Test)`}},
	{name: "G20: undecided", objects: accepting("Unknown"), want: []string{"a -"}},
	{name: "G20: no such condition", objects: manifest(gateway{}, route{status: parentStatus("{name: gw}", controllerName, condition("ResolvedRefs", "True"))}), want: []string{"a -"}},
	{name: "G20: accepted by another Gateway", objects: manifest(gateway{}, gateway{name: "other"}, route{status: attached("{name: other}")}), want: []string{"a -"}},
	{name: "G20: accepted by another namespace's Gateway", objects: manifest(gateway{}, route{status: attached("{name: gw, namespace: elsewhere}")}), want: []string{"a -"}},
	{name: "G20: accepted by a Service of that name", objects: manifest(gateway{}, route{status: attached(`{group: "", kind: Service, name: gw}`)}), want: []string{"a -"}},
	{name: "G20: the status names the namespace and the spec does not", objects: manifest(gateway{}, route{status: attached("{name: gw, namespace: NS}")}), want: []string{"a 10.1.0.1"}},
	{name: "G20: the spec names the namespace and the status does not", objects: manifest(gateway{}, route{parents: "{name: gw, namespace: NS}", status: attached("{name: gw}")}), want: []string{"a 10.1.0.1"}},
	{name: "G20: all fields agree", objects: manifest(gateway{}, route{parents: "{name: gw, sectionName: http, port: 80}"}), want: []string{"a 10.1.0.1"}},
	{name: "G20: the status is for a section and the spec is not", objects: manifest(gateway{}, route{status: attached("{name: gw, sectionName: http}")}), want: []string{"a -"}},
	{name: "G20: the spec is for a section and the status is not", objects: manifest(gateway{}, route{parents: "{name: gw, sectionName: http}", status: attached("{name: gw}")}), want: []string{"a -"}},
	{name: "G20: the status is for another section", objects: manifest(gateway{listeners: twoListeners}, route{hosts: twoHosts, parents: "{name: gw, sectionName: http}", status: attached("{name: gw, sectionName: https}")}), want: []string{"a.http -", "a.https -"}},
	{name: "G20: the status is for a port and the spec is not", objects: manifest(gateway{}, route{status: attached("{name: gw, port: 80}")}), want: []string{"a -"}},
	{name: "G20: the status is for another port", objects: manifest(gateway{listeners: twoListeners}, route{hosts: twoHosts, parents: "{name: gw, port: 80}", status: attached("{name: gw, port: 443}")}), want: []string{"a.http -", "a.https -"}},
	{name: "G20: one of two sections is accepted",
		objects: manifest(gateway{listeners: twoListeners}, route{hosts: twoHosts, parents: "{name: gw, sectionName: http}, {name: gw, sectionName: https}",
			status: attached("{name: gw, sectionName: http}") + ", " + parentStatus("{name: gw, sectionName: https}", controllerName, condition("Accepted", "False"))}),
		want: []string{"a.http 10.1.0.1", "a.https -"}},
	{name: "G20: one of two Gateways has accepted",
		objects: manifest(gateway{}, gateway{name: "other", addresses: "{value: 10.1.0.2}"}, route{parents: "{name: gw}, {name: other}",
			status: parentStatus("{name: gw}", controllerName, condition("Accepted", "False")) + ", " + attached("{name: other}")}),
		want: []string{"a 10.1.0.2"}},

	// G21: the controller of the Gateway's class decides.
	{name: "G21: accepted by the owner, refused by another",
		objects: manifest(gateway{}, route{status: parentStatus("{name: gw}", "example.org/other", condition("Accepted", "False")) + ", " + attached("{name: gw}")}),
		want:    []string{"a 10.1.0.1"}},
	{name: "G21: refused by the owner, accepted by another",
		objects: manifest(gateway{}, route{status: parentStatus("{name: gw}", controllerName, condition("Accepted", "False")) + ", " + parentStatus("{name: gw}", "example.org/other", condition("Accepted", "True"))}),
		want:    []string{"a -"}},
	{name: "G21: accepted by another alone",
		objects: manifest(gateway{}, route{status: parentStatus("{name: gw}", "example.org/other", condition("Accepted", "True"))}),
		want:    []string{"a -"}},
	{name: "G21: each Gateway by its own class",
		objects: gatewayClass("NS", "example.org/other") + manifest(gateway{}, gateway{name: "other", class: "NS", addresses: "{value: 10.1.0.2}"}, route{parents: "{name: gw}, {name: other}",
			status: parentStatus("{name: gw}", "example.org/other", condition("Accepted", "True")) + ", " + parentStatus("{name: other}", "example.org/other", condition("Accepted", "True"))}),
		want: []string{"a 10.1.0.2"}},
	{name: "G21: a class that is not there has any controller",
		objects: manifest(gateway{class: "nobody"}, route{status: parentStatus("{name: gw}", "example.org/other", condition("Accepted", "True"))}),
		want:    []string{"a 10.1.0.1"}},

	// G22: a condition from before the last edit is not void.
	{name: "G22: a condition of an earlier generation", objects: manifest(gateway{}, route{status: parentStatus("{name: gw}", controllerName, generation(0))}), want: []string{"a 10.1.0.1"}},
	{name: "G22: a condition of any generation", objects: manifest(gateway{}, route{status: parentStatus("{name: gw}", controllerName, generation(77))}), want: []string{"a 10.1.0.1"}},

	// G24: what does not work yet has its name all the same.
	{name: "G24: a route whose backends are missing",
		objects: manifest(gateway{}, route{status: parentStatus("{name: gw}", controllerName, condition("Accepted", "True")+", "+condition("ResolvedRefs", "False"))}),
		want:    []string{"a 10.1.0.1"}},
	{name: "G24: a Gateway that is not programmed",
		objects: manifest(gateway{conditions: condition("Accepted", "True") + ", " + condition("Programmed", "False")}, route{}),
		want:    []string{"a 10.1.0.1"}},
	{name: "G24: a Gateway without conditions", objects: manifest(gateway{conditions: "none"}, route{}), want: []string{"a 10.1.0.1"}},
	{name: "G24: no Gateway", objects: manifest(route{}), want: []string{"a -"}},
}

func accepting(status string) string {
	return manifest(gateway{}, route{status: parentStatus("{name: gw}", controllerName, condition("Accepted", status)+", "+condition("ResolvedRefs", "True"))})
}

func generation(observed int) string {
	return fmt.Sprintf("{type: Accepted, status: 'True', reason: Test, message: '', lastTransitionTime: '2026-01-01T00:00:00Z', observedGeneration: %d}", observed)
}
