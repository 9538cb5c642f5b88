// Package controller keeps the status of our Services: every Service of type LoadBalancer and of our class has
// status.loadBalancer.ingress = [{hostname: <service>.<namespace>.<domain>}]. What is written depends on the Service's name
// only, so that any number of controllers can run side by side. It never answers DNS.
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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/minilb/minilb/cmd/minilb/controller/events"
	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
	"github.com/minilb/minilb/plugin/minilb/cluster"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

const (
	// workers is how many writes run at a time, each of some milliseconds.
	workers = 8
	// retryMin and retryMax bound the pause before a failed write is retried.
	retryMin, retryMax = 100 * time.Millisecond, 30 * time.Second
	// idlePoll is how often waitIdle looks.
	idlePoll = 100 * time.Millisecond
)

// Options are what a user chooses.
type Options struct {
	Domain       string           // below which Services are named, as lb.Domain returns it
	Class        string           // the loadBalancerClass that is ours
	DefaultClass bool             // Services without a class are ours, too (S6)
	Resync       time.Duration    // how often every Service is synced without a change; 0 is never
	Health       string           // the address to serve health and metrics on, "" for none
	LAN          routes.LAN       // that the routes are for
	Namespace    string           // of our DNS servers' Service, "" to look for none
	Claims       []config.Options // the DNS server's plugin blocks, by which hosts are checked; without any no Events are written
	TTL          uint32           // of their answers, in seconds: how long pods must serve on when they end

	Version, Revision string // of the build, for the log and the metrics
}

// Controller writes the status of our Services.
type Controller struct {
	options   Options
	client    kubernetes.Interface
	networks  *podnetworks.Clients
	log       *slog.Logger
	out       io.Writer // for the routes
	cluster   *cluster.Cluster
	services  services
	queue     workqueue.TypedRateLimitingInterface[cache.ObjectName] // of the Services to sync
	conflicts *conflicts
	failures  *logOnce // of writes
	writes    *prometheus.CounterVec

	watch    func(context.Context) // watches the cluster, and checks hosts if there is a recorder
	recorder *events.Recorder      // nil for no Events
	scan     *endpointScan
	drains   drains
	results  []claimResults // of each plugin block
}

// New returns a Controller of the API server that config names and client talks to. Routes go to out, everything else to log.
// Nothing is dialled before Run.
func New(client kubernetes.Interface, config *rest.Config, options Options, log *slog.Logger, out io.Writer) (*Controller, error) {
	claims, err := translator.New(config, lineLog{log, slog.LevelDebug, slog.LevelInfo, "no events of some hosts: "})
	if err != nil {
		return nil, err
	}
	networks, err := podnetworks.NewClients(config)
	if err != nil {
		return nil, err
	}
	c, err := newController(client, networks, claims.Cluster, options, log, out)
	if err != nil || len(options.Claims) == 0 {
		return c, err
	}
	return c, c.enableEvents(claims)
}

// newController returns a Controller that writes no Events.
func newController(
	client kubernetes.Interface, networks *podnetworks.Clients, cluster *cluster.Cluster, options Options, log *slog.Logger, out io.Writer,
) (*Controller, error) {
	delay, err := time.ParseDuration(setupDelay)
	if err != nil {
		return nil, fmt.Errorf("delay of events: %w", err)
	}
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](retryMin, retryMax)
	c := &Controller{
		options:   options,
		client:    client,
		networks:  networks,
		cluster:   cluster,
		log:       log,
		out:       out,
		queue:     workqueue.NewTypedRateLimitingQueue(limiter),
		conflicts: &conflicts{byName: map[cache.ObjectName]*conflict{}},
		failures:  &logOnce{log: log, byTopic: map[string]loggedFailure{}},
		writes:    newWrites(),
		watch:     cluster.Run,
		scan:      &endpointScan{due: make(chan struct{}, 1), delay: delay, next: scanInterval},
		drains:    drains{byService: map[cache.ObjectName]drain{}},
	}
	c.follow(cluster.Services(metav1.NamespaceAll))
	cluster.LogShared(lineLog{log, slog.LevelInfo, slog.LevelWarn, ""})
	cluster.Remind, cluster.Consequence = reminder, "no status is written"
	return c, nil
}

// follow has the Services of a store synced.
func (c *Controller) follow(all *cluster.Services) {
	store := informer.Derive(all, c.transform)
	store.Subscribe(func(old, new *service) {
		if c.recorder != nil {
			c.scan.changed(old, new)
		}
		c.queue.Add(cmp.Or(new, old).name)
	})
	c.services = append(c.services, store)
}

// Run works until ctx ends, which is no error, or until the address for health cannot be served. An API server that is
// absent, or that denies access, is retried. A Controller runs once.
func (c *Controller) Run(ctx context.Context) error {
	defer c.queue.ShutDown()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	var failure error
	if c.options.Health != "" {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.options.Health)
		if err != nil {
			return fmt.Errorf("serve health and metrics: %w; choose another -health address", err)
		}
		running.Go(func() {
			if failure = c.serve(ctx, listener); failure != nil {
				stop()
			}
		})
	}
	c.log.Info("minilb controller started", "version", c.options.Version, "revision", c.options.Revision, "domain", c.options.Domain,
		"class", c.options.Class, "default-class", c.options.DefaultClass)

	running.Go(func() { c.watch(ctx) })
	running.Go(func() { c.resync(ctx) })
	running.Go(func() { c.printRoutes(ctx) })
	if c.options.Namespace != "" {
		running.Go(func() { c.logServers(ctx) })
	}
	if c.recorder != nil {
		running.Go(func() { c.recorder.Run(ctx) })
		running.Go(func() { c.scanEndpoints(ctx) })
		for i, results := range c.results {
			running.Go(func() { c.recordClaims(ctx, fmt.Sprintf("claims %d", i), results) })
		}
	}
	for range workers {
		running.Go(func() { c.work(ctx) })
	}

	<-ctx.Done()
	c.queue.ShutDown() // which ends the workers
	running.Wait()
	c.log.Info("minilb controller stopped")
	return failure
}

func (c *Controller) resync(ctx context.Context) {
	for c.options.Resync > 0 && sleep(ctx, c.options.Resync) {
		c.log.Debug("resync of all Services")
		c.enqueueAll()
	}
}

func (c *Controller) enqueueAll() {
	for _, s := range c.services.list() {
		c.queue.Add(s.name)
	}
}

// work syncs Services until the queue is shut down.
func (c *Controller) work(ctx context.Context) {
	for {
		name, shutdown := c.queue.Get()
		if shutdown {
			return
		}
		switch err := c.sync(ctx, name); {
		case err == nil:
			c.queue.Forget(name)
			c.failures.clear(topic(name))
		case ctx.Err() == nil:
			c.reportWrite(name, err)
			c.queue.AddRateLimited(name)
		}
		c.queue.Done(name)
	}
}

// sync makes the status of one Service what it should be.
func (c *Controller) sync(ctx context.Context, name cache.ObjectName) error {
	s := c.services.get(name)
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
	err := wait.PollUntilContextCancel(ctx, idlePoll, true, func(context.Context) (bool, error) {
		return c.services.known() && c.queue.Len() == 0, nil
	})
	return err == nil && ctx.Err() == nil
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
