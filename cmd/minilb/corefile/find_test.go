package corefile

import (
	"errors"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// podOf is a pod with the Corefile of a ConfigMap.
func podOf(configMap string) corev1.PodTemplateSpec {
	source := &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: configMap}}
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		Volumes: []corev1.Volume{
			{Name: "other", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: "corefile", VolumeSource: corev1.VolumeSource{ConfigMap: source}},
		},
		Containers: []corev1.Container{{Name: "sidecar"}, {
			Name: "coredns", Args: []string{"-conf", "/etc/coredns/Corefile"},
			VolumeMounts: []corev1.VolumeMount{{Name: "other", MountPath: "/tmp"}, {Name: "corefile", MountPath: "/etc/coredns/"}},
		}},
	}}
}

// labelled are the labels of deploy/, of a program.
func labelled(name string) map[string]string {
	return map[string]string{"app.kubernetes.io/name": name, "app.kubernetes.io/component": "dns"}
}

func deployment(namespace, name, program string, pod corev1.PodTemplateSpec) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labelled(program)}, Spec: appsv1.DeploymentSpec{Template: pod}}
}

func configMap(namespace, name, key, zone string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labelled("minilb")}, Data: map[string]string{key: ". {\n minilb " + zone + "\n}\n"}}
}

// granting returns a client of a cluster in which may says whether an account, "namespace/name", may list the Services
// of a namespace.
func granting(may func(account, namespace string) bool, objects ...runtime.Object) *fake.Clientset {
	client := fake.NewClientset(objects...)
	client.PrependReactor("create", "subjectaccessreviews", func(action ktesting.Action) (bool, runtime.Object, error) {
		review := action.(ktesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		what := review.Spec.ResourceAttributes
		account := strings.Replace(strings.TrimPrefix(review.Spec.User, "system:serviceaccount:"), ":", "/", 1)
		review.Status.Allowed = what.Verb == "list" && what.Group == "" && what.Resource == "services" && may(account, what.Namespace)
		return true, review, nil
	})
	return client
}

// The Corefile in use is the one that is mounted, whichever is the newest.
func TestFind(t *testing.T) {
	t.Parallel()
	minilb := deployment("minilb", "minilb-dns", "minilb", podOf("corefile-old"))
	old, latest := configMap("minilb", "corefile-old", "Corefile", "old"), configMap("minilb", "corefile-new", "Corefile", "new")
	latest.CreationTimestamp = metav1.Now()
	renamed := podOf("corefile-old")
	renamed.Spec.Volumes[1].ConfigMap.Items = []corev1.KeyToPath{{Key: "other", Path: "other"}, {Key: "dns.conf", Path: "Corefile"}}
	elsewhere := podOf("corefile-old")
	elsewhere.Spec.Volumes[1] = corev1.Volume{Name: "corefile", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{}}}
	partOf := deployment("lan", "dns", "other", podOf("corefile"))
	partOf.Labels["app.kubernetes.io/part-of"] = "minilb"
	for _, tc := range []struct {
		about     string
		objects   []runtime.Object
		forbidden string // resource
		zone      string // "" for nothing found
		workload  string
		err       string // begin of it
	}{
		{"after a rollback", []runtime.Object{minilb, old, latest}, "", "old.", "Deployment minilb/minilb-dns", ""},
		{"a DaemonSet", []runtime.Object{&appsv1.DaemonSet{ObjectMeta: minilb.ObjectMeta, Spec: appsv1.DaemonSetSpec{Template: podOf("corefile-new")}}, old, latest}, "", "new.", "DaemonSet minilb/minilb-dns", ""},
		{"a chart of another name", []runtime.Object{partOf, configMap("lan", "corefile", "Corefile", "lan")}, "", "lan.", "Deployment lan/dns", ""},
		{"another key", []runtime.Object{deployment("minilb", "minilb-dns", "minilb", renamed), configMap("minilb", "corefile-old", "dns.conf", "renamed")}, "", "renamed.", "Deployment minilb/minilb-dns", ""},
		{"nothing", []runtime.Object{old}, "", "", "", ""},
		{"another DNS server", []runtime.Object{deployment("kube-system", "coredns", "coredns", podOf("coredns"))}, "", "", "", ""},
		{"not of a ConfigMap", []runtime.Object{deployment("minilb", "minilb-dns", "minilb", elsewhere)}, "", "", "", ""},
		{"two", []runtime.Object{minilb, partOf}, "", "", "", "there are several DNS servers: Deployment lan/dns, Deployment minilb/minilb-dns"},
		{"without its ConfigMap", []runtime.Object{minilb, latest}, "", "", "", "Deployment minilb/minilb-dns mounts the ConfigMap minilb/corefile-old, which does not exist"},
		{"without its key", []runtime.Object{minilb, configMap("minilb", "corefile-old", "other", "x")}, "", "", "", `Deployment minilb/minilb-dns reads "Corefile" of the ConfigMap minilb/corefile-old, which does not have it`},
		{"a bad Corefile", []runtime.Object{minilb, configMap("minilb", "corefile-old", "Corefile", "x {\n class a b\n}")}, "", "", "", "ConfigMap minilb/corefile-old:3 - Error during parsing: class: "},
		{"forbidden", []runtime.Object{minilb, old}, "deployments", "", "", "this account may not list deployments.apps"},
		{"forbidden to ask for permissions", []runtime.Object{minilb, old}, "subjectaccessreviews", "", "", "this account may not create subjectaccessreviews.authorization.k8s.io"},
		{"forbidden to read it", []runtime.Object{minilb, old}, "configmaps", "", "", `this account may not get configmaps in namespace "minilb"`},
	} {
		client := granting(func(string, string) bool { return true }, tc.objects...)
		client.PrependReactor("*", tc.forbidden, func(ktesting.Action) (bool, runtime.Object, error) {
			return tc.forbidden != "", nil, apierrors.NewForbidden(schema.GroupResource{Resource: tc.forbidden}, "", errors.New("no"))
		})
		found, err := Find(t.Context(), client)
		failure := new(kube.Error)
		if errors.As(err, &failure) != (tc.forbidden != "") || (err == nil) != (tc.err == "") || err != nil && !strings.HasPrefix(err.Error(), tc.err) {
			t.Errorf("%s: got the error %v, want %q", tc.about, err, tc.err)
		}
		switch {
		case tc.zone == "" && tc.err == "" && found != nil, tc.zone != "" && found == nil:
			t.Errorf("%s: got %+v", tc.about, found)
		case tc.zone != "" && (found.Corefile.Blocks[0].Options.Zones[0] != tc.zone || found.Workload != tc.workload):
			t.Errorf("%s: got %+v", tc.about, found)
		}
	}
}
