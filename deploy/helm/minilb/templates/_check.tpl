{{/* What the schema cannot refuse, as it concerns several values. */}}
{{- define "minilb.check" -}}
{{- $dns := .Values.dns -}}
{{- $lameduck := trimSuffix "s" .Values.corefile.lameduck | int -}}
{{- if ge $lameduck (int $dns.terminationGracePeriodSeconds) -}}
{{- fail (printf "corefile.lameduck %ds is not shorter than dns.terminationGracePeriodSeconds %d: the server would be killed while it ends" $lameduck (int $dns.terminationGracePeriodSeconds)) -}}
{{- end -}}
{{- if and (eq $dns.service.type "LoadBalancer") (not $dns.service.loadBalancerClass) .Values.defaultClass -}}
{{- fail "dns.service.loadBalancerClass is empty and defaultClass is true: the DNS server cannot be found by a name that it answers itself, give it the class of another load balancer" -}}
{{- end -}}
{{- if and (eq $dns.service.type "LoadBalancer") (eq $dns.service.loadBalancerClass .Values.class) -}}
{{- fail (printf "dns.service.loadBalancerClass is %q: the DNS server cannot be found by a name that it answers itself, give it the class of another load balancer" .Values.class) -}}
{{- end -}}
{{- if and $dns.service.loadBalancerClass (ne $dns.service.type "LoadBalancer") -}}
{{- fail "dns.service.loadBalancerClass is for dns.service.type LoadBalancer alone" -}}
{{- end -}}
{{- $names := list -}}
{{- range .Values.plugin.ns -}}{{- if not (regexMatch "^[0-9.]+$|:|^{" .) }}{{- $names = append $names . }}{{- end -}}{{- end -}}
{{- if and $names (ne (len $names) (len .Values.plugin.ns)) -}}
{{- fail "plugin.ns: give either names or addresses" -}}
{{- end -}}
{{- $suffixes := dict -}}
{{- range .Values.plugin.claims -}}
{{- range .suffixes -}}
{{- $suffix := trimSuffix "." . | lower -}}
{{- if hasKey $suffixes $suffix }}{{- fail (printf "plugin.claims: suffix %q is given twice: name all its namespaces in one item" .) }}{{- end -}}
{{- $_ := set $suffixes $suffix true -}}
{{- end -}}
{{- end -}}
{{- $ports := list (include "minilb.port" . | int) (int $dns.ports.health) (int $dns.ports.ready) (int $dns.ports.metrics) -}}
{{- if ne (len (uniq $ports)) (len $ports) -}}
{{- fail (printf "dns.ports: two are the same, of %s" (join ", " $ports)) -}}
{{- end -}}
{{- if and .Values.drain.enabled (not (semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version)) -}}
{{- fail (printf "drain.enabled takes Kubernetes 1.36, which has MutatingAdmissionPolicies, and this is %s: give pods a preStop of their own" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- end -}}
