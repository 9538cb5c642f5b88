package lb

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// L9: a pod serves for the TTL and a second more after it was told to end, as far as its preStop tells.
func TestNoDrainTime(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	none := corev1.Container{}
	poststart := corev1.Container{Lifecycle: &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 60}}}}
	sleep := func(seconds int64) corev1.Container {
		return corev1.Container{Lifecycle: &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: seconds}}}}
	}
	exec := corev1.Container{Lifecycle: &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{}}}}
	get := corev1.Container{Lifecycle: &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{}}}}
	sidecar := sleep(6)
	sidecar.RestartPolicy = &always
	const (
		missing = "its pods have no preStop: when one ends, clients go on connecting to it for the TTL, 5 s"
		short   = "its pods have a preStop of 5 s only: "
		killed  = "its pods have terminationGracePeriodSeconds 5, which cuts their preStop short: "
	)
	for _, tc := range []struct {
		name             string
		ttl              uint32
		grace            int64 // 0 for none
		containers, init []corev1.Container
		want             string // the beginning, "" for nothing
		fix              string // part of it
	}{
		{"none", 5, 0, []corev1.Container{none}, nil, missing, "lifecycle.preStop.sleep.seconds: 7 in"},
		{"no container", 5, 0, nil, nil, missing, "the label minilb/drain on the pods"},
		{"postStart", 5, 0, []corev1.Container{poststart}, nil, missing, ""},
		{"the TTL", 5, 0, []corev1.Container{sleep(5)}, nil, short, ""},
		{"a second more", 5, 0, []corev1.Container{sleep(6)}, nil, "", ""},
		{"another TTL", 60, 0, []corev1.Container{sleep(60)}, nil, "its pods have a preStop of 60 s only: ", "seconds: 62 in"},
		{"no TTL", 0, 0, []corev1.Container{none}, nil, "its pods have no preStop", "seconds: 2 in"},
		{"no TTL, a second", 0, 0, []corev1.Container{sleep(1)}, nil, "", ""},
		{"the longest counts", 5, 0, []corev1.Container{none, sleep(1), sleep(7)}, nil, "", ""},
		{"a command", 5, 0, []corev1.Container{sleep(1), exec}, nil, "", ""},
		{"a request", 5, 0, []corev1.Container{get}, nil, "", ""},
		{"killed", 5, 5, []corev1.Container{sleep(6)}, nil, killed, "set terminationGracePeriodSeconds to 7 and"},
		{"a command that is killed", 5, 5, []corev1.Container{exec}, nil, killed, ""},
		{"killed, and nothing to kill", 5, 5, []corev1.Container{none}, nil, missing, ""},
		{"in time", 5, 6, []corev1.Container{exec}, nil, "", ""},
		{"longer than the default", 40, 0, []corev1.Container{exec}, nil, "its pods have terminationGracePeriodSeconds 30, ", ""},
		{"a sidecar", 5, 0, []corev1.Container{none}, []corev1.Container{sidecar}, "", ""},
		{"an init container", 5, 0, []corev1.Container{none}, []corev1.Container{sleep(6)}, missing, ""},
	} {
		spec := &corev1.PodSpec{Containers: tc.containers, InitContainers: tc.init}
		if tc.grace > 0 {
			spec.TerminationGracePeriodSeconds = &tc.grace
		}
		text, fix := NoDrainTime(spec, tc.ttl)
		if (text == "") != (tc.want == "") || !strings.HasPrefix(text, tc.want) || !strings.Contains(fix, tc.fix) || (fix == "") != (text == "") {
			t.Errorf("%s: got %q, %q, want %q, %q", tc.name, text, fix, tc.want, tc.fix)
		}
	}
}

// The pod that stands for all of a Service is the same whichever slice comes first, and one that stays.
func TestExamplePod(t *testing.T) {
	yes := true
	ends := discoveryv1.EndpointConditions{Terminating: &yes}
	pod := func(name string) *corev1.ObjectReference {
		return &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: name}
	}
	slice := func(endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}, Endpoints: endpoints}
	}
	ignored := slice(discoveryv1.Endpoint{TargetRef: pod("a")})
	ignored.Labels = map[string]string{IgnoreLabel: "true"}
	first := slice(discoveryv1.Endpoint{}, discoveryv1.Endpoint{TargetRef: pod("b"), Conditions: ends}, discoveryv1.Endpoint{TargetRef: pod("d")},
		discoveryv1.Endpoint{TargetRef: &corev1.ObjectReference{Kind: "VirtualMachine", Namespace: "shop", Name: "a"}},
		discoveryv1.Endpoint{TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "other", Name: "a"}})
	second := slice(discoveryv1.Endpoint{TargetRef: pod("c")})
	for _, all := range [][]*discoveryv1.EndpointSlice{{ignored, first, second}, {second, first, ignored}} {
		if got := ExamplePod(all...); got == nil || got.Name != "c" {
			t.Errorf("got %v, want c", got)
		}
	}
	if got := ExamplePod(ignored); got != nil {
		t.Errorf("got %v of an ignored slice", got)
	}
}
