package main

import (
	"path/filepath"
	"strings"
)

// suggestions are for the reader to copy, group by group. All of them, in this order, work too.
const suggestions = `
Things to try in another terminal (Ctrl-C here ends everything):

  export KUBECONFIG=KUBECONFIG_PATH PATH="$PATH:BINARIES"
  kubectl get services,pods,endpointslices -A
  dig @127.0.0.1 -p PORT mqtt.sko.ai

  # Give a Service another host. The old ones are the upstream's then.
  kubectl -n automation annotate service mosquitto --overwrite \
    minilb/host=broker.sko.ai
  dig @127.0.0.1 -p PORT +short broker.sko.ai

  # Make another Service of pods that exist. It has its name at once.
  kubectl -n haproxy expose pod kubernetes-ingress-0 --name=web --port=80 \
    --type=LoadBalancer --overrides='{"spec":{"loadBalancerClass":"minilb"}}'
  kubectl -n haproxy get service web
  dig @127.0.0.1 -p PORT +short web.haproxy.minilb

  # Make the third pod ready, in the place of its kubelet.
  kubectl -n automation patch pod mosquitto-2 --subresource=status \
    -p '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}'
  dig @127.0.0.1 -p PORT +short mosquitto.automation.minilb

  # Delete a pod. It leaves the answers while it terminates.
  kubectl -n automation delete pod mosquitto-0 --wait=false
  dig @127.0.0.1 -p PORT +short mosquitto.automation.minilb

  # Delete an Ingress. Its hosts are the upstream's then.
  kubectl -n apps delete ingress home
  dig @127.0.0.1 -p PORT +short photos.sko.ai

  # Give a route another host.
  kubectl -n apps patch httproute books --type=merge \
    -p '{"spec":{"hostnames":["library.lan.sko.ai"]}}'
  dig @127.0.0.1 -p PORT +short library.lan.sko.ai

  # Have minilb ignore a Service. NXDOMAIN.
  kubectl -n media label service radio minilb/ignore=true
  dig @127.0.0.1 -p PORT radio.media.minilb

  # Why does a name answer what it answers? And what is wrong with any of them?
  minilb explain -corefile COREFILE_PATH radio.media.minilb photos.sko.ai
  minilb check -corefile COREFILE_PATH -server 127.0.0.1:PORT || echo found
  kubectl -n haproxy describe service web

  # Edit the Corefile. It counts three seconds later: look at the TTL.
  sed -i.bak 's/ttl 5/ttl 30/' COREFILE_PATH
  sleep 4
  dig @127.0.0.1 -p PORT +noall +answer mosquitto.automation.minilb

  # Look at the metrics.
  curl -s http://METRICS/metrics | grep ^coredns_minilb_requests
`

// suggest prints what to do while we wait.
func (p *playground) suggest() {
	_, _ = strings.NewReplacer(
		"KUBECONFIG_PATH", p.cluster.Kubeconfig,
		"COREFILE_PATH", p.corefile,
		"BINARIES", filepath.Dir(p.minilb),
		"PORT", p.ports.dnsPort(),
		"METRICS", p.ports.metrics,
	).WriteString(p.out, suggestions)
}
