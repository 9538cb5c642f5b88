// Package corefile finds the Corefile of the DNS server that runs in a cluster, so that the companion decides by what
// the server decides by.
package corefile

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/kube"
)

// Found is the Corefile of a DNS server that runs in the cluster.
type Found struct {
	Workload  string // that mounts it, "Deployment minilb/minilb-dns"
	ConfigMap string // "minilb/minilb-corefile"
	Corefile  *config.Corefile
}

// Find reads the Corefile that the DNS server in the cluster has: of the ConfigMap which its Deployment or DaemonSet,
// labelled as deploy/ does it, mounts. Others of that label may be newer, as after a rollback, and are not in use. As
// anybody may set the labels, the workload's account must have the permissions of a DNS server. Find returns nil if there is no such
// workload. An error is one line, a *kube.Error if something cannot be read.
func Find(ctx context.Context, client kubernetes.Interface) (*Found, error) {
	const component = "app.kubernetes.io/component=dns"
	deployments, err := client.AppsV1().Deployments(metav1.NamespaceAll).List(ctx, metav1.ListOptions{LabelSelector: component})
	if err != nil {
		return nil, unread("list", "deployments.apps", err)
	}
	daemonSets, err := client.AppsV1().DaemonSets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{LabelSelector: component})
	if err != nil {
		return nil, unread("list", "daemonsets.apps", err)
	}
	var all []mounted
	for _, d := range deployments.Items {
		all = append(all, mountedBy("Deployment", &d.ObjectMeta, &d.Spec.Template.Spec)...)
	}
	for _, d := range daemonSets.Items {
		all = append(all, mountedBy("DaemonSet", &d.ObjectMeta, &d.Spec.Template.Spec)...)
	}
	if all == nil {
		return nil, nil
	}
	servers, err := trusted(ctx, client, all)
	switch {
	case err != nil:
		return nil, err
	case len(servers) == 0:
		return nil, fmt.Errorf("%s is labelled as a DNS server, and its ServiceAccount may not list the Services of all namespaces, or of others that its Corefile names", workloads(all))
	case len(servers) > 1:
		return nil, fmt.Errorf("there are several DNS servers: %s", workloads(servers))
	}
	return servers[0].read(ctx, client)
}

// unread returns why something cannot be read, nil if the API server does not know it.
func unread(verb, resource string, err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case apierrors.IsForbidden(err):
		return &kube.Error{Kind: kube.Forbidden, Text: fmt.Sprintf("this account may not %s %s", verb, resource), Cause: err}
	}
	return kube.Classify(verb, resource, err)
}

// mounted is a Corefile as a pod has it.
type mounted struct {
	workload       string           // "Deployment minilb/minilb-dns"
	account        cache.ObjectName // its ServiceAccount, in whose namespace the ConfigMap is
	configMap, key string
	env            []corev1.EnvVar // of its container
}

func workloads(all []mounted) string {
	var names []string
	for _, m := range all {
		names = append(names, m.workload)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// mountedBy returns the Corefile of a workload of ours, none if it comes from somewhere else than a ConfigMap.
func mountedBy(kind string, meta *metav1.ObjectMeta, pod *corev1.PodSpec) []mounted {
	if meta.Labels["app.kubernetes.io/name"] != "minilb" && meta.Labels["app.kubernetes.io/part-of"] != "minilb" {
		return nil
	}
	for _, container := range pod.Containers {
		i := slices.Index(container.Args, "-conf")
		if i < 0 || i+1 == len(container.Args) {
			continue
		}
		for _, mount := range container.VolumeMounts {
			if key, within := strings.CutPrefix(container.Args[i+1], path.Clean(mount.MountPath)+"/"); within {
				if configMap := sourceOf(pod, mount.Name); configMap != nil {
					if i := slices.IndexFunc(configMap.Items, func(item corev1.KeyToPath) bool { return item.Path == key }); i >= 0 {
						key = configMap.Items[i].Key
					}
					account := cache.NewObjectName(meta.Namespace, cmp.Or(pod.ServiceAccountName, "default"))
					return []mounted{{kind + " " + meta.Namespace + "/" + meta.Name, account, configMap.Name, key, container.Env}}
				}
			}
		}
	}
	return nil
}

// sourceOf returns the ConfigMap of a pod's volume, nil if it is of another kind.
func sourceOf(pod *corev1.PodSpec, volume string) *corev1.ConfigMapVolumeSource {
	for _, v := range pod.Volumes {
		if v.Name == volume {
			return v.ConfigMap
		}
	}
	return nil
}

func (m *mounted) read(ctx context.Context, client kubernetes.Interface) (*Found, error) {
	namespace := m.account.Namespace
	found := &Found{Workload: m.workload, ConfigMap: namespace + "/" + m.configMap}
	configMap, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, m.configMap, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("%s mounts the ConfigMap %s, which does not exist", found.Workload, found.ConfigMap)
	case err != nil:
		return nil, unread("get", fmt.Sprintf("configmaps in namespace %q", namespace), err)
	}
	text, has := configMap.Data[m.key]
	if !has {
		return nil, fmt.Errorf("%s reads %q of the ConfigMap %s, which does not have it", found.Workload, m.key, found.ConfigMap)
	}
	name := "ConfigMap " + found.ConfigMap
	if text, err = inContainer(name, text, m.env); err != nil {
		return nil, err
	}
	found.Corefile, err = config.Read(name, strings.NewReader(text))
	return found, err
}
