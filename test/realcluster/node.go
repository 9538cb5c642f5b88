//go:build linux

package realcluster

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/daemon"
	"github.com/minilb/minilb/test/netns"
)

const (
	// joinTimeout bounds the time from a node's start until it is Ready.
	joinTimeout = 3 * time.Minute

	// pauseImage is the sandbox of pods; PodImage is it, too.
	pauseImage = PodImage
)

// Node is one machine of the cluster.
type Node struct {
	*netns.Namespace
	Name     string
	Host     Host
	PodCIDRs []netip.Prefix

	lab  *Lab
	dir  string // what outlives its being switched off
	init *daemon.Daemon
}

//go:embed boot.sh
var boot string

//go:embed containerd.toml
var containerdConfig string

//go:embed kubelet.yaml
var kubeletConfig string

//go:embed kube-proxy.yaml
var kubeProxyConfig string

//go:embed flannel.conflist
var flannelList string

//go:embed net-conf.json
var flannelConfig string

// newNode wires a node and writes its configuration.
func (l *Lab) newNode(name string, host Host) (*Node, error) {
	n := &Node{Name: name, Host: host, lab: l, dir: filepath.Join(l.dir, name)}
	var err error
	// Packets between pods of a node pass a bridge; kube-proxy must see them.
	n.Namespace, err = l.lan.Attach(name, host, "net/ipv4/ip_forward=1", "net/ipv6/conf/all/forwarding=1",
		"net/ipv4/conf/all/send_redirects=0", "net/ipv4/conf/default/send_redirects=0")
	if err != nil {
		return nil, err
	}
	if err := l.lan.RouteToRouter(n.Namespace); err != nil {
		return nil, err
	}
	registry := l.Registry()
	for _, dir := range []string{"lib", "log", "cni", filepath.Join("registries", registry)} {
		if err := os.MkdirAll(filepath.Join(n.dir, dir), 0o755); err != nil {
			return nil, err
		}
	}
	var addresses []string
	for _, addr := range l.addresses(host) {
		addresses = append(addresses, addr.String())
	}
	values := map[string]any{
		"Dir": n.dir, "Name": name, "Addresses": strings.Join(addresses, ","), "Kubeconfig": l.kubelets, "Flannel": l.options.Flannel,
		"Runc": l.binaries["runc"], "CNI": []string{filepath.Dir(l.binaries["bridge"])}, "Path": l.search(), "Pause": pauseImage,
		"Cgroup": filepath.Base(l.dir), "PodCIDRs": l.ranges(cluster.PodCIDRs), "PodNetworks": strings.Split(l.ranges(cluster.PodCIDRs), ","),
		"Images": strings.Join(l.options.Images, " "), "Router": l.addresses(routerHost)[0],
	}
	files := map[string]string{
		"boot.sh": boot, "containerd.toml": containerdConfig, "kubelet.yaml": kubeletConfig, "kube-proxy.yaml": kubeProxyConfig,
		"resolv.conf": "nameserver {{.Router}}\n", filepath.Join("registries", registry, "hosts.toml"): "server = \"http://" + registry + "\"\n",
	}
	if l.options.Flannel {
		values["CNI"] = []string{filepath.Dir(l.binaries["bridge"]), filepath.Dir(l.binaries["flannel"])}
		files["cni/10-flannel.conflist"], files["net-conf.json"] = flannelList, flannelConfig
	}
	for file, text := range files {
		var out bytes.Buffer
		if err := template.Must(template.New(file).Parse(text)).Execute(&out, values); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(n.dir, file), out.Bytes(), 0o644); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// PowerOn starts the node's programs, and returns before they have.
func (n *Node) PowerOn() error {
	n.init = &daemon.Daemon{
		Name: n.Name, Log: filepath.Join(n.dir, "boot.log"), StopSignal: syscall.SIGKILL,
		Path: "nsenter", Args: []string{
			"--net=/run/netns/" + n.Namespace.Name, "unshare", "--fork", "--pid", "--mount", "--kill-child", "/bin/sh", filepath.Join(n.dir, "boot.sh"),
		},
	}
	path, err := exec.LookPath(n.init.Path)
	if err != nil {
		return err
	}
	n.init.Path = path
	return n.lab.spawner.Start(n.init, n.lab.died)
}

// PowerOff ends all processes of the node at once, with its pods, as a power cut does. Its interfaces keep their
// addresses; Cut takes its cable out.
func (n *Node) PowerOff() { n.init.Stop() }

// Cut takes the node's cable out of the switch, or puts it in again.
func (n *Node) Cut(out bool) error {
	state := "up"
	if out {
		state = "down"
	}
	return n.lab.lan.Switch.IP(fmt.Sprintf("link set %s %s", n.Name, state))
}

// Signal sends a signal to one of the node's programs: containerd, kubelet, kube-proxy or flanneld. One that ends is started again.
func (n *Node) Signal(ctx context.Context, program, signal string) error {
	_, err := n.Run(ctx, "kill", "-"+signal, fmt.Sprintf("$(cat /run/%s.pid)", program))
	return err
}

// EditKubelet replaces what is once in the kubelet's configuration, and starts it again.
func (n *Node) EditKubelet(ctx context.Context, old, replacement string) error {
	path := filepath.Join(n.dir, "kubelet.yaml")
	config, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if count := strings.Count(string(config), old); count != 1 {
		return fmt.Errorf("%q is in the kubelet's configuration %d times", old, count)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(config), old, replacement, 1)), 0o644); err != nil {
		return err
	}
	return n.Signal(ctx, "kubelet", "KILL")
}

// Run runs a line of the shell's in the node's namespaces and returns what it prints.
func (n *Node) Run(ctx context.Context, line ...string) (string, error) {
	init, err := n.initPID()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "nsenter", "--target", init, "--mount", "--pid", "--net", "/bin/sh", "-c", strings.Join(line, " "))
	cmd.Env = append(os.Environ(), "PATH="+n.lab.search())
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("on %s: %s: %w: %s", n.Name, strings.Join(line, " "), err, out)
	}
	return string(out), nil
}

// Import gives the node an image.
func (n *Node) Import(ctx context.Context, archive string) error {
	_, err := n.Run(ctx, "ctr -n k8s.io images import --local", archive)
	return err
}

// initPID returns the process id, here, of the node's first process.
func (n *Node) initPID() (string, error) {
	unshare := n.init.PID()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", unshare, unshare))
	if err != nil {
		return "", fmt.Errorf("find the first process of %s: %w", n.Name, err)
	}
	fields := strings.Fields(string(children))
	if len(fields) != 1 {
		return "", fmt.Errorf("%s has no first process: %q", n.Name, children)
	}
	return fields[0], nil
}

// join waits until the node has podCIDRs, gives them to its CNI, and waits until it is Ready.
func (n *Node) join(ctx context.Context) error {
	nodes := n.lab.Cluster.Client.CoreV1().Nodes()
	err := cluster.Wait(ctx, joinTimeout, func() error {
		if err := context.Cause(n.lab.dead); err != nil {
			return err
		}
		node, err := nodes.Get(ctx, n.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if n.PodCIDRs == nil && len(node.Spec.PodCIDRs) > 0 {
			for _, text := range node.Spec.PodCIDRs {
				cidr, err := netip.ParsePrefix(text)
				if err != nil {
					return err
				}
				n.PodCIDRs = append(n.PodCIDRs, cidr)
			}
			if err := n.ConfigureCNI(true); err != nil {
				return err
			}
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return errors.New("the node is not Ready")
	})
	if err != nil {
		return fmt.Errorf("%s: %w; the end of its logs:\n%s", n.Name, err, n.tails())
	}
	return nil
}

// ConfigureCNI writes the list of plugins: a bridge with addresses of the podCIDRs, and portmap for hostPorts unless
// they are to have no effect. New pods get them. Flannel's is there already, and flanneld tells its plugin the podCIDRs.
func (n *Node) ConfigureCNI(hostPorts bool) error {
	if n.lab.options.Flannel {
		return nil
	}
	return n.writePlugins("cni0", n.PodCIDRs, hostPorts)
}

// ConfigureBlock has new pods get addresses of another network than the podCIDRs, on a bridge of its own, until ConfigureCNI.
func (n *Node) ConfigureBlock(block netip.Prefix) error {
	return n.writePlugins("block0", []netip.Prefix{block}, true)
}

func (n *Node) writePlugins(bridge string, networks []netip.Prefix, hostPorts bool) error {
	type entry map[string]any
	var ranges [][]entry
	var routes []entry
	for _, cidr := range networks {
		ranges = append(ranges, []entry{{"subnet": cidr.String()}})
		if cidr.Addr().Is4() {
			routes = append(routes, entry{"dst": "0.0.0.0/0"})
		} else {
			routes = append(routes, entry{"dst": "::/0"})
		}
	}
	plugins := []entry{{"type": "bridge", "bridge": bridge, "isGateway": true, "ipMasq": false, "hairpinMode": true,
		"ipam": entry{"type": "host-local", "dataDir": "/var/lib/cni", "ranges": ranges, "routes": routes}}}
	if hostPorts {
		plugins = append(plugins, entry{"type": "portmap", "capabilities": entry{"portMappings": true}, "snat": true, "backend": "nftables"})
	}
	list, err := json.Marshal(entry{"cniVersion": "1.0.0", "name": "pods", "plugins": plugins})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(n.dir, "cni", "10-pods.conflist"), list, 0o644)
}

// address is the node's of an address's family.
func (n *Node) address(like netip.Addr) netip.Addr {
	if like.Is4() {
		return n.Host.V4
	}
	return n.Host.V6
}

// tails returns the ends of the logs of the node's programs.
func (n *Node) tails() string {
	var b strings.Builder
	logs, _ := filepath.Glob(filepath.Join(n.dir, "*.log"))
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			text = []byte(err.Error())
		}
		fmt.Fprintf(&b, "%s:\n%s\n", filepath.Base(log), text[max(0, len(text)-3000):])
	}
	return b.String()
}

// PodLog returns what a pod's containers have written, as the kubelet of its node keeps it.
func (l *Lab) PodLog(pod *corev1.Pod) string {
	var b strings.Builder
	for _, n := range l.Nodes {
		if n.Name != pod.Spec.NodeName {
			continue
		}
		files, _ := filepath.Glob(filepath.Join(n.dir, "log/pods", fmt.Sprintf("%s_%s_%s", pod.Namespace, pod.Name, pod.UID), "*", "*.log"))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				text = []byte(err.Error())
			}
			b.Write(text)
		}
	}
	return b.String()
}
