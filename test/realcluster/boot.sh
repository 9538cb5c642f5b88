# The node's first process: what outlives its end is in Dir.
set -eu
PATH={{.Path}}
export PATH
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount --bind {{.Dir}}/lib /var/lib
mount --bind {{.Dir}}/log /var/log
mkdir -p /var/lib/kubelet /var/lib/containerd /var/lib/cni /run/containerd /run/netns

# A program that ends is started again, as systemd does.
start() {
	name=$1
	shift
	while :; do
		"$@" >>"{{.Dir}}/$name.log" 2>&1 </dev/null &
		echo $! >"/run/$name.pid"
		wait $! || :
		sleep 0.5
	done &
}

start containerd containerd -c {{.Dir}}/containerd.toml
until [ -S /run/containerd/containerd.sock ] && ctr -n k8s.io version >/dev/null 2>&1; do sleep 0.05; done
if [ ! -e {{.Dir}}/imported ]; then
	for image in {{.Images}}; do
		ctr -n k8s.io images import --local "$image" >/dev/null
	done
	touch {{.Dir}}/imported
fi
start kubelet kubelet --config {{.Dir}}/kubelet.yaml --kubeconfig {{.Kubeconfig}} --hostname-override {{.Name}} --node-ip {{.Addresses}}
start kube-proxy kube-proxy --config {{.Dir}}/kube-proxy.yaml
{{- if .Flannel}}
start flanneld env NODE_NAME={{.Name}} flanneld -kubeconfig-file {{.Kubeconfig}} -net-config-path {{.Dir}}/net-conf.json -iface lan
{{- end}}

# Processes without a parent are this one's, and waited for.
while :; do
	sleep 3600 &
	wait $!
done
