package controller

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/cmd/minilb/controller/events"
)

// found returns what a recorder remembers, one a line.
func found(r *events.Recorder) []string {
	var all []string
	for _, p := range r.Problems() {
		kind := corev1.EventTypeWarning
		if p.Normal {
			kind = corev1.EventTypeNormal
		}
		all = append(all, fmt.Sprintf("%s %s %s/%s %s: %s", kind, p.Kind, p.Namespace, p.Name, p.Reason, p.Note))
	}
	slices.Sort(all)
	return all
}

// newRecorder returns a recorder of the Controller's cluster.
func newRecorder(c *Controller, log *slog.Logger) *events.Recorder {
	return events.New(c.client, c.exists, "test", c.scan.delay, log)
}

// recording is a Controller that records what it finds and writes nothing of it.
func recording(t *testing.T) (*Controller, *buffer) {
	c, log := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) { return web(2, "web.shop.minilb"), nil })
	c.recorder = newRecorder(c, slog.New(slog.DiscardHandler))
	return c, log
}

// What the owner of a Service learns of it. S5, S6, E11, I11, S17
func TestServiceProblems(t *testing.T) {
	port := func(port int32, target intstr.IntOrString) corev1.ServicePort {
		return corev1.ServicePort{Name: fmt.Sprintf("p%d", port), Port: port, TargetPort: target}
	}
	foreign := func(class string, annotations ...string) func(*corev1.Service) {
		return func(s *corev1.Service) {
			s.Status.LoadBalancer.Ingress, s.Annotations = nil, map[string]string{"other": "x"}
			if *s.Spec.LoadBalancerClass = class; class == "" {
				s.Spec.LoadBalancerClass = nil
			}
			for _, name := range annotations {
				s.Annotations[name] = "x"
			}
		}
	}
	const unsupported = " has no effect: clients connect to the pods themselves; "
	const mismatch = "; make port and targetPort the same, or let clients look up SRV records"
	const slip = ` looks like a typo of "minilb", so that nobody serves the Service: create it anew with that class, or give it type ClusterIP in between, as a class cannot be changed`
	const noClass = ` is ignored, as the Service has no loadBalancerClass: create the Service anew with loadBalancerClass "minilb", which cannot be changed`
	for _, tc := range []struct {
		name   string
		change func(*corev1.Service)
		want   []string // without the Service
	}{
		{"nothing", func(s *corev1.Service) {}, nil},
		{"ports alike", func(s *corev1.Service) {
			s.Spec.Ports = []corev1.ServicePort{port(80, intstr.FromInt32(80)), port(81, intstr.FromString("http"))}
		}, nil},
		{"a port", func(s *corev1.Service) { s.Spec.Ports = []corev1.ServicePort{port(80, intstr.FromInt32(8080))} }, []string{
			"Warning TargetPortMismatch: Port 80 (p80) leads to port 8080 of the pods, and nothing translates it: clients must use 8080" + mismatch}},
		{"ports", func(s *corev1.Service) {
			s.Spec.Ports = []corev1.ServicePort{port(80, intstr.FromInt32(8080)), port(443, intstr.FromInt32(8443))}
		}, []string{
			"Warning TargetPortMismatch: Port 443 (p443) leads to port 8443 of the pods, and nothing translates it: clients must use 8443" + mismatch,
			"Warning TargetPortMismatch: Port 80 (p80) leads to port 8080 of the pods, and nothing translates it: clients must use 8080" + mismatch}},
		{"unsupported", func(s *corev1.Service) {
			s.Spec.SessionAffinity, s.Spec.LoadBalancerIP = corev1.ServiceAffinityClientIP, "192.0.2.1"
			s.Spec.LoadBalancerSourceRanges, s.Spec.ExternalIPs = []string{"10.0.0.0/8"}, []string{"192.0.2.1"}
		}, []string{
			"Normal UnsupportedExternalIPs: spec.externalIPs" + unsupported + "remove it: the Service has a name, and the addresses of its pods",
			"Normal UnsupportedLoadBalancerIP: spec.loadBalancerIP" + unsupported + "remove it: the Service has a name, and the addresses of its pods",
			"Normal UnsupportedSessionAffinity: spec.sessionAffinity" + unsupported + "set the property affinity in the Corefile, or remove it",
			"Warning UnsupportedLoadBalancerSourceRanges: spec.loadBalancerSourceRanges" + unsupported + "remove it, and admit clients by a NetworkPolicy on the pods, as \"minilb policy\" prints it"}},
		{"affinity to none", func(s *corev1.Service) { s.Spec.SessionAffinity = corev1.ServiceAffinityNone }, nil},
		{"others'", foreign("metallb"), nil},
		{"a class that is nearly ours", foreign("mini-lb"), []string{"Warning WrongClass: loadBalancerClass \"mini-lb\"" + slip}},
		{"a class that is nearly ours, and our host", foreign("MiniLB", "minilb/host"), []string{"Warning WrongClass: loadBalancerClass \"MiniLB\"" + slip}},
		{"others' with our host", foreign("metallb", "minilb/host"), []string{
			`Warning AnnotationIgnored: Annotation minilb/host is ignored, as the Service's loadBalancerClass is "metallb": create the Service anew with loadBalancerClass "minilb", which cannot be changed`}},
		{"no class, and our host", foreign("", "minilb/host"), []string{"Warning AnnotationIgnored: Annotation minilb/host" + noClass}},
		{"no class, and both annotations", foreign("", "minilb/host", "minilb/alpn"), []string{"Warning AnnotationIgnored: Annotation minilb/host and minilb/alpn" + noClass}},
		{"others' who care for it", func(s *corev1.Service) {
			foreign("metallb", "minilb/host")(s)
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
		}, nil},
		{"of another type", func(s *corev1.Service) { foreign("", "minilb/host")(s); s.Spec.Type = corev1.ServiceTypeClusterIP }, nil},
		{"ignored", func(s *corev1.Service) {
			foreign("", "minilb/host")(s)
			s.Labels = map[string]string{"minilb/ignore": "true"}
		}, nil},
	} {
		c, _ := recording(t)
		full := web(1, "web.shop.minilb")
		tc.change(full)
		c.services[0].Add(full)
		if err := c.sync(t.Context(), cache.MetaObjectToName(full)); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		got := found(c.recorder)
		for i := range got {
			got[i] = strings.Replace(got[i], " Service shop/web", "", 1)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
		}
		c.services[0].Delete(full)
		if err := c.sync(t.Context(), cache.MetaObjectToName(full)); err != nil || len(c.recorder.Problems()) > 0 {
			t.Errorf("%s: %d findings of a Service that is gone, %v", tc.name, len(c.recorder.Problems()), err)
		}
		c.recorder = nil
		if s := c.transform(full); s != nil && (s.ports != nil || s.unsupported != nil || s.notOurs) {
			t.Errorf("%s: got %+v without a recorder", tc.name, s)
		}
	}
}

// What was found of a Service's endpoints goes with the Service, and when it is another's.
func TestEndpointProblemsGo(t *testing.T) {
	full := web(1, "web.shop.minilb")
	name := cache.MetaObjectToName(full)
	for step, end := range map[string]func(c *Controller){
		"gone": func(c *Controller) { c.services[0].Delete(full) },
		"another's": func(c *Controller) {
			other := web(2, "")
			other.Status.LoadBalancer.Ingress, *other.Spec.LoadBalancerClass, other.Annotations = nil, "metallb", map[string]string{"minilb/host": "x"}
			c.services[0].Update(other)
		},
	} {
		c, _ := recording(t)
		c.services[0].Add(full)
		sync := func() {
			if err := c.sync(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		sync()
		c.recorder.Replace(endpointsSource(name), []events.Problem{(&service{name: name, uid: full.UID}).problem(events.NoRoutableEndpoint, "not there")})
		end(c)
		sync()
		_, known := c.scan.empty.Load(name)
		if got := strings.Join(found(c.recorder), "\n"); strings.Contains(got, events.NoRoutableEndpoint) || known {
			t.Errorf("%s: got %s, known %v", step, got, known)
		}
	}
}

// S17: a status that was written is told of, and one that was not is not.
func TestStatusUpdated(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want []string
	}{
		{nil, []string{"Normal Service shop/web StatusUpdated: The Service is reached as web.shop.minilb, which its status has now"}},
		{apierrors.NewServiceUnavailable("starting"), nil},
	} {
		c, log := recording(t)
		c.client.(*fake.Clientset).PrependReactor("patch", "services", func(clienttesting.Action) (bool, runtime.Object, error) { return tc.err != nil, nil, tc.err })
		c.services[0].Add(web(1, ""))
		err := c.sync(t.Context(), cache.ObjectName{Namespace: "shop", Name: "web"})
		if got := found(c.recorder); !slices.Equal(got, tc.want) || !errors.Is(err, tc.err) || strings.Contains(log.String(), "hostname=web.shop.minilb") != (tc.err == nil) {
			t.Errorf("got %q, %v, want %q\n%s", got, err, tc.want, log)
		}
	}
}

// S12, S17: who overwrites a status is named, once for each pause.
func TestStatusConflict(t *testing.T) {
	c, _ := recording(t)
	name := cache.ObjectName{Namespace: "shop", Name: "web"}
	version := 1
	for range maxOverwrites + 3 {
		version += 2
		service := web(version, "rival.example.org")
		at := metav1.Now()
		service.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "rival", Time: &at, FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:loadBalancer":{}}}`)}}
		c.client.(*fake.Clientset).PrependReactor("patch", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, web(version+1, "web.shop.minilb"), nil
		})
		c.services[0].Update(service)
		if err := c.sync(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	want := fmt.Sprintf("Warning Service shop/web StatusConflict: Field manager \"rival\" keeps overwriting the status: give the Service a loadBalancerClass that is not its, or turn it off for this Service; the status is left alone for %v", conflictPause)
	if got := found(c.recorder); len(got) != 2 || got[1] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
