package translator

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// labelledService returns a Service of a type with the label that exposes it.
func labelledService(id string, kind corev1.ServiceType, hosts string) *corev1.Service {
	s := testService(id, 1, hosts)
	s.Spec.Type, s.Spec.LoadBalancerClass = kind, nil
	s.Labels = map[string]string{lb.ExposeLabel: "true"}
	return s
}

// L1: a Service of any type that has endpoints is answered if its label says so, by its name and its hosts.
func TestExposeLabel(t *testing.T) {
	b := newBench(t, config.Options{})
	byLabel := b.watcher.LabelledServices("")
	for _, s := range []*corev1.Service{
		labelledService("shop/web", corev1.ServiceTypeClusterIP, "web.ex.org"), labelledService("shop/node", corev1.ServiceTypeNodePort, ""),
		labelledService("shop/headless", corev1.ServiceTypeClusterIP, ""), labelledService("shop/ignored", corev1.ServiceTypeClusterIP, ""),
		labelledService("shop/external", corev1.ServiceTypeExternalName, ""), labelledService("shop/off", corev1.ServiceTypeClusterIP, ""),
	} {
		switch s.Name {
		case "headless":
			s.Spec.ClusterIP = corev1.ClusterIPNone
		case "ignored":
			s.Labels[lb.IgnoreLabel] = "true"
		case "off":
			s.Labels[lb.ExposeLabel] = "false"
		}
		byLabel.Update(s)
		b.watcher.EndpointSlices("").Update(serviceSlice("shop/"+s.Name, s.Name+"-1", "10.0.0.1 RSt"))
	}
	other := labelledService("shop/other", corev1.ServiceTypeLoadBalancer, "")
	other.Spec.LoadBalancerClass = new("metallb")
	b.services().Update(other)
	b.watcher.EndpointSlices("").Update(serviceSlice("shop/other", "other-1", "10.0.0.2 RSt"))
	i := testIngress("shop/i", "i.ex.org")
	i.Annotations = map[string]string{lb.ServiceAnnotation: "web"}
	b.watcher.Ingresses("").Update(i)
	b.sync()
	for name, want := range map[string]string{
		"web.shop.minilb.": "10.0.0.1", "web.ex.org.": "10.0.0.1", "i.ex.org.": "10.0.0.1", "node.shop.minilb.": "10.0.0.1",
		"headless.shop.minilb.": "10.0.0.1", "other.shop.minilb.": "10.0.0.2",
		"ignored.shop.minilb.": "-", "external.shop.minilb.": "-", "off.shop.minilb.": "-",
	} {
		b.want(name, want)
	}

	// Without the label it is gone.
	plain := labelledService("shop/web", corev1.ServiceTypeClusterIP, "web.ex.org")
	plain.Labels = nil
	byLabel.Update(plain)
	b.publish()
	b.want("web.shop.minilb.", "-")
	b.want("web.ex.org.", "-")
}

// A Service that changes its type moves from one watch to the other, whichever tells of it first, and loses neither its name nor
// its hosts if it is answered before and after.
func TestExposeLabelMoves(t *testing.T) {
	ours, labelled := testService("shop/web", 1, "web.ex.org"), labelledService("shop/web", corev1.ServiceTypeClusterIP, "web.ex.org")
	for _, tc := range []struct {
		name      string
		gapless   bool
		toLabel   bool
		leaveLast bool
	}{
		{"to ClusterIP", true, true, true}, {"to ClusterIP, the end first", false, true, false},
		{"to LoadBalancer", true, false, true}, {"to LoadBalancer, the end first", false, false, false},
	} {
		b := newBench(t, config.Options{})
		from, to := b.services(), b.watcher.LabelledServices("")
		before, after := ours, labelled
		if !tc.toLabel {
			from, to, before, after = to, from, after, before
		}
		from.Update(before)
		b.watcher.EndpointSlices("").Update(serviceSlice("shop/web", "web-1", "10.0.0.1 RSt"))
		b.sync()
		b.want("web.shop.minilb.", "10.0.0.1")
		steps := []func(){func() { to.Update(after) }, func() { from.Delete(before) }}
		if !tc.leaveLast {
			steps[0], steps[1] = steps[1], steps[0]
		}
		for n, step := range steps {
			step()
			b.publish()
			want := "10.0.0.1"
			if n == 0 && !tc.gapless {
				want = "-"
			}
			b.want("web.shop.minilb.", want)
			b.want("web.ex.org.", want)
		}
		to.Delete(after)
		b.publish()
		b.want("web.shop.minilb.", "-")
	}
}
