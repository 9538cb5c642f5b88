package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// How many there are of what the generator makes.
const (
	soakNamespaces = 5 // of which the last comes and goes
	soakServices   = 5 // in each; the last one in the first two has pods
	soakPods       = 4
)

type (
	obj  = map[string]any
	list = []any
)

// generator changes objects at random. What it writes depends on the seed alone, as long as the
// API server takes the same of it.
type generator struct {
	*rand.Rand
	cluster  *cluster.Cluster
	written  map[string]int // changes by kind
	refused  int            // by the API server, such as changes of what is immutable
	problems []string       // the first of what should not be refused
}

func namespaceName(i int) string { return fmt.Sprintf("n%d", i) }

// chance reports true once in n times.
func (g *generator) chance(n int) bool { return g.IntN(n) == 0 }

func (g *generator) pick(list []string) string { return list[g.IntN(len(list))] }

func (g *generator) namespace() string { return namespaceName(g.IntN(soakNamespaces)) }

// service returns the name of a Service that a hostname or annotation may lead to.
func (g *generator) service() string {
	return []string{"s0", "s1", "s2", "s4"}[g.IntN(4)]
}

// step makes one change.
func (g *generator) step(ctx context.Context) {
	if g.IntN(2) == 0 {
		g.changeSlice(ctx)
	} else {
		g.changeName(ctx)
	}
}

// changeName makes one change of what names there are, as a rule.
func (g *generator) changeName(ctx context.Context) {
	switch n := g.IntN(50); {
	case n < 6:
		g.changePod(ctx)
	case n < 21:
		g.changeService(ctx)
	case n < 34:
		g.changeIngress(ctx)
	case n < 40:
		g.changeGateway(ctx)
	case n < 47:
		g.changeRoute(ctx)
	default:
		g.changeNamespace(ctx)
	}
}

func (g *generator) apply(ctx context.Context, kind string, object obj) error {
	object["kind"] = kind
	text, err := json.Marshal(object)
	if err == nil {
		err = g.cluster.Apply(ctx, string(text))
	}
	g.note(kind, err)
	return err
}

func (g *generator) delete(ctx context.Context, kind, version, namespace, name string) {
	err := g.cluster.Delete(ctx, fmt.Sprintf("{apiVersion: %s, kind: %s, metadata: {namespace: %s, name: %s}}", version, kind, namespace, name))
	g.note(kind, err)
}

func (g *generator) note(kind string, err error) {
	g.written[kind]++
	if err == nil {
		return
	}
	g.refused++
	if apierrors.IsInvalid(err) && !strings.Contains(err.Error(), "may not change once set") && len(g.problems) < 5 {
		g.problems = append(g.problems, err.Error())
	}
}

// meta returns metadata with a label that lets the object be ignored now and then (M8).
func (g *generator) meta(namespace, name string) obj {
	meta := obj{"namespace": namespace, "name": name, "labels": obj{}, "annotations": obj{}}
	if g.chance(15) {
		meta["labels"] = obj{"minilb/ignore": "true"}
	}
	return meta
}

func (g *generator) changeService(ctx context.Context) {
	namespace, i := g.namespace(), g.IntN(soakServices)
	name := fmt.Sprintf("s%d", i)
	if g.chance(8) {
		g.delete(ctx, "Service", "v1", namespace, name)
		return
	}
	meta, spec := g.meta(namespace, name), obj{"ports": list{obj{"port": 80}}, "type": "ClusterIP"}
	if hasPods(namespace, i) {
		spec["selector"] = obj{"app": namespace}
		spec["ipFamilyPolicy"] = "PreferDualStack"
	}
	if !g.chance(8) {
		spec["type"], spec["allocateLoadBalancerNodePorts"] = "LoadBalancer", false
		if class := []string{"minilb", "minilb", "minilb", "minilb", "minilb", "minilb", "other", ""}[g.IntN(8)]; class != "" {
			spec["loadBalancerClass"] = class
		}
	}
	if g.chance(2) {
		hosts := g.hosts(1 + g.IntN(3))
		meta["annotations"] = obj{"minilb/host": strings.Join(hosts, []string{",", ", ", " , ,", " "}[g.IntN(4)])}
	}
	object := obj{"apiVersion": "v1", "metadata": meta, "spec": spec}
	if g.apply(ctx, "Service", object) == nil {
		return
	}
	// The class cannot be changed in place (S7): by way of another type, or of another object.
	if g.chance(2) {
		g.delete(ctx, "Service", "v1", namespace, name)
	} else {
		g.apply(ctx, "Service", obj{"apiVersion": "v1", "metadata": obj{"namespace": namespace, "name": name}, "spec": obj{"ports": spec["ports"], "type": "ClusterIP"}})
	}
	g.apply(ctx, "Service", object)
}

func hasPods(namespace string, service int) bool {
	return service == soakServices-1 && (namespace == namespaceName(0) || namespace == namespaceName(1))
}

func (g *generator) changeSlice(ctx context.Context) {
	namespace, i := g.namespace(), g.IntN(soakServices)
	if hasPods(namespace, i) {
		i = 0
	}
	kind := g.pick([]string{"a", "a", "b", "b", "c", "x", "x", "y", "f"})
	g.writeSlice(ctx, namespace, i, kind)
}

// writeSlice writes, or deletes, one of a Service's slices. a and b have IPv4 addresses in common,
// x and y IPv6 addresses, c has its own, some of which other Services have, too, and f names.
func (g *generator) writeSlice(ctx context.Context, namespace string, i int, kind string) {
	service := fmt.Sprintf("s%d", i)
	name := service + "-" + kind
	if g.chance(8) {
		g.delete(ctx, "EndpointSlice", "discovery.k8s.io/v1", namespace, name)
		return
	}
	of := int(namespace[1]-'0')*10 + i
	family, pattern := "IPv4", fmt.Sprintf("10.244.%d.%%d", of)
	ports := list{obj{"name": "http", "port": 8080, "protocol": "TCP"}, obj{"name": "dns", "port": 5353, "protocol": "UDP"}}[:i%3]
	switch kind {
	case "x", "y":
		family, pattern = "IPv6", fmt.Sprintf("fd00:10:244:%d::%%d", of+1) // not 0, which is written otherwise
	case "c":
		pattern = "10.244.200.%d"
		ports = list{obj{"name": g.pick([]string{"http", "alt", ""}), "port": 8000 + g.IntN(3), "protocol": "TCP"}}
	case "f":
		family = "FQDN"
	}
	endpoints := list{}
	for range g.IntN(5) {
		last := 1 + g.IntN(6)
		endpoint := obj{"conditions": obj{}}
		if endpoint["addresses"] = []string{fmt.Sprintf(pattern, last)}; kind == "f" {
			endpoint["addresses"] = []string{"pod.example.org"}
		} else if g.chance(8) {
			endpoint["addresses"] = []string{fmt.Sprintf(pattern, last), fmt.Sprintf(pattern, 99)} // E7
		}
		for _, condition := range []string{"ready", "serving", "terminating"} {
			if n := g.IntN(3); n > 0 {
				endpoint["conditions"].(obj)[condition] = n == 1
			}
		}
		switch last { // one address has one hostname, whichever slice it is in
		case 2:
			endpoint["hostname"] = "web"
		case 3, 4:
			endpoint["hostname"] = "both"
		}
		endpoints = append(endpoints, endpoint)
	}
	meta := g.meta(namespace, name)
	meta["labels"].(obj)["kubernetes.io/service-name"] = service
	if kind == "c" && g.chance(10) { // E1
		meta["labels"].(obj)["kubernetes.io/service-name"] = fmt.Sprintf("s%d", (i+1)%4)
	}
	g.apply(ctx, "EndpointSlice", obj{"apiVersion": "discovery.k8s.io/v1", "metadata": meta, "addressType": family, "endpoints": endpoints, "ports": ports})
}

// changePod makes the endpoint controller write slices.
func (g *generator) changePod(ctx context.Context) {
	of, i := g.IntN(2), g.IntN(soakPods)
	namespace, name := namespaceName(of), fmt.Sprintf("p%d", i)
	var err error
	switch g.IntN(5) {
	case 0:
		err = g.cluster.RemovePod(ctx, namespace, name)
	case 1:
		err = g.cluster.SetReady(ctx, namespace, name, g.chance(2))
	case 2:
		err = g.cluster.Terminate(ctx, namespace, name)
	default:
		err = g.cluster.Pod(ctx, cluster.PodSpec{
			Namespace: namespace, Name: name, Labels: map[string]string{"app": namespace}, Node: "node",
			IPs: []string{fmt.Sprintf("10.244.%d.%d", 100+of, 1+i), fmt.Sprintf("fd00:10:244:%d::%d", 100+of, 1+i)}, Unready: g.chance(3),
		})
	}
	g.note("Pod", err)
}

// changeNamespace creates the namespaces, or deletes the last one with all that is in it.
func (g *generator) changeNamespace(ctx context.Context) {
	last := namespaceName(soakNamespaces - 1)
	if g.chance(5) {
		g.delete(ctx, "Namespace", "v1", "", last)
		return
	}
	g.apply(ctx, "Namespace", obj{"apiVersion": "v1", "metadata": obj{"name": last}})
}

// fill makes what there is in the beginning.
func (g *generator) fill(ctx context.Context) error {
	for i := range soakNamespaces {
		if err := g.apply(ctx, "Namespace", obj{"apiVersion": "v1", "metadata": obj{"name": namespaceName(i)}}); err != nil {
			return err
		}
	}
	if err := g.cluster.Node(ctx, "node", "192.168.1.31"); err != nil {
		return err
	}
	class := obj{"apiVersion": harness.GatewayGroup + "/v1", "metadata": obj{"name": "soak"}, "spec": obj{"controllerName": soakController}}
	if err := g.apply(ctx, "GatewayClass", class); err != nil {
		return err
	}
	for range 200 {
		g.step(ctx)
	}
	return nil
}

// storm changes many slices at once, as a deployment does that is rolled out everywhere.
func (g *generator) storm(ctx context.Context) {
	for i := range 200 {
		g.writeSlice(ctx, namespaceName(i%soakNamespaces), i/soakNamespaces%(soakServices-1), g.pick([]string{"a", "b", "c", "x", "y"}))
	}
}

// run makes changes until the context ends: bursts, so many a second on average, and single ones
// after them, as one that is overlooked would be made up for by those that follow. pause holds it up.
func (g *generator) run(ctx context.Context, rate int, pause <-chan chan struct{}) {
	const burst, single = 90, 4
	for n := 0; ctx.Err() == nil; n++ {
		alone := n%(burst+single) >= burst
		after := time.Duration(g.ExpFloat64() * float64(time.Second) / float64(rate))
		if alone {
			after = soakConvergence * 5 / 4
		}
		select {
		case <-ctx.Done():
		case resume := <-pause:
			select {
			case <-resume:
			case <-ctx.Done():
			}
		case <-time.After(after):
			switch {
			case alone:
				g.changeName(ctx)
			case g.chance(400):
				g.storm(ctx)
			default:
				g.step(ctx)
			}
		}
	}
}
