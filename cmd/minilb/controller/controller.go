// Package controller keeps the status of our Services: every Service of type LoadBalancer and
// of our class has status.loadBalancer.ingress = [{hostname: <service>.<namespace>.<domain>}].
// What is written depends on the Service's name only, so that any number of controllers can
// run side by side. It reads through a watch, writes by server-side apply and never answers DNS.
package controller

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/minilb/minilb/cmd/minilb/controller/events"
	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/plugin/minilb/cluster"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

const (
	// workers is how many writes run at a time. A write takes the API server some
	// milliseconds: a thousand new Services have their status within seconds.
	workers = 8
	// retryMin and retryMax bound the pause before a failed write is retried. The upper one
	// is also how long the last Service waits once an outage is over.
	retryMin, retryMax = 100 * time.Millisecond, 30 * time.Second
)

// Options are what a user chooses.
type Options struct {
	// Domain is the DNS domain below which Services are named, as lb.Domain returns it.
	Domain string
	// Class is the loadBalancerClass that is ours.
	Class string
	// DefaultClass makes Services without a class ours (S6).
	DefaultClass bool
	// Resync is how often every Service is synced without a change; 0 is never.
	Resync time.Duration
	// Health is the address to serve health and metrics on, empty for nowhere.
	Health string
	// LAN is the network that the routes are for.
	LAN routes.LAN
	// Claims are the DNS server's plugin blocks, by which hosts are checked. Events are written if there are any.
	Claims []config.Options
	// Version and Revision, its commit, are logged and exported as metrics.
	Version, Revision string
}

// Controller writes the status of our Services.
type Controller struct {
	options Options
	// client reads Services, Nodes and EndpointSlices, patches services/status and creates Events.
	client kubernetes.Interface
	// log is for the operator.
	log *slog.Logger
	// out is where the routes are printed.
	out io.Writer

	// cluster watches the API server.
	cluster *cluster.Cluster
	// services are those that its watch has seen.
	services *informer.Store[*corev1.Service, *service]
	// queue holds the names of the Services to sync.
	queue workqueue.TypedRateLimitingInterface[cache.ObjectName]
	// idle wakes waitIdle.
	idle *sync.Cond
	// conflicts knows the Services whose status somebody else writes, too (S12).
	conflicts *conflicts
	// failures keeps failed writes from filling the log.
	failures *logOnce
	// writes counts the writes by their result.
	writes *prometheus.CounterVec

	// recorder writes Events, nil for none.
	recorder *events.Recorder
	// scan decides when endpoints are read to find problems.
	scan *endpointScan
	// claims checks hosts as the cluster's objects change, nil without a recorder.
	claims *translator.Translators
	// results are those of the claims of each plugin block.
	results []claimResults
}

// New returns a Controller of the API server that client configures. Routes go to out, everything else to log. Nothing is
// dialled before Run.
func New(client *rest.Config, options Options, log *slog.Logger, out io.Writer) (*Controller, error) {
	clientset, err := kubernetes.NewForConfig(client)
	if err != nil {
		return nil, fmt.Errorf("make a client of the kubeconfig: %w", err)
	}
	claims, err := translator.New(client, lineLog{log, slog.LevelDebug, slog.LevelInfo, "no events of some hosts: "})
	if err != nil {
		return nil, err
	}
	c, err := newController(clientset, claims.Cluster, options, log, out)
	if err != nil || len(options.Claims) == 0 {
		return c, err
	}
	return c, c.enableEvents(claims)
}

// newController returns a Controller that writes no Events.
func newController(client kubernetes.Interface, cluster *cluster.Cluster, options Options, log *slog.Logger, out io.Writer) (*Controller, error) {
	scan, err := newEndpointScan()
	if err != nil {
		return nil, err
	}
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](retryMin, retryMax)
	c := &Controller{
		options:   options,
		client:    client,
		cluster:   cluster,
		log:       log,
		out:       out,
		queue:     workqueue.NewTypedRateLimitingQueue(limiter),
		idle:      sync.NewCond(new(sync.Mutex)),
		conflicts: newConflicts(),
		failures:  newLogOnce(log),
		writes:    newWrites(),
		scan:      scan,
	}
	c.services = informer.Derive(cluster.Services(metav1.NamespaceAll), c.transform)
	c.services.Subscribe(c.enqueue)
	cluster.OnChange(c.wakeIdle)
	cluster.LogShared(lineLog{log, slog.LevelInfo, slog.LevelWarn, ""})
	cluster.Remind, cluster.Consequence = reminder, "no status is written"
	return c, nil
}

// Run works until ctx ends, which is no error, or until the address for health cannot be served. An API server that is
// absent, or that denies access, is retried. When Run returns, every goroutine of the controller has ended. A Controller
// runs once.
func (c *Controller) Run(ctx context.Context) error {
	defer c.queue.ShutDown()
	var listener net.Listener
	if c.options.Health != "" {
		var err error
		if listener, err = new(net.ListenConfig).Listen(ctx, "tcp", c.options.Health); err != nil {
			return fmt.Errorf("serve health and metrics: %w; choose another -health address", err)
		}
	}
	c.log.Info("minilb controller started", "version", c.options.Version, "revision", c.options.Revision, "domain", c.options.Domain,
		"class", c.options.Class, "default-class", c.options.DefaultClass)

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	var failure error
	if listener != nil {
		running.Go(func() {
			if failure = c.serve(ctx, listener); failure != nil {
				stop()
			}
		})
	}
	running.Go(func() { c.runWatches(ctx) })
	running.Go(func() { c.resync(ctx) })
	running.Go(func() { c.printRoutes(ctx) })
	if c.recorder != nil {
		running.Go(func() { c.recorder.Run(ctx) })
		running.Go(func() { c.scanEndpoints(ctx) })
	}
	for range workers {
		running.Go(func() { c.work(ctx) })
	}

	<-ctx.Done()
	c.queue.ShutDown()
	running.Wait()
	c.log.Info("minilb controller stopped")
	return failure
}

// enqueue takes a change of a Service: old is nil for a new one, new for a deleted one.
func (c *Controller) enqueue(old, new *service) { c.queue.Add(cmp.Or(new, old).name) }

// resync enqueues all Services every Resync until ctx ends.
func (c *Controller) resync(ctx context.Context) {
	for c.options.Resync > 0 && sleep(ctx, c.options.Resync) {
		c.enqueueAll()
	}
}

func (c *Controller) enqueueAll() {
	for _, s := range c.services.List() {
		c.queue.Add(s.name)
	}
}

// work syncs Services until the queue is shut down.
func (c *Controller) work(ctx context.Context) {
	for c.processNext(ctx) {
	}
}

// processNext syncs the next Service of the queue, and reports whether there was one.
func (c *Controller) processNext(ctx context.Context) bool {
	name, shutdown := c.queue.Get()
	if shutdown {
		return false
	}
	defer c.wakeIdle()
	defer c.queue.Done(name)
	switch err := c.sync(ctx, name); {
	case err == nil:
		c.queue.Forget(name)
		c.failures.clear(topic(name))
	case ctx.Err() == nil:
		c.reportWrite(name, err)
		c.queue.AddRateLimited(name)
	}
	return true
}

// sync makes the status of one Service what it should be, whatever happened to the Service before.
func (c *Controller) sync(ctx context.Context, name cache.ObjectName) error {
	s, _ := c.services.Get(name)
	c.recordProblems(name, s)
	if !s.ours() {
		// Gone, or of another type (the API server has cleared the status, S8), class or owner.
		c.conflicts.forget(name)
		return nil
	}
	if !s.unwritten() {
		return nil // M5, S12
	}
	pause, began := c.conflicts.overwritten(s)
	if began {
		c.reportConflict(s, pause)
	}
	if pause > 0 {
		c.queue.AddAfter(name, pause)
		return nil
	}
	return c.write(ctx, s)
}

// waitIdle waits until all Services are known and none waits for its status, as what follows takes the processor from
// the writes in a cluster with thousands of new Services. It returns false when ctx has ended.
func (c *Controller) waitIdle(ctx context.Context) bool {
	defer context.AfterFunc(ctx, c.broadcastIdle)()
	c.idle.L.Lock()
	defer c.idle.L.Unlock()
	for ctx.Err() == nil && !c.isIdle() {
		c.idle.Wait()
	}
	return ctx.Err() == nil
}

func (c *Controller) isIdle() bool { return c.services.Known() && c.queue.Len() == 0 }

// wakeIdle is called whenever the controller may have become idle.
func (c *Controller) wakeIdle() {
	if c.isIdle() {
		c.broadcastIdle()
	}
}

func (c *Controller) broadcastIdle() {
	c.idle.L.Lock() // else a waiter that has just found it busy would miss it
	defer c.idle.L.Unlock()
	c.idle.Broadcast()
}

// sleep waits, and returns false when ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
