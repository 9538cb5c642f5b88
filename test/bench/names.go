package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	target := large.question(0)
	hostname := large.hostname(0)
	if err := b.once("gateway of "+large.namespace, func() error { return b.createGateway(ctx, large.namespace, hostname) }); err != nil {
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
	found := func(name string) question { return question{name: name, qtype: dns.TypeA, answers: target.answers} }
	services, ingresses := b.client.CoreV1().Services(large.namespace), b.client.NetworkingV1().Ingresses(large.namespace)
	routes := b.cluster.Dynamic.Resource(httpRoutes).Namespace(large.namespace)
	for i := range b.effort.writes {
		name := fmt.Sprintf("new%05d", i)
		own, host, other := name+"."+large.zone(), name+".example.net.", name+".example.com."
		changed := func(kind string) []byte {
			if kind == "service" {
				return fmt.Appendf(nil, `{"metadata": {"annotations": {"minilb/host": "%s.example.net"}}}`, name)
			}
			return fmt.Appendf(nil, `[{"op": "replace", "path": "/spec/%s", "value": "%s.example.com"}]`, kind, name)
		}
		for _, step := range []struct {
			kind  string
			write func() error
			q     question
		}{
			{"Service created", func() error {
				_, err := services.Create(ctx, newService(name), metav1.CreateOptions{})
				return err
			}, question{name: own, qtype: dns.TypeA}},
			{"Service changed", func() error {
				_, err := services.Patch(ctx, name, types.MergePatchType, changed("service"), metav1.PatchOptions{})
				return err
			}, question{name: host, qtype: dns.TypeA}},
			{"Service deleted", func() error { return services.Delete(ctx, name, metav1.DeleteOptions{}) }, absent(own, true)},
			{"Ingress created", func() error {
				return b.createIngress(ctx, large.namespace, hostname, newIngress(name, name+".example.net"))
			}, found(host)},
			{"Ingress changed", func() error {
				_, err := ingresses.Patch(ctx, name, types.JSONPatchType, changed("rules/0/host"), metav1.PatchOptions{})
				return err
			}, found(other)},
			{"Ingress deleted", func() error { return ingresses.Delete(ctx, name, metav1.DeleteOptions{}) }, absent(other, false)},
			{"HTTPRoute created", func() error {
				return b.createRoute(ctx, large.namespace, name, name+".example.net", serviceName(0))
			}, found(host)},
			{"HTTPRoute changed", func() error {
				_, err := routes.Patch(ctx, name, types.JSONPatchType, changed("hostnames/0"), metav1.PatchOptions{})
				return err
			}, found(other)},
			{"HTTPRoute deleted", func() error { return routes.Delete(ctx, name, metav1.DeleteOptions{}) }, absent(other, false)},
		} {
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
	return b.measureBurst(ctx, s)
}

// measureBurst creates many Services at once and takes the time from when the last one is
// acknowledged until all are answered.
func (b *bench) measureBurst(ctx context.Context, s *server) error {
	services := b.client.CoreV1().Services(large.namespace)
	name := func(i int) string { return fmt.Sprintf("burst%05d", i) }
	began := time.Now()
	before, err := cpuTime(s.PID())
	if err != nil {
		return err
	}
	if err := parallel(ctx, burst, func(i int) error {
		_, err := services.Create(ctx, newService(name(i)), metav1.CreateOptions{})
		return err
	}); err != nil {
		return fmt.Errorf("create a Service: %w", err)
	}
	last := time.Now()
	for i := range burst {
		if err := s.until(ctx, question{name: name(i) + "." + large.zone(), qtype: dns.TypeA}); err != nil {
			return err
		}
	}
	all := time.Now()
	after, err := cpuTime(s.PID())
	if err != nil {
		return err
	}
	b.report.add(figure{
		name: "a burst of 1,000 creations, last one acknowledged → all answered", unit: seconds, must: 1,
		measured: all.Sub(last).Seconds(), detail: fmt.Sprintf("created in %.1f s, for which the server took %.1f s of CPU", last.Sub(began).Seconds(), (after - before).Seconds()),
	})
	return parallel(ctx, burst, func(i int) error { return services.Delete(ctx, name(i), metav1.DeleteOptions{}) })
}
