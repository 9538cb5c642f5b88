package lb

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
)

// defaultGrace is a pod's grace period in seconds where it has none.
const defaultGrace = 30

// ExamplePod returns the reference to the pod of one endpoint of a Service's slices, the first by name of those that do
// not end, nil if there is none.
func ExamplePod(slices ...*discoveryv1.EndpointSlice) (pod *corev1.ObjectReference) {
	for _, slice := range slices {
		if Ignored(slice.Labels) {
			continue
		}
		for i := range slice.Endpoints {
			endpoint := &slice.Endpoints[i]
			if ref := endpoint.TargetRef; ref != nil && ref.Kind == "Pod" && ref.Namespace == slice.Namespace &&
				!ptr.Deref(endpoint.Conditions.Terminating, false) && (pod == nil || ref.Name < pod.Name) {
				pod = ref
			}
		}
	}
	return pod
}

// NoDrainTime returns why a pod ends before clients have forgotten its address, which they keep for ttl seconds, and what
// to do, one clause each; both are "" if its preStop lasts, or cannot be judged (L9). One container with such a preStop is
// enough, as only its author knows which of them serves.
func NoDrainTime(pod *corev1.PodSpec, ttl uint32) (text, fix string) {
	need, longest, unjudged := int64(ttl)+1, int64(0), false
	for _, container := range containersOf(pod) {
		if container.Lifecycle == nil || container.Lifecycle.PreStop == nil {
			continue
		}
		if sleep := container.Lifecycle.PreStop.Sleep; sleep != nil {
			longest = max(longest, sleep.Seconds)
		} else {
			unjudged = true
		}
	}
	grace := ptr.Deref(pod.TerminationGracePeriodSeconds, defaultGrace)
	consequence := fmt.Sprintf("when one ends, clients go on connecting to it for the TTL, %d s", ttl)
	switch {
	case !unjudged && longest < need:
		what := "no preStop"
		if longest > 0 {
			what = fmt.Sprintf("a preStop of %d s only", longest)
		}
		return fmt.Sprintf("its pods have %s: %s", what, consequence),
			fmt.Sprintf("set lifecycle.preStop.sleep.seconds: %d in their containers, or the label %s on the pods if the drain policy "+
				"of deploy/ is applied; programs that serve on for as long after SIGTERM need neither", need+1, DrainLabel)
	case grace < need:
		return fmt.Sprintf("its pods have terminationGracePeriodSeconds %d, which cuts their preStop short: %s", grace, consequence),
			fmt.Sprintf("set terminationGracePeriodSeconds to %d and the seconds that the program takes to end", need+1)
	}
	return "", ""
}

// containersOf returns the containers that run as long as the pod does.
func containersOf(pod *corev1.PodSpec) (all []*corev1.Container) {
	for i := range pod.InitContainers {
		if c := &pod.InitContainers[i]; ptr.Deref(c.RestartPolicy, "") == corev1.ContainerRestartPolicyAlways {
			all = append(all, c)
		}
	}
	for i := range pod.Containers {
		all = append(all, &pod.Containers[i])
	}
	return all
}
