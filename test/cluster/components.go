package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The address ranges of every Cluster: of Services, and of the Nodes' podCIDRs.
const (
	ServiceCIDRs = "10.96.0.0/16,fd00:96::/112"
	PodCIDRs     = "10.244.0.0/16,fd00:10:244::/56"
)

// PublicAddress is what the API server publishes as the endpoint of the Service
// "kubernetes". Its own loopback address is not allowed there, and a machine
// without a default route has no other; this one is for documentation (RFC 5737).
const PublicAddress = "192.0.2.1"

// idleControllers are the ones we do without: they need a cloud, a kubelet or
// storage, or act on the clock.
var idleControllers = []string{
	"bootstrap-signer-controller",
	"certificatesigningrequest-approving-controller",
	"certificatesigningrequest-cleaner-controller",
	"certificatesigningrequest-signing-controller",
	"cronjob-controller",
	"device-taint-eviction-controller",
	"disruption-controller",
	"ephemeral-volume-controller",
	"horizontal-pod-autoscaler-controller",
	"kube-apiserver-serving-clustertrustbundle-publisher-controller",
	"legacy-serviceaccount-token-cleaner-controller",
	"persistentvolume-attach-detach-controller",
	"persistentvolume-binder-controller",
	"persistentvolume-expander-controller",
	"persistentvolume-protection-controller",
	"persistentvolumeclaim-protection-controller",
	"podcertificaterequest-cleaner-controller",
	"podgroup-protection-controller",
	"replicationcontroller-controller",
	"resourceclaim-controller",
	"resourcepoolstatusrequest-controller",
	"resourcequota-controller",
	"selinux-warning-controller",
	"storage-version-migrator-controller",
	"storageversion-garbage-collector-controller",
	"token-cleaner-controller",
	"ttl-after-finished-controller",
	"ttl-controller",
	"volumeattributesclass-protection-controller",
}

// realNodeControllers are those of idleControllers that run with Options.RealNodes.
var realNodeControllers = []string{"disruption-controller", "ttl-after-finished-controller"}

// lifecycleControllers act on nodes and on their pods by themselves; they run
// with Options.NodeLifecycle alone.
var lifecycleControllers = []string{
	"node-lifecycle-controller",
	"pod-garbage-collector-controller",
	"taint-eviction-controller",
}

func (c *Cluster) startEtcd(ctx context.Context) error {
	client := "https://" + loopback(c.ports.etcd)
	var err error
	c.etcd, err = c.spawn(etcd, c.binaries[etcd], []string{
		"--data-dir=" + c.etcdData(),
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=http://" + loopback(c.ports.etcdPeer),
		// TLS, so that an API server can never mistake another cluster's etcd,
		// which was quicker to take the port, for its own.
		"--client-cert-auth",
		"--trusted-ca-file=" + c.pki.path(caFile),
		"--cert-file=" + c.pki.path(servingCertFile),
		"--key-file=" + c.pki.path(servingKeyFile),
		// The data need not outlive a power cut, and a single member need not
		// wait for the votes of others.
		"--unsafe-no-fsync",
		// Shorter intervals cost CPU all the time (20 ms: 1.4 % of one, 50 ms: 1.1 %), longer
		// ones (100 ms: 0.8 %) a fifth of a second at each start, which waits for an election.
		"--heartbeat-interval=50",
		"--election-timeout=250",
		"--log-level=warn",
	})
	if err != nil {
		return err
	}
	return c.etcd.waitReady(ctx, c.healthy(client+"/readyz"))
}

func (c *Cluster) startAPIServer(ctx context.Context) error {
	// One that does no harm: the flag takes no empty list.
	disabled := []string{"AlwaysPullImages"}
	if !c.options.RealNodes {
		// Pods can then be created before the default ServiceAccount is, and
		// carry no token volume that nobody would mount.
		disabled = append(disabled, "ServiceAccount")
	}
	if !c.options.NodeLifecycle && !c.options.RealNodes {
		// Nobody would take its taint off a new node again.
		disabled = append(disabled, "TaintNodesByCondition")
	}
	flags := []string{
		"--etcd-servers=https://" + loopback(c.ports.etcd),
		"--etcd-cafile=" + c.pki.path(caFile),
		"--etcd-certfile=" + c.pki.path(etcdClientCertFile),
		"--etcd-keyfile=" + c.pki.path(etcdClientKeyFile),
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(c.ports.apiServer),
		"--advertise-address=" + PublicAddress,
		"--client-ca-file=" + c.pki.path(caFile),
		"--tls-cert-file=" + c.pki.path(servingCertFile),
		"--tls-private-key-file=" + c.pki.path(servingKeyFile),
		"--authorization-mode=RBAC",
		"--service-cluster-ip-range=" + ServiceCIDRs,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.pki.path(tokenKeyFile),
		"--service-account-signing-key-file=" + c.pki.path(tokenKeyFile),
		"--disable-admission-plugins=" + strings.Join(disabled, ","),
		"--allow-privileged",
		"--profiling=false",
	}
	if c.options.Audit {
		audit, err := c.auditFlags()
		if err != nil {
			return err
		}
		flags = append(flags, audit...)
	}
	var err error
	c.apiServer, err = c.spawn(kubeAPIServer, c.binaries[kubeAPIServer], append(flags, c.options.APIServerFlags...))
	if err != nil {
		return err
	}
	return c.apiServer.waitReady(ctx, c.healthy(c.URL+"/readyz"))
}

func (c *Cluster) startControllerManager(ctx context.Context) error {
	client, err := c.pki.client("system:kube-controller-manager", "")
	if err != nil {
		return err
	}
	kubeconfig := filepath.Join(c.Dir, "controller-manager.kubeconfig")
	if err := c.writeKubeconfig(kubeconfig, client.authInfo()); err != nil {
		return err
	}
	idle := idleControllers
	switch {
	case c.options.RealNodes:
		idle = slices.DeleteFunc(slices.Clone(idle), func(name string) bool { return slices.Contains(realNodeControllers, name) })
	case !c.options.NodeLifecycle:
		idle = slices.Concat(idle, lifecycleControllers)
	}
	controllers := "*,-" + strings.Join(idle, ",-")
	flags := []string{
		"--kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(c.ports.controllerManager),
		"--tls-cert-file=" + c.pki.path(servingCertFile),
		"--tls-private-key-file=" + c.pki.path(servingKeyFile),
		"--root-ca-file=" + c.pki.path(caFile),
		"--service-account-private-key-file=" + c.pki.path(tokenKeyFile),
		"--use-service-account-credentials",
		"--leader-elect=false",
		"--profiling=false",
		"--controllers=" + controllers,
		"--allocate-node-cidrs",
		"--cluster-cidr=" + PodCIDRs,
		"--node-cidr-mask-size-ipv4=24",
		"--node-cidr-mask-size-ipv6=64",
		"--service-cluster-ip-range=" + ServiceCIDRs,
		"--node-monitor-period=1s",
		// A test waits for what these controllers do.
		"--kube-api-qps=1000",
		"--kube-api-burst=1000",
		"--min-resync-period=1h",
		"--concurrent-endpoint-syncs=20",
		"--concurrent-service-endpoint-syncs=50",
		"--mirroring-concurrent-service-endpoint-syncs=20",
		"--endpoint-updates-batch-period=0",
		"--endpointslice-updates-batch-period=0",
		"--mirroring-endpointslice-updates-batch-period=0",
	}
	c.controllerManager, err = c.spawn(kubeControllerManager, c.binaries[kubeControllerManager],
		append(flags, c.options.ControllerManagerFlags...))
	if err != nil {
		return err
	}
	health := "https://" + loopback(c.ports.controllerManager) + "/healthz"
	return c.controllerManager.waitReady(ctx, c.healthy(health))
}

// waitBootstrapped waits for what the components make once they run. That the
// bootstrap roles exist is part of the API server's /readyz; the default
// ServiceAccount is the work of the controllers.
func (c *Cluster) waitBootstrapped(ctx context.Context) error {
	return c.controllerManager.waitReady(ctx, func(ctx context.Context) error {
		if _, err := c.Client.CoreV1().Services("default").Get(ctx, "kubernetes", metav1.GetOptions{}); err != nil {
			return fmt.Errorf("get the service of the API server: %w", err)
		}
		if _, err := c.Client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return fmt.Errorf("get the default serviceaccount: %w", err)
		}
		return nil
	})
}
