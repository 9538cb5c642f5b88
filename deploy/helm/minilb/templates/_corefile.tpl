{{/* Port of the container for DNS: the node's own, in the node's network. */}}
{{- define "minilb.port" -}}
{{- $dns := .Values.dns -}}
{{- ternary $dns.hostPort $dns.ports.dns (and $dns.hostNetwork (gt (int $dns.hostPort) 0)) | int -}}
{{- end -}}

{{/* The ports of the encrypted protocols that are on, as a map from protocol to what it takes. */}}
{{- define "minilb.encrypted" -}}
{{- $all := dict
  "dot" (dict "scheme" "tls" "port" 853 "containerPort" 1853 "protocol" "TCP")
  "doh" (dict "scheme" "https" "port" 443 "containerPort" 1443 "protocol" "TCP")
  "doq" (dict "scheme" "quic" "port" 853 "containerPort" 1853 "protocol" "UDP")
-}}
{{- $on := dict -}}
{{- if .Values.tls.secretName -}}
{{- range .Values.tls.protocols -}}
{{- $it := get $all . -}}
{{- if $.Values.dns.hostNetwork }}{{- $_ := set $it "containerPort" $it.port }}{{- end -}}
{{- $_ := set $on . $it -}}
{{- end -}}
{{- end -}}
{{- toJson $on -}}
{{- end -}}

{{- define "minilb.corefile" -}}
{{- $server := .Values.corefile -}}
{{- $plugin := .Values.plugin -}}
{{- $ports := .Values.dns.ports -}}
{{- $encrypted := include "minilb.encrypted" . | fromJson -}}
{{- if $server.override -}}
{{ trim $server.override }}
{{ else -}}
# Made by the chart of minilb. Its values corefile and plugin say what is in it.
{{ range $i, $zone := $server.zones -}}
{{ if $i }} {{ end }}{{ $zone }}:{{ include "minilb.port" $ }}
{{- range $encrypted }} {{ .scheme }}://{{ $zone }}:{{ .containerPort }}{{ end }}
{{- end }} {
    {{- if .Values.dns.hostNetwork }}
    # Others may have the port on other addresses of the node, as systemd-resolved has.
    bind {$NODE_IP}
    {{- end }}
    {{- if $encrypted }}
    tls /etc/minilb-tls/tls.crt /etc/minilb-tls/tls.key
    {{- end }}
    errors {
        # What a flood repeats is two lines a minute of each kind: the first one, and how many there were. The last
        # two are the upstreams, and all else: of several other errors in a minute only the first is shown.
        consolidate 1m "not synced with the API server yet" warning
        consolidate 1m "concurrent queries exceeded maximum" warning show_first
        consolidate 1m "^(dial|read|write) |EOF$|deadline exceeded|no healthy proxies|closed by peer" error show_first
        consolidate 1m ".*" error show_first
    }
    {{- if .Values.dns.hostNetwork }}
    # The kubelet asks on the node itself; Prometheus asks the node's address.
    {{- end }}
    health {{ if .Values.dns.hostNetwork }}127.0.0.1:{{ int $ports.health }} {{ else if ne (int $ports.health) 8080 }}:{{ int $ports.health }} {{ end }}{
        # It is not ready, and answers: kube-proxy leads clients to another server meanwhile.
        lameduck {{ $server.lameduck }}
    }
    ready{{ if .Values.dns.hostNetwork }} 127.0.0.1:{{ int $ports.ready }}{{ else if ne (int $ports.ready) 8181 }} :{{ int $ports.ready }}{{ end }}
    prometheus {{ if .Values.dns.hostNetwork }}[{$NODE_IP}]{{ end }}:{{ int $ports.metrics }}
    reload
    # What is answered from memory is to say, too, that this server recurses:
    # nslookup and others go on to the next server where it does not.
    header {
        response set ra
    }
    {{- with $server.extraConfig }}
    {{- trim . | nindent 4 }}
    {{- end }}
    {{- if eq (include "minilb.seesClients" .) "true" }}
    # Private networks may ask; others get REFUSED (EDE "Blocked"): an open resolver is used to attack others. If
    # clients, pods or nodes have other addresses, such as global ones of IPv6, or 100.64.0.0/10 as some clouds and
    # overlays use, allow their networks in an acl of corefile.extraConfig, which comes before this one.
    acl {
        allow net 127.0.0.0/8 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16
        allow net ::1 fc00::/7 fe80::/10
        block
    }
    {{- end }}
    # UDP answers fit into one packet; clients ask for larger ones again over TCP. The first bufsize counts.
    bufsize 1232

    minilb {{ join " " (prepend ($plugin.extraZones | default list) .Values.domain) }} {
        {{- if not $plugin.claims }}
        # Any namespace may claim any host. Where tenants do not trust each other,
        # set the value plugin.claims: it has who may claim what.
        # claim shop.example.org from shop
        {{- end }}
        {{- if contains "\nprobe " (include "minilb.properties" .) }}
        # Pods that accept no connections are left out, long before the cluster notices a dead node: the server is in the
        # cluster, so that it reaches all pods unless NetworkPolicies keep it from them. Its log says so then.
        {{- end }}
        {{- include "minilb.properties" . | nindent 8 }}
    }
    {{- with $server.forward }}

    # For the upstream alone: minilb stands before it and answers from memory.
    cache
    {{- if $server.loop }}
    # Ends the server if the upstream asks us again.
    loop
    {{- end }}
    {{- range . }}
    forward {{ .zone | default "." }} {{ join " " .to }}
    {{- $options := dict "max_concurrent" 1000 }}
    {{- range $name, $value := .options }}{{- $_ := set $options $name $value }}{{- end }} {
        {{- range $name, $value := $options }}
        {{- if kindIs "bool" $value }}
        {{- if $value }}
        {{ $name }}
        {{- end }}
        {{- else }}
        {{ $name }} {{ include "minilb.number" $value }}
        {{- end }}
        {{- end }}
    }
    {{- end }}
    {{- end }}
}
{{- with $server.extraBlocks }}

{{ trim . }}
{{- end }}
{{ end -}}
{{- end -}}

{{/* The lines of the plugin block, of the properties that are not the plugin's defaults. */}}
{{- define "minilb.properties" -}}
{{- $plugin := .Values.plugin -}}
{{- $lines := list -}}
{{- with $plugin.kubeconfig -}}
{{- if .path }}{{ $lines = append $lines (printf "kubeconfig %s %s" .path .context | trim) }}{{ end -}}
{{- end -}}
{{- if ne .Values.class "minilb" }}{{ $lines = append $lines (printf "class %s" .Values.class) }}{{ end -}}
{{- if .Values.defaultClass }}{{ $lines = append $lines "default_class" }}{{ end -}}
{{- range list "resources" "namespaces" "ingressClasses" "gatewayClasses" "hostAnnotations" "families" -}}
{{- $name := snakecase . -}}
{{- with get $plugin . }}{{ $lines = append $lines (printf "%s %s" $name (join " " .)) }}{{ end -}}
{{- end -}}
{{- if not (kindIs "invalid" $plugin.requireAccepted) }}{{ $lines = append $lines (printf "require_accepted %s" (ternary "on" "off" $plugin.requireAccepted)) }}{{ end -}}
{{- range $plugin.claims -}}
{{- $from := "" -}}
{{- with .from }}{{ $from = printf " from %s" (join " " .) }}{{ end -}}
{{- $lines = append $lines (printf "claim %s%s" (join " " .suffixes) $from) -}}
{{- end -}}
{{- with $plugin.addresses }}{{ $lines = append $lines (printf "addresses %s" (join " " .)) }}{{ end -}}
{{- with $plugin.excludeNodes }}{{ $lines = append $lines (printf "exclude_nodes %s" .) }}{{ end -}}
{{- if $plugin.affinity }}{{ $lines = append $lines "affinity" }}{{ end -}}
{{- range $plugin.near -}}
{{- $lines = append $lines (printf "near %s %s %s" (join " " .clients) (ternary "zone" "node" (hasKey . "zones")) (join " " (.zones | default .nodes))) -}}
{{- end -}}
{{- range list "ttl" "maxAnswers" -}}
{{- $value := index $plugin . -}}
{{- if not (kindIs "invalid" $value) }}{{ $lines = append $lines (printf "%s %d" (snakecase .) (int $value)) }}{{ end -}}
{{- end -}}
{{- $lines = append $lines (printf "ns %s" (join " " ($plugin.ns | default (list "{$NODE_IP}")))) -}}
{{- if $plugin.https }}{{ $lines = append $lines "https" }}{{ end -}}
{{- with get $plugin "probe" }}{{ if ne . "off" }}{{ $lines = append $lines (printf "probe %s" .) }}{{ end }}{{ end -}}
{{- with $plugin.startupTimeout }}{{ $lines = append $lines (printf "startup_timeout %s" .) }}{{ end -}}
{{- if $plugin.snapshot.enabled }}{{ $lines = append $lines (printf "snapshot %s" $plugin.snapshot.path) }}{{ end -}}
{{- with $plugin.fallthrough }}{{ $lines = append $lines (kindIs "bool" . | ternary "fallthrough" (printf "fallthrough %s" (join " " (kindIs "bool" . | ternary (list) .)))) }}{{ end -}}
{{- join "\n" $lines -}}
{{- end -}}
