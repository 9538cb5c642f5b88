package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/daemon"
)

// aftermath is how long the controller has still to do once the last status is written: it writes
// the Events of the last few, judges the claims on hosts, and looks at all endpoints half a minute
// later.
const aftermath = 45 * time.Second

// measureController takes the time that "minilb controller" needs to write the statuses of 10,000
// Services, and what it uses when it is idle. It is among the last parts, because Services have no
// status before it.
func (b *bench) measureController(ctx context.Context) error {
	if err := b.seed(ctx, large); err != nil {
		return err
	}
	// What other parts have created is not to count.
	services, err := b.client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list the Services: %w", err)
	}
	ours := 0
	for i := range services.Items {
		if written, wanted := hasHostname(&services.Items[i]); wanted && !written {
			ours++
		}
	}
	version := services.ResourceVersion
	services = nil

	addrs, err := cluster.FreeAddrs(1)
	if err != nil {
		return err
	}
	d := &daemon.Daemon{
		Name: "minilb controller", Path: b.minilb, Log: filepath.Join(b.dir, "controller.log"),
		Args: []string{"controller", "-kubeconfig", b.cluster.Kubeconfig, "-health", addrs[0]},
	}
	began := time.Now()
	if err := d.Start(b.died); err != nil {
		return err
	}
	defer d.Stop()
	if err := b.awaitHostnames(ctx, version, ours); err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	worked, err := cpuTime(d.PID())
	if err != nil {
		return err
	}
	b.report.add(figure{
		name: "10,000 statuses written from cold", unit: seconds, must: 20, measured: took * float64(large.services) / float64(ours),
		detail: fmt.Sprintf("%d in %.1f s, of which the controller worked for %.1f s", ours, took, worked.Seconds()),
	})
	settling, err := b.usage(ctx, d.PID(), aftermath)
	if err != nil {
		return err
	}
	idle, err := b.usage(ctx, d.PID(), b.effort.idle)
	if err != nil {
		return err
	}
	m, err := memoryOf(d.PID())
	if err != nil {
		return err
	}
	b.report.add(figure{name: "`minilb controller` after that, anonymous memory", unit: megabytes, must: 40, aim: 20, measured: float64(m.anon) / MB, detail: fmt.Sprintf("%d Services are its own", ours)})
	b.report.add(figure{name: "the same, idle", unit: millicores, must: 1, measured: 1000 * idle, detail: fmt.Sprintf("over %v; in the %v before that it took %.1f s of CPU", b.effort.idle, aftermath, settling*aftermath.Seconds())})
	return nil
}

// hasHostname says whether the controller has written the status of a Service, and whether it is
// to.
func hasHostname(service *corev1.Service) (written, wanted bool) {
	wanted = service.Spec.LoadBalancerClass != nil
	ingress := service.Status.LoadBalancer.Ingress
	return len(ingress) == 1 && strings.HasSuffix(ingress[0].Hostname, ".minilb"), wanted
}

// awaitHostnames waits until so many Services have been given their hostname since a version.
func (b *bench) awaitHostnames(ctx context.Context, version string, n int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	watch, err := b.client.CoreV1().Services("").Watch(ctx, metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		return fmt.Errorf("watch the Services: %w", err)
	}
	defer watch.Stop()
	done := map[string]bool{}
	for event := range watch.ResultChan() {
		service, ok := event.Object.(*corev1.Service)
		if !ok {
			return fmt.Errorf("watch the Services: got %v", event.Object)
		}
		if written, _ := hasHostname(service); written {
			done[service.Namespace+"/"+service.Name] = true
		}
		if len(done) == n {
			return nil
		}
	}
	return fmt.Errorf("only %d of %d Services have a hostname after %v", len(done), n, patience)
}
