package controller

import (
	"context"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/cmd/minilb/controller/events"
	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// maxPodReads bounds the requests for pods of a scan, of a millisecond each: one for each Service that is new or whose pods
// were replaced. Those beyond it wait for the next scans.
const (
	maxPodReads = 1000
	podsTimeout = 30 * time.Second // for all of a scan
)

// pod identifies the pod that stands for all of a Service.
type pod struct {
	name string
	uid  types.UID
}

// drain is whether the pods of a Service serve on when they end, as one of them says.
type drain struct {
	pod       types.UID
	ttl       uint32
	text, fix string // "" if they do, or nobody can tell
}

// drains has what is known of the pods of our Services: of each the pod that was read, and what is wrong with it. A pod's
// preStop never changes, so that none is read twice.
type drains struct {
	byService map[cache.ObjectName]drain
	denied    bool // that pods may not be listed was logged
}

// prune forgets Services that are not ours any more.
func (d *drains) prune(all services) {
	for name := range d.byService {
		if !all.get(name).answered() {
			delete(d.byService, name)
		}
	}
}

// problems returns whether the pods of a Service are known to end too soon (L9).
func (d *drains) problems(s *service) []events.Problem {
	known := d.byService[s.name]
	if known.text == "" || !s.selects {
		return nil
	}
	p := s.problem(events.NoDrainTime, "")
	p.Normal = true
	return p.Each([]string{known.text}, known.fix)
}

// addPod takes the pods of a slice. judged is how the Service was judged.
func (e *serviceEndpoints) addPod(slice *discoveryv1.EndpointSlice, judged drain) {
	for i := range slice.Endpoints {
		ref := slice.Endpoints[i].TargetRef
		e.judged = e.judged || ref != nil && judged.pod != "" && ref.UID == judged.pod && judged.ttl == e.service.ttl
	}
	if ref := lb.ExamplePod(slice); ref != nil && (e.pod.name == "" || ref.Name < e.pod.name) {
		e.pod = pod{ref.Name, ref.UID}
	}
}

// readPods reads a pod of each Service whose pods are not known.
func (c *Controller) readPods(ctx context.Context, all map[cache.ObjectName]*serviceEndpoints) {
	ctx, cancel := context.WithTimeout(ctx, podsTimeout)
	defer cancel()
	reads := 0
	for name, e := range all {
		if e.judged || e.pod.name == "" || !e.service.selects {
			continue
		}
		if reads++; reads > maxPodReads {
			return
		}
		// The one of that name, from the API server's cache: the permission to list is enough, and costs no more than to get it.
		list, err := c.client.CoreV1().Pods(name.Namespace).List(ctx, metav1.ListOptions{
			ResourceVersion: "0", FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, e.pod.name).String(),
		})
		if err != nil {
			failure := kube.Classify("list", "pods", err)
			if failure.Kind == kube.Forbidden && !c.drains.denied {
				c.drains.denied = true
				c.log.Info("no events " + events.NoDrainTime + " are written: " + failure.Text)
				return
			}
			c.log.Debug("pods not read: " + failure.Text)
			return
		}
		c.drains.denied = false
		for i := range list.Items {
			if p := &list.Items[i]; p.UID == e.pod.uid {
				text, fix := lb.NoDrainTime(&p.Spec, e.service.ttl)
				c.drains.byService[name] = drain{p.UID, e.service.ttl, text, fix}
			}
		}
	}
}
