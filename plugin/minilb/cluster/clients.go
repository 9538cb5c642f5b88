package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	discoveryv1client "k8s.io/client-go/kubernetes/typed/discovery/v1"
	networkingv1client "k8s.io/client-go/kubernetes/typed/networking/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"

	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// Clients are those of one API server.
type Clients struct {
	Host       string // as it is configured
	Core       corev1client.CoreV1Interface
	Discovery  discoveryv1client.DiscoveryV1Interface
	Networking networkingv1client.NetworkingV1Interface
	Dynamic    dynamic.Interface
	// Served asks what there is of the Gateway API.
	Served func(context.Context) (informer.Served, error)

	dialer   *connrotation.Dialer // nil for clients that have no connections
	answered atomic.Bool
}

// NewClients returns those of the API server that config names. Nothing is dialled.
func NewClients(config *rest.Config) (*Clients, error) {
	config = rest.CopyConfig(config)
	if config.Dial == nil {
		config.Dial = new(net.Dialer).DialContext
	}
	c := &Clients{Host: config.Host, dialer: connrotation.NewDialer(config.Dial)}
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

// close ends the connections. Those of requests that were cancelled a moment ago are not idle yet, so that closing idle
// ones would leave them for a minute and a half with their goroutines.
func (c *Clients) close() {
	if c.dialer != nil {
		c.dialer.CloseAll()
	}
}

// traced notes when the API server has answered anything. A connection alone is no answer: the kernel of a server that
// hangs, or what stands in front of it, accepts those as well.
type traced struct {
	http.RoundTripper
	clients *Clients
}

// RoundTrip implements the http.RoundTripper interface.
func (t traced) RoundTrip(request *http.Request) (*http.Response, error) {
	if t.clients.answered.Load() {
		return t.RoundTripper.RoundTrip(request)
	}
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

// WrappedRoundTripper returns the one behind, as client-go's do.
func (t traced) WrappedRoundTripper() http.RoundTripper { return t.RoundTripper }
