package controller

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
)

// drained is a Controller of Services, each with a pod of its own name.
type drained struct {
	*testing.T
	*Controller
	log    *buffer
	pods   map[cache.ObjectName]*corev1.Pod
	reads  int
	failed error // of reading pods
}

func newDrained(t *testing.T) *drained {
	c, log := recording(t)
	c.options.TTL = 5
	d := &drained{T: t, Controller: c, log: log, pods: map[cache.ObjectName]*corev1.Pod{}}
	client := c.client.(*fake.Clientset)
	client.PrependReactor("list", "endpointslices", func(action clienttesting.Action) (bool, runtime.Object, error) {
		list := &discoveryv1.EndpointSliceList{}
		for name, p := range d.pods {
			list.Items = append(list.Items, discoveryv1.EndpointSlice{
				ObjectMeta:  metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name, Labels: map[string]string{discoveryv1.LabelServiceName: name.Name}},
				AddressType: discoveryv1.AddressTypeIPv4,
				Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.244.1.7"},
					TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: name.Namespace, Name: p.Name, UID: p.UID}}},
			})
		}
		return true, list, nil
	})
	client.PrependReactor("list", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		d.reads++
		restrictions := action.(clienttesting.ListAction).GetListRestrictions()
		name, one := restrictions.Fields.RequiresExactMatch("metadata.name")
		if !one || action.GetNamespace() == "" {
			t.Errorf("pods were listed by %q in %q, want one", restrictions.Fields, action.GetNamespace())
		}
		list := &corev1.PodList{}
		for _, p := range d.pods {
			if p.Namespace == action.GetNamespace() && p.Name == name {
				list.Items = append(list.Items, *p)
			}
		}
		return true, list, d.failed
	})
	return d
}

// serve gives a Service a pod whose preStop sleeps for as long, or has none.
func (d *drained) serve(name, uid string, seconds int64) {
	s := web(1, name+".shop.minilb")
	s.Name, s.Spec.Selector = name, map[string]string{"app": name}
	d.services[0].Update(s)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(uid)}, Spec: corev1.PodSpec{Containers: make([]corev1.Container, 1)}}
	if seconds > 0 {
		p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: seconds}}}
	}
	d.pods[cache.NewObjectName("shop", name)] = p
}

// expect scans, and compares how many pods were read and which problems there are.
func (d *drained) expect(what string, reads int, want ...string) {
	d.Helper()
	d.reads = 0
	if err := d.scanOnce(d.Context()); err != nil {
		d.Fatal(err)
	}
	var got []string
	for _, p := range d.recorder.Problems() {
		if p.Reason == "NoDrainTime" {
			got = append(got, p.Namespace+"/"+p.Name+": "+p.Note)
			if !p.Normal {
				d.Errorf("%s: it is a Warning", what)
			}
		}
	}
	if d.reads != reads || len(got) != len(want) || len(want) > 0 && !strings.HasPrefix(got[0], want[0]) {
		d.Errorf("%s: %d reads, %q, want %d and %q", what, d.reads, got, reads, want)
	}
}

// L9: of each Service one pod is read, once; what it says holds until another is there.
func TestDrainProblems(t *testing.T) {
	const missing = "shop/web: Its pods have no preStop: when one ends, clients go on connecting to it for the TTL, 5 s; set lifecycle.preStop.sleep.seconds: 7"
	d := newDrained(t)
	d.serve("api", "1", 6)
	d.serve("web", "2", 0)
	d.expect("at first", 2, missing)
	d.expect("again", 0, missing)
	d.serve("web", "3", 5)
	d.expect("too short", 1, "shop/web: Its pods have a preStop of 5 s only: when one ends, clients go on")
	delete(d.pods, cache.NewObjectName("shop", "web"))
	d.expect("no pods", 0, "shop/web: Its pods have a preStop of 5 s only: ")
	d.serve("web", "4", 7)
	d.expect("long enough", 1)
	d.serve("web", "5", 0)
	d.expect("none again", 1, missing)
	longer := web(2, "web.shop.minilb") // L2
	longer.Spec.Selector, longer.Annotations = map[string]string{"app": "web"}, map[string]string{"minilb/ttl": "60"}
	d.services[0].Update(longer)
	d.expect("a longer TTL", 1, "shop/web: Its pods have no preStop: when one ends, clients go on connecting to it for the TTL, 60 s; set lifecycle.preStop.sleep.seconds: 62")
	bare := web(2, "web.shop.minilb")
	d.services[0].Update(bare)
	d.expect("without a selector", 0)
	d.services[0].Delete(bare)
	d.expect("the Service is gone", 0)
	if _, known := d.drains.byService[cache.MetaObjectToName(bare)]; known || len(d.drains.byService) != 1 {
		t.Errorf("got %v, want the other Service", d.drains.byService)
	}
}

// Where pods may not be listed, as by older roles, one line says so; what is known stays, and all else is found.
func TestDrainForbidden(t *testing.T) {
	d := newDrained(t)
	d.serve("web", "1", 0)
	d.expect("at first", 1, "shop/web: ")
	d.failed = apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no"))
	d.serve("web", "2", 7)
	d.serve("api", "3", 0)
	for range 3 {
		d.expect("forbidden", 1, "shop/web: ")
	}
	if log := d.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "level=INFO") ||
		!strings.Contains(log, "no events NoDrainTime are written: pods: list is forbidden: apply deploy/kustomize, or grant list on pods") {
		t.Errorf("the log says\n%s\nwant one line", log)
	}
	d.failed = apierrors.NewServiceUnavailable("starting")
	d.expect("away", 1, "shop/web: ")
	d.failed = nil
	d.expect("permitted", 2, "shop/api: ")
	if log := d.log.String(); strings.Count(log, "\n") != 1 {
		t.Errorf("the log says\n%s", log)
	}
}

// A scan reads a bounded number of pods, and the next ones the others.
func TestDrainBounded(t *testing.T) {
	d := newDrained(t)
	for i := range maxPodReads + 10 {
		d.serve(fmt.Sprintf("s%d", i), fmt.Sprint(i), 7)
	}
	d.expect("at first", maxPodReads)
	d.expect("the rest", 10)
	d.expect("nothing left", 0)
}
