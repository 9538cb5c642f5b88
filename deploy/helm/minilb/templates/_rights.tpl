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
