package chart_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func deployment(t *testing.T, manifest, component string) *appsv1.Deployment {
	t.Helper()
	return object[appsv1.Deployment](t, manifest, "Deployment", "minilb-"+component)
}

func daemonSet(t *testing.T, manifest string) *appsv1.DaemonSet {
	t.Helper()
	return object[appsv1.DaemonSet](t, manifest, "DaemonSet", "minilb-dns")
}

// check compares what a knob should have led to.
func check[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

func has[T any](list []T, item T) bool {
	return slices.ContainsFunc(list, func(other T) bool { return reflect.DeepEqual(other, item) })
}

// Every knob of the pods turns something.
func TestPods(t *testing.T) {
	t.Parallel()
	manifest := variant(t, "everything")
	dns := deployment(t, manifest, "dns")
	pod, container := dns.Spec.Template.Spec, dns.Spec.Template.Spec.Containers[0]
	tolerations := []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpExists}}
	secret := corev1.Volume{Name: "other", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "other"}}}
	mount := corev1.VolumeMount{Name: "other", MountPath: "/etc/other", ReadOnly: true}
	setting := corev1.EnvVar{Name: "GODEBUG", Value: "madvdontneed=1"}

	check(t, "replicas", *dns.Spec.Replicas, 3)
	check(t, "image", container.Image, "registry.example.org/dns/coredns@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
	check(t, "pull policy", container.ImagePullPolicy, corev1.PullAlways)
	check(t, "pull secrets", pod.ImagePullSecrets, []corev1.LocalObjectReference{{Name: "registry"}})
	check(t, "request of CPU", container.Resources.Requests.Cpu().String(), "100m")
	check(t, "request of memory", container.Resources.Requests.Memory().String(), "64Mi")
	check(t, "strategy", dns.Spec.Strategy, appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType})
	check(t, "priority", pod.PriorityClassName, "high")
	check(t, "tolerations", pod.Tolerations, tolerations)
	check(t, "topology", pod.TopologySpreadConstraints[0].TopologyKey, "topology.kubernetes.io/zone")
	check(t, "affinity", pod.Affinity.NodeAffinity != nil, true)
	check(t, "nodes", pod.NodeSelector, map[string]string{"kubernetes.io/os": "linux"})
	check(t, "DNS policy", pod.DNSPolicy, corev1.DNSNone)
	check(t, "DNS servers", pod.DNSConfig.Nameservers, []string{"192.0.2.1"})
	check(t, "grace", *pod.TerminationGracePeriodSeconds, 40)
	check(t, "annotation", dns.Spec.Template.Annotations["example.org/pod"], "dns")
	check(t, "label", dns.Spec.Template.Labels["example.org/tier"], "dns")
	check(t, "common label", dns.Labels["team"]+dns.Spec.Template.Labels["team"], "networknetwork")
	check(t, "group of files", *pod.SecurityContext.FSGroup, 1000)
	check(t, "user", *pod.SecurityContext.RunAsUser, 65532)
	check(t, "privileged", *container.SecurityContext.Privileged, false)
	check(t, "capabilities", container.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"})
	check(t, "further volume", has(pod.Volumes, secret), true)
	check(t, "further mount", has(container.VolumeMounts, mount), true)
	check(t, "snapshot's mount", has(container.VolumeMounts, corev1.VolumeMount{Name: "snapshot", MountPath: "/var/lib/minilb"}), true)
	check(t, "variable", has(container.Env, setting), true)
	check(t, "further container", pod.Containers[1].Name, "sidecar")
	check(t, "account", pod.ServiceAccountName, "dns-reader")
	check(t, "account's annotation", object[corev1.ServiceAccount](t, manifest, "ServiceAccount", "dns-reader").Annotations["example.org/role"], "reader")
	var ports []int32
	for _, port := range container.Ports {
		ports = append(ports, port.ContainerPort)
	}
	check(t, "ports", ports, []int32{5353, 5353, 18080, 18181, 19153})
	check(t, "evictions", *object[policyv1.PodDisruptionBudget](t, manifest, "PodDisruptionBudget", "").Spec.MaxUnavailable, intstr.FromString("34%"))

	controller := deployment(t, manifest, "controller")
	pod, container = controller.Spec.Template.Spec, controller.Spec.Template.Spec.Containers[0]
	check(t, "controller: replicas", *controller.Spec.Replicas, 2)
	check(t, "controller: image", container.Image, "ghcr.io/minilb/minilb:v9")
	check(t, "controller: pull policy", container.ImagePullPolicy, corev1.PullIfNotPresent)
	check(t, "controller: args", container.Args, []string{
		"controller", "-domain", "cluster.lan", "-class", "example.org/minilb", "-default-class", "-resync", "0", "-corefile", "/etc/coredns/Corefile", "-pods", "calico", "-within", "10.244.0.0/16,2001:db8:244::/56", "-v", "-health", ":8080", "-context", "lab",
	})
	check(t, "controller: priority", pod.PriorityClassName, "high")
	check(t, "controller: tolerations", pod.Tolerations, tolerations)
	check(t, "controller: affinity", pod.Affinity.PodAntiAffinity != nil, true)
	check(t, "controller: nodes", pod.NodeSelector, map[string]string{"kubernetes.io/os": "linux"})
	check(t, "controller: annotation", controller.Spec.Template.Annotations["example.org/pod"], "controller")
	check(t, "controller: label", controller.Spec.Template.Labels["example.org/tier"], "controller")
	check(t, "controller: group of files", *pod.SecurityContext.FSGroup, 1000)
	check(t, "controller: privileged", *container.SecurityContext.Privileged, false)
	check(t, "controller: volume", has(pod.Volumes, secret), true)
	check(t, "controller: mount", has(container.VolumeMounts, mount), true)
	check(t, "controller: variable", has(container.Env, setting), true)
	check(t, "controller: account", pod.ServiceAccountName, "status-writer")
	check(t, "controller: account's annotation", object[corev1.ServiceAccount](t, manifest, "ServiceAccount", "status-writer").Annotations["example.org/role"], "writer")
}

// A Corefile with variables is the same to the controller as to the DNS servers.
func TestCorefileVariables(t *testing.T) {
	t.Parallel()
	const both = "dns.extraEnv[0].name=SUFFIX,dns.extraEnv[0].value=a.org,dns.extraEnv[1].name=GOGC,dns.extraEnv[1].value=80," +
		"dns.extraEnv[2].name=GOMEMLIMIT,dns.extraEnv[2].value=1GiB,controller.resources.limits.memory=100Mi," +
		"controller.extraEnv[0].name=GOGC,controller.extraEnv[0].value=50"
	node := corev1.EnvVar{Name: "NODE_IP", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.hostIP"}}}
	for set, want := range map[string][]corev1.EnvVar{
		both + ",controller.events=false": {{Name: "GOGC", Value: "50"}},
		both:                              {{Name: "GOGC", Value: "50"}, node, {Name: "SUFFIX", Value: "a.org"}},
	} {
		env := deployment(t, rendered(t, set), "controller").Spec.Template.Spec.Containers[0].Env
		check(t, set, env, append([]corev1.EnvVar{{Name: "GOMEMLIMIT", Value: "90MiB"}}, want...))
	}
}

// The controller judges hosts and the pods' time to drain by the Corefile, and rolls with it; without Events it has no
// rights for them.
func TestEvents(t *testing.T) {
	t.Parallel()
	corefile := corev1.VolumeMount{Name: "corefile", MountPath: "/etc/coredns", ReadOnly: true}
	for _, test := range []struct {
		set   string
		args  []string
		mount bool
	}{
		{"class=lan,defaultClass=true", []string{"-class", "lan", "-default-class", "-corefile", "/etc/coredns/Corefile"}, true},
		{"corefile.override=minilb", []string{"-corefile", "/etc/coredns/Corefile"}, true},
		{"corefile.extraBlocks=lan { }", []string{"-corefile", "/etc/coredns/Corefile"}, true},
		{"controller.events=false,plugin.ttl=7", []string{"-events=false"}, false},
	} {
		manifest := rendered(t, test.set)
		pod := deployment(t, manifest, "controller").Spec.Template
		check(t, test.set, pod.Spec.Containers[0].Args, slices.Concat([]string{"controller", "-domain", "minilb"}, test.args, []string{"-health", ":8080"}))
		check(t, test.set+": mount", has(pod.Spec.Containers[0].VolumeMounts, corefile), test.mount)
		check(t, test.set+": checksum", pod.Annotations["checksum/corefile"] != "", test.mount)
		role := object[rbacv1.ClusterRole](t, manifest, "ClusterRole", "minilb-controller")
		check(t, test.set+": rights", has(role.Rules, rbacv1.PolicyRule{APIGroups: []string{"events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create"}}), !strings.Contains(test.set, "events=false"))
	}
}

// Nine tenths of the limit of memory are the Go runtime's, however the limit is written.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	for _, limits := range [][2]string{{}, {"512Mi", "1Gi"}, {"1.5Gi", "600M"}, {"2G", "600000k"}, {"524288Ki", "1073741824"}} {
		var set []string
		for i, component := range []string{"dns", "controller"} {
			if limits[i] != "" {
				set = append(set, component+".resources.limits.memory="+limits[i])
			}
		}
		manifest := rendered(t, set...)
		templates := []corev1.PodTemplateSpec{daemonSet(t, manifest).Spec.Template, deployment(t, manifest, "controller").Spec.Template}
		for i, component := range []string{"dns", "controller"} {
			container := templates[i].Spec.Containers[0]
			written, limit := variable(container, "GOMEMLIMIT"), container.Resources.Limits.Memory()
			soft := resource.MustParse(strings.TrimSuffix(written, "B")) // Kubernetes writes MiB as Mi
			if share := soft.AsApproximateFloat64() / limit.AsApproximateFloat64(); share < 0.895 || share > 0.9 {
				t.Errorf("%s: GOMEMLIMIT %s is %.3f of the limit %s", component, written, share, limit)
			}
			if limits[i] != "" && limit.Cmp(resource.MustParse(limits[i])) != 0 {
				t.Errorf("%s: the limit is %s, want %s", component, limit, limits[i])
			}
		}
	}
	if got := variable(daemonSet(t, rendered(t, "dns.resources.limits=null")).Spec.Template.Spec.Containers[0], "GOMEMLIMIT"); got != "" {
		t.Errorf("without a limit: got GOMEMLIMIT %s", got)
	}
}

func variable(container corev1.Container, name string) string {
	for _, variable := range container.Env {
		if variable.Name == name {
			return variable.Value
		}
	}
	return ""
}

// Another Corefile rolls the pods; what is not in it does not.
func TestChecksum(t *testing.T) {
	t.Parallel()
	sum := func(set ...string) string {
		return daemonSet(t, rendered(t, set...)).Spec.Template.Annotations["checksum/corefile"]
	}
	before, changed, same := sum(), sum("plugin.ttl=9"), sum("dns.replicas=5")
	if before == changed || before != same || len(before) != 64 {
		t.Errorf("got %q, with another TTL %q, with more replicas %q", before, changed, same)
	}
}

// rolling is how many pods a roll-out may have too many, and too few.
type rolling struct{ surge, unavailable int }

// A new pod begins before an old one ends, unless they need the same ports of a node.
func TestRollout(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]rolling{
		"dns.kind=Deployment":                                     {1, 0},
		"dns.kind=Deployment,dns.hostPort=53":                     {0, 1},
		"dns.kind=Deployment,dns.hostNetwork=true":                {0, 1},
		"dns.kind=DaemonSet":                                      {1, 0},
		"dns.kind=DaemonSet,dns.hostPort=53":                      {0, 1},
		"dns.kind=DaemonSet,dns.hostNetwork=true,dns.hostPort=53": {0, 1},
	} {
		manifest := rendered(t, set)
		var surge, unavailable *intstr.IntOrString
		if slices.Contains(names(t, manifest), "DaemonSet minilb/minilb-dns") {
			update := daemonSet(t, manifest).Spec.UpdateStrategy.RollingUpdate
			surge, unavailable = update.MaxSurge, update.MaxUnavailable
		} else {
			update := deployment(t, manifest, "dns").Spec.Strategy.RollingUpdate
			surge, unavailable = update.MaxSurge, update.MaxUnavailable
		}
		got := rolling{unavailable: unavailable.IntValue()}
		if surge != nil {
			got.surge = surge.IntValue()
		}
		if got != want {
			t.Errorf("%s: got %+v, want %+v", set, got, want)
		}
	}
}

// In the node's network the server has the ports themselves, which takes root there.
func TestNodePorts(t *testing.T) {
	t.Parallel()
	set := daemonSet(t, variant(t, "hostnetwork"))
	pod, container := set.Spec.Template.Spec, set.Spec.Template.Spec.Containers[0]
	check(t, "node's network", pod.HostNetwork, true)
	check(t, "user", *pod.SecurityContext.RunAsUser, 0)
	check(t, "not root", *pod.SecurityContext.RunAsNonRoot, false)
	check(t, "capabilities", *container.SecurityContext.Capabilities, corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"NET_BIND_SERVICE"}})
	for probe, path := range map[*corev1.Probe]string{container.LivenessProbe: "/health", container.ReadinessProbe: "/ready"} {
		check(t, "probed on loopback", *probe.HTTPGet, corev1.HTTPGetAction{Path: path, Port: intstr.FromString(path[1:]), Host: "127.0.0.1"})
	}
	for _, port := range container.Ports[:5] {
		if port.HostPort != port.ContainerPort {
			t.Errorf("port %s: %d of the node is %d of the pod", port.Name, port.HostPort, port.ContainerPort)
		}
	}
	// Ports of the nodes are those of DNS only.
	container = daemonSet(t, variant(t, "daemonset")).Spec.Template.Spec.Containers[0]
	var taken []string
	for _, port := range container.Ports {
		if port.HostPort != 0 {
			taken = append(taken, fmt.Sprintf("%s %d", port.Protocol, port.HostPort))
		}
	}
	check(t, "ports of the node", taken, []string{"UDP 53", "TCP 53"})
	// A port that others may have, too, takes no root.
	set = daemonSet(t, rendered(t, "dns.hostNetwork=true"))
	check(t, "user, of a high port", *set.Spec.Template.Spec.SecurityContext.RunAsUser, 65532)
	check(t, "high port", set.Spec.Template.Spec.Containers[0].Ports[0].ContainerPort, 1053)
}
