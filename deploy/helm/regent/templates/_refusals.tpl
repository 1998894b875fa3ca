{{/* What can't work is said here, not by a pod that does not start. */}}
{{- define "regent.refusals" -}}
{{- $shares := include "regent.sharesQueue" . }}
{{- if and (gt (int .Values.replicaCount) 1) (not $shares) }}
{{- fail "replicaCount: several agents need a queue that they share: set queue.servers" }}
{{- end }}
{{- if and (gt (int .Values.replicaCount) 1) .Values.persistence.enabled }}
{{- fail "replicaCount: several agents can't share a data volume: set persistence.enabled=false" }}
{{- end }}
{{- if and $shares (not .Values.sealKeySecret.name) }}
{{- fail "queue: agents that share a queue need the same keys: set sealKeySecret" }}
{{- end }}
{{- if .Values.tlsRejectUnauthorized }}
{{- fail "tlsRejectUnauthorized: certificates are always checked: give the authority as caCertFile" }}
{{- end }}
{{- if .Values.caCert }}
{{- fail "caCert: files of the chart's folder are not read: --set-file caCertFile=FILE" }}
{{- end }}
{{- end }}
