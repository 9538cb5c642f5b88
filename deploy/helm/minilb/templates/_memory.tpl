{{/*
GOMEMLIMIT of a container, given its resources: nine tenths of the limit of memory, in MiB. Nothing without a limit.
Close to it the garbage collector works harder, instead of the kernel killing the process.
*/}}
{{- define "minilb.memoryLimit" -}}
{{- $limit := dig "limits" "memory" "" (. | default dict) -}}
{{- if $limit -}}
{{- $quantity := include "minilb.number" $limit -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $unit := regexFind "[A-Za-z]*$" $quantity -}}
{{- if not (and (hasKey $units $unit) (regexMatch "^[0-9]+([.][0-9]+)?[A-Za-z]*$" $quantity)) -}}
{{- fail (printf "limits.memory %q: write a number with Ki, Mi, Gi, k, M or G, such as 512Mi" $quantity) -}}
{{- end -}}
{{- $mebibytes := divf (mulf (regexFind "^[0-9.]+" $quantity | float64) (get $units $unit) 0.9) 1048576 | floor | int64 -}}
{{- if lt $mebibytes 16 -}}
{{- fail (printf "limits.memory %q is too little to run in: give 32Mi or more" $quantity) -}}
{{- end -}}
{{- printf "%dMiB" $mebibytes -}}
{{- end -}}
{{- end -}}

{{/* A scalar as it was written: YAML's whole numbers are floats here, which print with exponents. */}}
{{- define "minilb.number" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}
