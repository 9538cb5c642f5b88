// Package cluster runs a real Kubernetes control plane for tests and for the
// playground: etcd, kube-apiserver and kube-controller-manager as child
// processes on loopback ports, with their data in a directory of their own.
// Nodes and Pods have no kubelet behind them; the caller writes their status,
// and the real controllers make podCIDRs and EndpointSlices of it.
//
// Tests and test/playground import it, and it imports only test/daemon of ours.
// The three binaries are built from the module in test/controlplane, once, and
// kept in the user's cache directory.
package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/minilb/minilb/test/daemon"
)

const (
	// startTimeout bounds one attempt to start. A quiet machine needs a few
	// seconds; this is for one that runs every test package at once.
	startTimeout = 2 * time.Minute

	// startAttempts is how often Start tries anew with other ports when
	// somebody took one between our look and the bind.
	startAttempts = 4
)

// Options says how a Cluster differs from the default one. The zero value is
// what most tests want.
type Options struct {
	// Audit makes the API server write one line for every request it has
	// answered; see Cluster.AuditLog and Cluster.Requests.
	Audit bool

	// TrustOf is another Cluster whose authority and keys this one shall have,
	// so that the kubeconfigs of the one are good for the other. The token of a
	// ServiceAccount is not, as that has another uid here.
	TrustOf *Cluster

	// NodeLifecycle runs the controllers that watch over nodes: a node whose
	// Ready condition is not renewed (see Cluster.SetNodeReady) becomes
	// Unknown, its pods become unready and are evicted, and pods of a deleted
	// node are deleted. Without it a node stays as the test wrote it.
	// How soon is for ControllerManagerFlags, for example
	// --node-monitor-grace-period=10s, and for APIServerFlags,
	// --default-unreachable-toleration-seconds=5.
	NodeLifecycle bool

	// RealNodes is for Nodes that have a kubelet: pods get ServiceAccounts' tokens and new nodes their
	// taints, and the controllers run that drains and ended pods take. It implies NodeLifecycle.
	RealNodes bool

	// APIServerFlags are appended to kube-apiserver's. A flag that takes one
	// value overrides ours; one that takes a list adds to it.
	APIServerFlags []string

	// ControllerManagerFlags are appended to kube-controller-manager's, likewise.
	ControllerManagerFlags []string
}

// Cluster is a running control plane. Its methods may be called concurrently,
// those that stop or start something apart.
type Cluster struct {
	// Config reaches the API server as a member of system:masters, without
	// client-side throttling. Copy it before changing it.
	Config *rest.Config

	// Client and Dynamic are clients made from Config.
	Client  kubernetes.Interface
	Dynamic dynamic.Interface

	// Kubeconfig is the path of a file with the same rights as Config.
	Kubeconfig string

	// URL is the API server's, https://127.0.0.1:port.
	URL string

	// Dir holds everything the cluster writes: data, credentials and the
	// components' logs (etcd.log, kube-apiserver.log,
	// kube-controller-manager.log). Stop removes it; so does a janitor if this
	// process dies before it could stop.
	Dir string

	// AuditLog is the path of the audit log, JSON lines of audit.k8s.io/v1
	// Events; empty without Options.Audit.
	AuditLog string

	options  Options
	binaries Binaries
	ports    ports
	pki      *pki
	http     *http.Client // behind Client and Dynamic
	probe    *http.Client // asks the components for their health
	mapper   *restmapper.DeferredDiscoveryRESTMapper

	spawner *daemon.Spawner
	janitor *daemon.Janitor

	etcd, apiServer, controllerManager *process

	stop    sync.Once
	stopErr error
}

// ports are the loopback TCP ports of one control plane.
type ports struct {
	etcd, etcdPeer, apiServer, controllerManager int
}

// New starts a Cluster for a test, or a benchmark, and stops it when that ends.
// A cluster that cannot start, or of which a component died by itself, fails
// the test.
func New(t testing.TB, options Options) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), options)
	if err != nil {
		t.Fatalf("start the control plane: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("stop the control plane: %v", err)
		}
	})
	return c
}

// Start starts a control plane and returns when it is ready: the API server
// serves, its bootstrap roles and the default namespace exist, and the
// controllers run. ctx bounds the start, not the life of the Cluster, which
// lasts until Stop. The first call on a machine builds the binaries, which
// takes minutes and is reported on standard error.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	binaries, err := findBinaries(ctx, controlPlaneComponents)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		c, err := start(ctx, binaries, options)
		if err == nil {
			return c, nil
		}
		if attempt == startAttempts || !errors.Is(err, errPortTaken) {
			return nil, err
		}
	}
}

// sweep removes the directory that is its argument, until it stays away: a
// component that is being killed at the same time may still write there.
const sweep = `
while [ -e "$1" ]; do
	rm -rf -- "$1"
	sleep 0.1
done
`

func start(ctx context.Context, binaries Binaries, options Options) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()

	dir, err := os.MkdirTemp("", "minilb-cluster-")
	if err != nil {
		return nil, fmt.Errorf("create the cluster's directory: %w", err)
	}
	janitor, err := daemon.StartJanitor(sweep, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	c := &Cluster{
		Dir:      dir,
		options:  options,
		binaries: binaries,
		spawner:  daemon.NewSpawner(),
		janitor:  janitor,
	}
	if err := c.start(ctx); err != nil {
		// What Stop may find wrong follows from err, which says more.
		_ = c.Stop()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	free, err := FreePorts(4)
	if err != nil {
		return err
	}
	c.ports = ports{etcd: free[0], etcdPeer: free[1], apiServer: free[2], controllerManager: free[3]}
	c.URL = "https://" + loopback(c.ports.apiServer)
	c.Kubeconfig = filepath.Join(c.Dir, "admin.kubeconfig")
	if other := c.options.TrustOf; other != nil {
		c.pki, err = other.pki.copyTo(c.Dir)
	} else {
		c.pki, err = newPKI(c.Dir)
	}
	if err != nil {
		return err
	}
	if err := c.configure(); err != nil {
		return err
	}
	if err := c.startEtcd(ctx); err != nil {
		return err
	}
	if err := c.startAPIServer(ctx); err != nil {
		return err
	}
	if err := c.startControllerManager(ctx); err != nil {
		return err
	}
	return c.waitBootstrapped(ctx)
}

// configure writes the kubeconfigs and makes the clients; neither needs a
// server that runs.
func (c *Cluster) configure() error {
	admin, err := c.pki.client("admin", "system:masters")
	if err != nil {
		return err
	}
	if err := c.writeKubeconfig(c.Kubeconfig, admin.authInfo()); err != nil {
		return err
	}
	c.Config = &rest.Config{
		Host: c.URL,
		TLSClientConfig: rest.TLSClientConfig{
			CAData:   c.pki.ca.certPEM,
			CertData: admin.certPEM,
			KeyData:  admin.keyPEM,
		},
		QPS:            -1,
		WarningHandler: rest.NoWarnings{},
	}
	if c.http, err = rest.HTTPClientFor(c.Config); err != nil {
		return fmt.Errorf("make an HTTP client: %w", err)
	}
	client, err := kubernetes.NewForConfigAndClient(c.Config, c.http)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	c.Client = client
	if c.Dynamic, err = dynamic.NewForConfigAndClient(c.Config, c.http); err != nil {
		return fmt.Errorf("make a dynamic client: %w", err)
	}
	c.mapper = newMapper(client.Discovery())

	pair, err := tls.X509KeyPair(admin.certPEM, admin.keyPEM)
	if err != nil {
		return fmt.Errorf("load the admin's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.pki.ca.certPEM)
	c.probe = &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}},
			DisableKeepAlives: true,
		},
	}
	return nil
}

// Stop ends the components and removes Dir. It reports a component that had
// already ended by itself. Only the first call does anything; the others
// return what it returned.
func (c *Cluster) Stop() error {
	c.stop.Do(func() { c.stopErr = c.shutdown() })
	return c.stopErr
}

func (c *Cluster) shutdown() error {
	var errs []error
	// The data goes with the cluster, so that nobody needs time to end in order.
	for _, p := range []*process{c.controllerManager, c.apiServer, c.etcd} {
		if p != nil {
			errs = append(errs, p.stop(0))
		}
	}
	c.spawner.Stop()
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
	err := os.RemoveAll(c.Dir)
	if err == nil {
		err = c.janitor.Stop()
	}
	return errors.Join(append(errs, err)...)
}

// StopAPIServer ends kube-apiserver at once, as a crash would: every connection
// to it breaks and its port refuses new ones. etcd and its data stay.
func (c *Cluster) StopAPIServer() error {
	return c.apiServer.stop(0)
}

// StartAPIServer starts kube-apiserver again after StopAPIServer, at the same
// URL and with the same data, and returns when it is ready. The controllers
// come back with their clients' backoff, which is the longer the longer the
// outage was, up to half a minute.
func (c *Cluster) StartAPIServer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return c.startAPIServer(ctx)
}
