package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// burst is how many Services are created at once.
const burst = 1000

// measureNames takes the time from when the API server acknowledges the write of an object that
// gives a name to the first answer that follows it, beside 10,000 Services.
func (b *bench) measureNames(ctx context.Context) error {
	if err := b.seed(ctx, large); err != nil {
		return err
	}
	if err := b.installGatewayAPI(ctx); err != nil {
		return err
	}
	if err := b.once("gateway of "+large.namespace, func() error { return b.createGateway(ctx, large.namespace, large.hostname(0)) }); err != nil {
		return err
	}
	s, err := b.serve("minilb", b.ours, minilb(large.namespace))
	if err != nil {
		return err
	}
	if _, err := b.contend(ctx, "minilb", s, large.questions()); err != nil {
		return err
	}
	var took []float64
	byKind := map[string][]float64{}
	for i := range b.effort.writes {
		for _, step := range b.writesOf(ctx, fmt.Sprintf("new%05d", i)) {
			if err := step.write(); err != nil {
				return fmt.Errorf("%s: %w", step.kind, err)
			}
			acknowledged := time.Now()
			if err := s.until(ctx, step.q); err != nil {
				return fmt.Errorf("%s: %w", step.kind, err)
			}
			ms := inMillis(time.Since(acknowledged))
			took, byKind[step.kind] = append(took, ms), append(byKind[step.kind], ms)
		}
	}
	const figureName = "name write (Service, Ingress, route: created, changed, deleted) → answered, 10,000 Services, "
	detail := fmt.Sprintf("p90 %.2f ms, of %d writes", percentile(took, 90), len(took))
	b.report.add(figure{name: figureName + "p50", unit: millis, must: 10, measured: percentile(took, 50), detail: detail})
	b.report.add(figure{name: figureName + "p99", unit: millis, must: 50, aim: 10, measured: percentile(took, 99)})
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		b.report.note(kind+" → answered", "p50 %.2f ms, p99 %.2f ms", percentile(byKind[kind], 50), percentile(byKind[kind], 99))
	}
	return b.measureBursts(ctx, s)
}

// write is one of an object that gives a name, and the question that is answered otherwise after
// it.
type write struct {
	kind  string
	write func() error
	q     question
}

// writesOf create, change and delete an object of each kind.
func (b *bench) writesOf(ctx context.Context, name string) []write {
	services, ingresses := b.client.CoreV1().Services(large.namespace), b.client.NetworkingV1().Ingresses(large.namespace)
	routes := b.cluster.Dynamic.Resource(httpRoutes).Namespace(large.namespace)
	own, host, other := name+"."+large.zone(), name+".example.net", name+".example.com"
	exists := func(host string, answers int) question {
		return question{name: dns.Fqdn(host), qtype: dns.TypeA, answers: answers}
	}
	claim := fmt.Appendf(nil, `{"metadata": {"annotations": {"minilb/host": %q}}}`, host)
	replace := func(path string) []byte {
		return fmt.Appendf(nil, `[{"op": "replace", "path": %q, "value": %q}]`, path, other)
	}
	return []write{
		{"Service created", func() error {
			_, err := services.Create(ctx, newService(name), metav1.CreateOptions{})
			return err
		}, exists(own, 0)},
		{"Service changed", func() error {
			_, err := services.Patch(ctx, name, types.MergePatchType, claim, metav1.PatchOptions{})
			return err
		}, exists(host, 0)},
		{"Service deleted", func() error { return services.Delete(ctx, name, metav1.DeleteOptions{}) }, absent(own, true)},
		{"Ingress created", func() error {
			return b.createIngress(ctx, large.namespace, large.hostname(0), newIngress(name, host))
		}, exists(host, large.endpoints)},
		{"Ingress changed", func() error {
			_, err := ingresses.Patch(ctx, name, types.JSONPatchType, replace("/spec/rules/0/host"), metav1.PatchOptions{})
			return err
		}, exists(other, large.endpoints)},
		{"Ingress deleted", func() error { return ingresses.Delete(ctx, name, metav1.DeleteOptions{}) }, absent(dns.Fqdn(other), false)},
		{"HTTPRoute created", func() error {
			return b.createRoute(ctx, large.namespace, name, host, serviceName(0))
		}, exists(host, large.endpoints)},
		{"HTTPRoute changed", func() error {
			_, err := routes.Patch(ctx, name, types.JSONPatchType, replace("/spec/hostnames/0"), metav1.PatchOptions{})
			return err
		}, exists(other, large.endpoints)},
		{"HTTPRoute deleted", func() error { return routes.Delete(ctx, name, metav1.DeleteOptions{}) }, absent(dns.Fqdn(other), false)},
	}
}

// measureBursts creates many Ingresses at once, and if there is time many Services. Those take the
// API server long: it counts all addresses that it has given to Services for each new one.
func (b *bench) measureBursts(ctx context.Context, s *server) error {
	ingresses := b.client.NetworkingV1().Ingresses(large.namespace)
	label := map[string]string{"bench": "burst"}
	err := b.measureBurst(ctx, s, "Ingresses", "example.net.", func(name, host string) error {
		ingress := newIngress(name, strings.TrimSuffix(host, "."))
		ingress.Labels = label
		ingress.Annotations = map[string]string{"minilb/service": serviceName(0)}
		_, err := ingresses.Create(ctx, ingress, metav1.CreateOptions{})
		return err
	}, large.endpoints)
	if err != nil {
		return err
	}
	if b.effort.slow {
		err = b.measureBurst(ctx, s, "Services", large.zone(), func(name, _ string) error {
			service := newService(name)
			service.Labels = label
			_, err := b.client.CoreV1().Services(large.namespace).Create(ctx, service, metav1.CreateOptions{})
			return err
		}, 0)
		if err != nil {
			return err
		}
	}
	collection := b.cluster.Dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "services"}).Namespace(large.namespace)
	created := metav1.ListOptions{LabelSelector: "bench=burst"}
	return errors.Join(collection.DeleteCollection(ctx, metav1.DeleteOptions{}, created), ingresses.DeleteCollection(ctx, metav1.DeleteOptions{}, created))
}

// measureBurst creates many objects at once and takes the time from when the last one is
// acknowledged until all their names are answered, each with so many addresses.
func (b *bench) measureBurst(ctx context.Context, s *server, kind, zone string, create func(name, host string) error, answers int) error {
	name := func(i int) string { return fmt.Sprintf("burst%05d", i) }
	began := time.Now()
	before, err := cpuTime(s.PID())
	if err != nil {
		return err
	}
	if err := parallel(ctx, burst, func(i int) error { return create(name(i), name(i)+"."+zone) }); err != nil {
		return fmt.Errorf("create one of the %s: %w", kind, err)
	}
	last := time.Now()
	for i := range burst {
		if err := s.until(ctx, question{name: name(i) + "." + zone, qtype: dns.TypeA, answers: answers}); err != nil {
			return err
		}
	}
	answered := time.Now()
	after, err := cpuTime(s.PID())
	if err != nil {
		return err
	}
	b.report.add(figure{
		name: "a burst of 1,000 creations of " + kind + ", last one acknowledged → all answered", unit: seconds, must: 1, measured: answered.Sub(last).Seconds(),
		detail: fmt.Sprintf("created in %.1f s, for which the server took %.1f s of CPU", last.Sub(began).Seconds(), (after - before).Seconds()),
	})
	return nil
}
