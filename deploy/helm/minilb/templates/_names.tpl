{{/* The beginning of all names: the release's, with the chart's unless that is part of it. */}}
{{- define "minilb.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "minilb.dnsAccount" -}}
{{- $account := .Values.dns.serviceAccount -}}
{{- $account.name | default (ternary (printf "%s-dns" (include "minilb.fullname" .)) "default" $account.create) -}}
{{- end -}}

{{- define "minilb.controllerAccount" -}}
{{- $account := .Values.controller.serviceAccount -}}
{{- $account.name | default (ternary (printf "%s-controller" (include "minilb.fullname" .)) "default" $account.create) -}}
{{- end -}}

{{/* What selects the pods of a component, given as (list . "dns"). It never changes: a Deployment's selector cannot. */}}
{{- define "minilb.selector" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: {{ default $.Chart.Name $.Values.nameOverride }}
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of the pods of a component: those of its objects, but for the chart's version, which does not roll them. */}}
{{- define "minilb.podLabels" -}}
{{- $ := index . 0 -}}
{{ include "minilb.selector" . }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: minilb
app.kubernetes.io/managed-by: {{ $.Release.Service }}
{{- with $.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "minilb.labels" -}}
{{- $ := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" }}
{{ include "minilb.podLabels" . }}
{{- end -}}

{{/* Whether the pods have ports of their nodes. */}}
{{- define "minilb.onNode" -}}
{{- or .Values.dns.hostNetwork (gt (int .Values.dns.hostPort) 0) | ternary "true" "" -}}
{{- end -}}

{{/* The port of the node on which its pod answers, where it has one. */}}
{{- define "minilb.nodePort" -}}
{{- gt (int .Values.dns.hostPort) 0 | ternary (int .Values.dns.hostPort) (include "minilb.port" .) -}}
{{- end -}}

{{/* The type of the Service. */}}
{{- define "minilb.serviceType" -}}
{{- $inside := and (eq .Values.dns.kind "DaemonSet") (eq (include "minilb.onNode" .) "true") -}}
{{- .Values.dns.service.type | default ($inside | ternary "ClusterIP" "NodePort") -}}
{{- end -}}

{{/* Its externalTrafficPolicy, if it is reached from outside. */}}
{{- define "minilb.trafficPolicy" -}}
{{- if ne (include "minilb.serviceType" .) "ClusterIP" -}}
{{- .Values.dns.service.externalTrafficPolicy | default (eq .Values.dns.kind "DaemonSet" | ternary "Local" "Cluster") -}}
{{- end -}}
{{- end -}}

{{/* Whether the server sees the addresses of the clients, and not those of nodes. */}}
{{- define "minilb.seesClients" -}}
{{- or (eq (include "minilb.onNode" .) "true") (ne (include "minilb.trafficPolicy" .) "Cluster") | ternary "true" "" -}}
{{- end -}}

{{/* An image, given as (list . .Values.dns.image). */}}
{{- define "minilb.image" -}}
{{- $ := index . 0 -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
