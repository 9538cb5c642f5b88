{{/* Whether there is a policy of the controller's account. Without an API server, Helm goes by the Kubernetes that --kube-version
names, or that it was made with; not by .Capabilities.APIVersions, which then has no kinds. */}}
{{- define "minilb.policy" -}}
{{- and .Values.controller.enabled .Values.rbac.create .Values.controller.policy (semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version) -}}
{{- end -}}

{{/* Rules for the kinds of the resources that are enabled: of all namespaces, with what is in none, or of one. */}}
{{- define "minilb.dnsRules" -}}
{{- $gateway := has "gateway" .resources -}}
- apiGroups: [""]
  resources: [services{{ if and $gateway .everywhere }}, namespaces{{ end }}]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
{{- if has "ingress" .resources }}
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [list, watch]
{{- end }}
{{- if $gateway }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [{{ if .everywhere }}gatewayclasses, {{ end }}gateways, listenersets, httproutes, grpcroutes, tlsroutes]
  verbs: [list, watch]
- apiGroups: [gateway.networking.x-k8s.io]
  resources: [xlistenersets]
  verbs: [list, watch]
{{- end }}
{{- end -}}
