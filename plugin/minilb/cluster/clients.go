package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	discoveryv1client "k8s.io/client-go/kubernetes/typed/discovery/v1"
	networkingv1client "k8s.io/client-go/kubernetes/typed/networking/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"

	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// Clients are the clients of one API server.
type Clients struct {
	Host       string // as configured
	Core       corev1client.CoreV1Interface
	Discovery  discoveryv1client.DiscoveryV1Interface
	Networking networkingv1client.NetworkingV1Interface
	Dynamic    dynamic.Interface
	// Served returns what is served of the Gateway API.
	Served func(context.Context) (informer.Served, error)

	interval time.Duration        // of discovery
	dialer   *connrotation.Dialer // nil without connections
	answered atomic.Bool
}

// NewClients returns the Clients of the API server that config names. Nothing is dialled.
func NewClients(config *rest.Config) (*Clients, error) {
	interval, err := time.ParseDuration(discoveryInterval)
	if err != nil {
		return nil, fmt.Errorf("discovery interval: %w", err)
	}
	config = rest.CopyConfig(config)
	if config.Dial == nil {
		config.Dial = new(net.Dialer).DialContext
	}
	c := &Clients{Host: config.Host, interval: interval, dialer: connrotation.NewDialer(config.Dial)}
	config.Dial = c.dialer.DialContext
	config.Wrap(func(transport http.RoundTripper) http.RoundTripper { return traced{transport, c} })
	client, err := rest.HTTPClientFor(config)
	if err == nil {
		c.Core, err = corev1client.NewForConfigAndClient(config, client)
	}
	if err == nil {
		c.Discovery, err = discoveryv1client.NewForConfigAndClient(config, client)
	}
	if err == nil {
		c.Networking, err = networkingv1client.NewForConfigAndClient(config, client)
	}
	if err == nil {
		c.Dynamic, err = dynamic.NewForConfigAndClient(dynamic.ConfigFor(config), client)
	}
	if err != nil {
		return nil, fmt.Errorf("configure the client: %w", err)
	}
	c.Served = func(ctx context.Context) (informer.Served, error) {
		return informer.Discover(ctx, c.Core.RESTClient(), object.GatewayGroup, object.GatewayXGroup)
	}
	return c, nil
}

// traced records that the API server has answered. A connection is no answer: the kernel of a hanging server, or a proxy,
// accepts those as well.
type traced struct {
	http.RoundTripper
	clients *Clients
}

// RoundTrip implements the http.RoundTripper interface.
func (t traced) RoundTrip(request *http.Request) (*http.Response, error) {
	trace := &httptrace.ClientTrace{
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			if err == nil {
				t.clients.answered.Store(true)
			}
		},
		GotFirstResponseByte: func() { t.clients.answered.Store(true) },
	}
	return t.RoundTripper.RoundTrip(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
}

// WrappedRoundTripper implements the net.RoundTripperWrapper interface of apimachinery.
func (t traced) WrappedRoundTripper() http.RoundTripper { return t.RoundTripper }
