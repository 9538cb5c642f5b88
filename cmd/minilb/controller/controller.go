// Package controller keeps the status of our Services: every Service of type LoadBalancer and
// of our class has status.loadBalancer.ingress = [{hostname: <service>.<namespace>.<domain>}].
// What is written depends on the Service's name alone, so that any number of controllers can
// run side by side. It reads through a watch, writes by server-side apply and never answers DNS.
package controller

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/source"
)

const (
	// workers is how many writes are on their way at a time. A write takes the API server some
	// milliseconds: a thousand new Services have their status within seconds.
	workers = 8
	// retryMin and retryMax bound the pause before a failed write is tried again. The upper one
	// is also how long the last Service waits once an outage is over.
	retryMin, retryMax = 100 * time.Millisecond, 30 * time.Second
)

// Options are what a user chooses.
type Options struct {
	// Domain is the DNS domain below which Services are named, as lb.Domain returns it.
	Domain string
	// Class is the loadBalancerClass that is ours.
	Class string
	// DefaultClass takes the Services without a class, too (S6).
	DefaultClass bool
	// Resync is how often every Service is looked at again; 0 is never.
	Resync time.Duration
	// Health is the address to serve health and metrics on, empty for nowhere.
	Health string
	// LAN is what is said of the network that the routes are for.
	LAN routes.LAN
	// Version is told in the log and in the metrics, and so is the Revision, its commit.
	Version, Revision string
}

// Controller writes the status of our Services.
type Controller struct {
	options Options
	// client reads Services, Nodes and EndpointSlices and patches services/status.
	client kubernetes.Interface
	// log is for the operator.
	log *slog.Logger
	// out is where the routes are printed.
	out io.Writer

	// services is what the watch has told us of the Services that are ours.
	services *services
	// resumption decides when that must list them anew.
	resumption kube.Resumption
	// queue holds the names of the Services to look at. A Service is in no two workers' hands.
	queue workqueue.TypedRateLimitingInterface[cache.ObjectName]
	// contests knows the Services whose status somebody else writes, too (S12).
	contests *contests
	// complaints keeps an outage from filling the log.
	complaints *complaints
	// writes counts the writes by their result.
	writes *prometheus.CounterVec
	// recorder writes Events, nil for none.
	recorder *recorder
	// sweeps decides when to look at endpoints for what to write Events of.
	sweeps *sweeps
	// claims are judged to write Events of those that are refused, nil for none.
	claims *source.Watcher
	// stopping is closed when Run is to return.
	stopping <-chan struct{}
}

// New returns a Controller. Routes go to out, everything else to log.
func New(client kubernetes.Interface, options Options, log *slog.Logger, out io.Writer) *Controller {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](retryMin, retryMax)
	queue := workqueue.NewTypedRateLimitingQueue(limiter)
	c := &Controller{
		options:    options,
		client:     client,
		log:        log,
		out:        out,
		queue:      queue,
		contests:   newContests(),
		complaints: newComplaints(log),
		writes:     newWrites(),
		sweeps:     newSweeps(),
	}
	c.services = newServices(c.reduce, queue.Add)
	return c
}

// Run works until ctx ends, which is no error, or until it cannot: the address for health is
// taken. An API server that is absent, or that refuses, is waited for. When Run returns, every
// goroutine of the controller has ended. A Controller runs once.
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
	if !c.log.Enabled(ctx, slog.LevelDebug) {
		// client-go logs what it also returns, and for every attempt: we tell of it ourselves.
		ctx = klog.NewContext(ctx, klog.Logger{})
	}
	c.stopping = ctx.Done()
	var running sync.WaitGroup
	var failure error
	if listener != nil {
		running.Go(func() {
			if failure = c.serve(ctx, listener); failure != nil {
				stop()
			}
		})
	}
	running.Go(func() { c.watch(ctx) })
	running.Go(func() { c.printRoutes(ctx) })
	if c.recorder != nil {
		running.Go(func() { c.recorder.run(ctx) })
		running.Go(func() {
			if c.atLeisure(ctx) {
				c.claims.Run(ctx)
			}
		})
		running.Go(func() { c.findUnroutable(ctx) })
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

// leisure is how often it is looked for.
const leisure = 250 * time.Millisecond

// atLeisure waits until every Service is known and none waits for its status: a cluster with thousands
// of new ones has the processor for those. It reports whether ctx still lasts.
func (c *Controller) atLeisure(ctx context.Context) bool {
	for !c.services.synced.Load() || c.queue.Len() > 0 {
		if !sleep(ctx, leisure) {
			return false
		}
	}
	return ctx.Err() == nil
}

// work takes names from the queue until that is shut down.
func (c *Controller) work(ctx context.Context) {
	for {
		name, shutdown := c.queue.Get()
		if shutdown {
			return
		}
		err := c.sync(ctx, name)
		switch {
		case err == nil:
			c.queue.Forget(name)
			c.complaints.settle(topic(name))
		case ctx.Err() == nil:
			c.complain(name, err)
			c.queue.AddRateLimited(name)
		}
		c.queue.Done(name)
	}
}

// sync makes the status of one Service what it should be. What happened to the Service does
// not matter, only how the watch has last seen it.
func (c *Controller) sync(ctx context.Context, name cache.ObjectName) error {
	service := c.services.get(name)
	c.findIn(name, service)
	if service == nil || service.foreign {
		// Gone, of another type (the API server has cleared the status, S8), class or owner.
		c.contests.forget(name)
		return nil
	}
	if service.deleting || service.settled {
		return nil // M5, S12
	}
	if pause, rival := c.contests.overwritten(service); pause > 0 {
		if rival != "" {
			c.log.Warn("another controller keeps overwriting the status of a Service: give the Service a "+
				"loadBalancerClass that is not that controller's, or turn that controller off for it",
				"service", name.String(), "other", rival, "paused", pause)
			c.recorder.tell(service.finding(reasonStatusConflict, fmt.Sprintf(
				"Field manager %q keeps overwriting the status: give the Service a loadBalancerClass that is not its, "+
					"or turn it off for this Service; the status is left alone for %v", rival, pause)))
		}
		c.queue.AddAfter(name, pause)
		return nil
	}
	return c.write(ctx, service)
}

// complain tells of a write that failed and will be retried: once for all Services if the
// cause is not the Service itself.
func (c *Controller) complain(name cache.ObjectName, err error) {
	trouble := kube.Explain("patch", "services/status", err)
	about := writing
	switch {
	case trouble.Denied != "": // by a policy that may be about all Services
		about = writing + " " + trouble.Denied
	case trouble.Kind == kube.Refused:
		about = topic(name)
	}
	c.complaints.tell(about, trouble, "service", name.String())
}

// writing is the topic of complaints about writes that are not about a single Service. The
// first write that succeeds settles it.
const writing = "services/status"

// topic is under which complaints about a single Service are kept.
func topic(name cache.ObjectName) string { return writing + " " + name.String() }
