package integration_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/test/cluster"
)

// gatewayCase is what a rule says of some objects in a namespace of their own.
type gatewayCase struct {
	name    string // begins with the rules
	objects string // NS stands for the namespace, also in the hosts, which end in NS.example
	younger string // those whose creationTimestamp is later than that of all objects
	want    []string
	logged  []string // what is said in one line of the log

	namespace string // see inNamespaces
}

// gatewayCases are all of them, by the part of the rules that they are about.
var gatewayCases = inNamespaces(slices.Concat(attachmentCases, acceptanceCases, hostnameCases, addressCases, setCases, claimCases))

// TestGatewayRules gives the real API server objects as their users and controllers write them,
// and checks what is answered: by a server that saw each of them come, and by one that found
// them there, which must agree (C5).
func TestGatewayRules(t *testing.T) {
	c := gatewayCluster(t, cluster.NewestGatewayAPI)
	kubeconfig := shippedAccounts(t, c).dns
	up := startUpstream(t)
	watching := startCoreDNS(t, resolverFor(kubeconfig, up))
	watching.waitReady(t)
	applyCases(t, c, gatewayCases)

	// What is not answered is only known to be so once all that is has come.
	for _, tc := range gatewayCases {
		cluster.Eventually(t, 20*time.Second, func() error { return watching.expectPresent(tc) })
	}
	starting := startCoreDNS(t, resolverFor(kubeconfig, up))
	starting.waitReady(t)
	for _, tc := range gatewayCases {
		t.Run(tc.name, func(t *testing.T) {
			for server, s := range map[string]*coredns{"watching": watching, "starting": starting} {
				// The answers come before the lines.
				if err := cluster.Wait(t.Context(), 10*time.Second, func() error { return s.expectCase(tc) }); err != nil {
					t.Errorf("the server that was %s: %v", server, err)
				}
			}
		})
	}
	if lines := starting.log.lines("[ERROR]"); len(lines) > 0 {
		t.Errorf("errors are logged: %q", lines)
	}
}

// expectCase checks all that a case wants.
func (s *coredns) expectCase(tc gatewayCase) error {
	var errs []error
	for _, line := range tc.want {
		errs = append(errs, s.expectHost(tc.namespace, line))
	}
	for _, text := range tc.logged {
		text = strings.ReplaceAll(text, "NS", tc.namespace)
		if lines := s.log.lines(text); len(lines) != 1 {
			errs = append(errs, fmt.Errorf("got %d lines %q, want one", len(lines), text))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w\nlogged of it: %q", err, s.log.lines(tc.namespace+"/"))
	}
	return nil
}

// inNamespaces gives each case a namespace, named for its rules and its place among all.
func inNamespaces(cases []gatewayCase) []gatewayCase {
	for i := range cases {
		rules, _, _ := strings.Cut(strings.ToLower(cases[i].name), ":")
		cases[i].namespace = fmt.Sprintf("%s-%d", strings.ReplaceAll(rules, ", ", "-"), i)
	}
	return cases
}

// expectPresent checks the lines of a case that say what is answered, not those that say what is not.
func (s *coredns) expectPresent(tc gatewayCase) error {
	for _, line := range tc.want {
		if !strings.HasSuffix(line, " -") {
			if err := s.expectHost(tc.namespace, line); err != nil {
				return fmt.Errorf("%s: %w\n%s", tc.name, err, strings.Join(s.log.lines(tc.namespace+"/"), "\n"))
			}
		}
	}
	return nil
}

// expectHost checks a line "host [type] [data...]" or "host -". The host is one below NS.example,
// or absolute; the type is A unless said otherwise; and "-" is a name that is not answered here,
// but passed on.
func (s *coredns) expectHost(namespace, line string) error {
	fields := strings.Fields(strings.ReplaceAll(line, "NS", namespace))
	name, data := fields[0], fields[1:]
	if !strings.HasSuffix(name, ".") {
		name += "." + namespace + ".example."
	}
	qtype := dns.TypeA
	if known, ok := dns.StringToType[data[0]]; ok {
		qtype, data = known, data[1:]
	}
	if len(data) == 1 && data[0] == "-" {
		return s.expectForwarded(name, qtype)
	}
	return s.expect(name, qtype, data...)
}

// expectForwarded returns an error unless the question is passed on to startUpstream's server.
func (s *coredns) expectForwarded(name string, qtype uint16) error {
	reply, err := s.ask("udp", name, qtype)
	if err != nil {
		return err
	}
	if reply.Authoritative || len(reply.Answer) != 1 || reply.Answer[0].Header().Rrtype != dns.TypeTXT {
		return fmt.Errorf("%s %s is answered here: %s", name, dns.TypeToString[qtype], messageOf(reply))
	}
	return nil
}

// applyCases applies the cases' objects, the younger ones when creationTimestamps have moved on.
func applyCases(t *testing.T, c *cluster.Cluster, cases []gatewayCase) {
	t.Helper()
	applyAll := func(manifest func(tc gatewayCase) string) {
		parallel(t, len(cases), func(i int) error {
			namespace := cases[i].namespace
			if err := c.Apply(t.Context(), strings.ReplaceAll(manifest(cases[i]), "NS", namespace)); err != nil {
				return fmt.Errorf("%s: %w", cases[i].name, err)
			}
			return nil
		})
	}
	applyAll(func(tc gatewayCase) string { return object("v1", "Namespace", "NS", "") + tc.objects })
	time.Sleep(1100 * time.Millisecond) // the resolution of creationTimestamp is a second
	applyAll(func(tc gatewayCase) string { return tc.younger })
}

// gatewayCluster returns the control plane that tests share with a release of the Gateway API, of
// its experimental channel, which has every kind.
func gatewayCluster(t *testing.T, release string) *cluster.Cluster {
	t.Helper()
	if gatewayClusters[release] == nil {
		gatewayClusters[release] = &clusterOnce{}
	}
	c := gatewayClusters[release].get(t)
	installGatewayAPI(t, c, release)
	return c
}

// installGatewayAPI installs a release, of the experimental channel, and the class of the tests' Gateways.
func installGatewayAPI(t *testing.T, c *cluster.Cluster, release string) {
	t.Helper()
	definitions, err := cluster.GatewayAPI(t.Context(), release, "experimental")
	must(t, err)
	must(t, c.Apply(t.Context(), definitions))
	must(t, c.Apply(t.Context(), gatewayClass(defaultClass, controllerName)))
}

// What the tests' Gateways have for a class, and the name of the controller behind it.
const (
	defaultClass   = "example"
	controllerName = "example.org/controller"
)

func gatewayClass(name, controller string) string {
	return object("gateway.networking.k8s.io/v1", "GatewayClass", name,
		fmt.Sprintf("spec: {controllerName: %s}, status: {conditions: [%s]}", controller, condition("Accepted", "True")))
}

// object is the manifest of an object of a kind without namespaces.
func object(version, kind, name, fields string) string {
	return fmt.Sprintf("{apiVersion: %s, kind: %s, metadata: {name: %s}, %s}\n---\n", version, kind, name, fields)
}

// condition is one as controllers write it.
func condition(kind, status string) string {
	return fmt.Sprintf("{type: %s, status: %q, reason: Test, message: '', lastTransitionTime: '2026-01-01T00:00:00Z'}", kind, status)
}

// The kinds of the Gateway API as the cases write them: each states what is special about it,
// and is for the rest the most ordinary one, its status that of a controller which is content.
// All fields are YAML.
type (
	gateway struct {
		namespace, name string // NS, gw
		metadata        string // further fields of metadata
		class           string
		listeners       string // one for HTTP
		spec            string // further fields of spec
		addresses       string // of the status: {value: 10.1.0.1}
		listenerStatus  string // of the status
		conditions      string // of the status
	}
	route struct {
		kind            string // HTTPRoute
		version         string // v1
		namespace, name string // NS, r
		metadata        string
		hosts           string // a.NS.example; "none" for none
		parents         string // {name: gw}
		spec            string
		status          string // its parents; "empty" for none, "none" for no status at all
	}
	listenerSet struct {
		kind            string // ListenerSet, or XListenerSet with its own group
		namespace, name string // NS, ls
		metadata        string
		parent          string // name: gw
		listeners       string
		listenerStatus  string // "none" for none
		conditions      string // "none" for what the API server itself writes
	}
)

const (
	group    = "gateway.networking.k8s.io"
	oldGroup = "gateway.networking.x-k8s.io"

	httpListener = "{name: http, port: 80, protocol: HTTP}"
)

// manifest concatenates those of some objects.
func manifest(objects ...fmt.Stringer) string {
	var all strings.Builder
	for _, object := range objects {
		all.WriteString(object.String())
	}
	return all.String()
}

func (g gateway) String() string {
	listeners := cmp.Or(g.listeners, httpListener)
	return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: %s, namespace: %s, %s}
spec: {gatewayClassName: %s, listeners: [%s], %s}
status: {addresses: [%s], listeners: [%s], conditions: [%s]}
---
`, cmp.Or(g.name, "gw"), cmp.Or(g.namespace, "NS"), g.metadata, cmp.Or(g.class, defaultClass), listeners, g.spec,
		none(cmp.Or(g.addresses, "{value: 10.1.0.1}")), none(cmp.Or(g.listenerStatus, accepted(listeners))),
		none(cmp.Or(g.conditions, condition("Accepted", "True")+", "+condition("Programmed", "True"))))
}

func (r route) String() string {
	kind := cmp.Or(r.kind, "HTTPRoute")
	hosts := none(cmp.Or(r.hosts, "a.NS.example"))
	if hosts != "" {
		hosts = "hostnames: [" + hosts + "],"
	}
	parents := cmp.Or(r.parents, "{name: gw}")
	status := cmp.Or(r.status, attached(parents))
	switch r.status {
	case "none":
		status = ""
	case "empty":
		status = "status: {parents: []}"
	default:
		status = "status: {parents: [" + status + "]}"
	}
	spec := r.spec
	if kind == "TLSRoute" {
		spec += ", rules: [{backendRefs: [{name: x, port: 443}]}]"
	}
	return fmt.Sprintf(`
apiVersion: %s/%s
kind: %s
metadata: {name: %s, namespace: %s, %s}
spec: {%s parentRefs: [%s], %s}
%s
---
`, group, cmp.Or(r.version, "v1"), kind, cmp.Or(r.name, "r"), cmp.Or(r.namespace, "NS"), r.metadata, hosts, none(parents), strings.TrimPrefix(spec, ", "), status)
}

func (l listenerSet) String() string {
	kind, version := cmp.Or(l.kind, "ListenerSet"), group+"/v1"
	listeners := cmp.Or(l.listeners, httpListener)
	statuses := none(cmp.Or(l.listenerStatus, accepted(listeners)))
	if kind == "XListenerSet" {
		version = oldGroup + "/v1alpha1"
		// There the status has the port that the controller has chosen.
		statuses = strings.ReplaceAll(statuses, "attachedRoutes: 1", "attachedRoutes: 1, port: 8000")
	}
	status := ""
	if l.conditions != "none" {
		status = fmt.Sprintf("status: {listeners: [%s], conditions: [%s]}",
			statuses, cmp.Or(l.conditions, condition("Accepted", "True")+", "+condition("Programmed", "True")))
	}
	return fmt.Sprintf(`
apiVersion: %s
kind: %s
metadata: {name: %s, namespace: %s, %s}
spec: {parentRef: {%s}, listeners: [%s]}
%s
---
`, version, kind, cmp.Or(l.name, "ls"), cmp.Or(l.namespace, "NS"), l.metadata, cmp.Or(l.parent, "name: gw"), listeners, status)
}

// attached are the status.parents of a route that the controller has accepted on each of its parents.
func attached(parents string) string {
	return strings.Join(each(none(parents), func(parent map[string]any) string {
		return parentStatus(flow(parent), controllerName, condition("Accepted", "True")+", "+condition("ResolvedRefs", "True"))
	}), ", ")
}

// parentStatus is an entry of a route's status.parents.
func parentStatus(parent, controllerName, conditions string) string {
	return fmt.Sprintf("{parentRef: %s, controllerName: %s, conditions: [%s]}", parent, controllerName, conditions)
}

// accepted are the status.listeners of listeners that the controller has accepted, all of them.
func accepted(listeners string) string {
	return strings.Join(each(listeners, func(listener map[string]any) string {
		return listenerStatus(listener["name"].(string), condition("Accepted", "True")+", "+condition("Conflicted", "False"))
	}), ", ")
}

// listenerStatus is an entry of status.listeners.
func listenerStatus(name, conditions string) string {
	return fmt.Sprintf("{name: %s, attachedRoutes: 1, supportedKinds: [], conditions: [%s]}", name, conditions)
}

// each returns text for each of some mappings in YAML.
func each(list string, text func(map[string]any) string) []string {
	var items []map[string]any
	if err := yaml.Unmarshal([]byte("["+list+"]"), &items); err != nil {
		panic(fmt.Errorf("%s: %w", list, err))
	}
	var texts []string
	for _, item := range items {
		texts = append(texts, text(item))
	}
	return texts
}

func flow(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func none(text string) string {
	if text == "none" {
		return ""
	}
	return text
}
