{{/* Names and labels of the chart's objects. */}}

{{- define "regent.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "regent.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "regent.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "regent.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "regent.selectorLabels" -}}
app.kubernetes.io/name: {{ include "regent.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "regent.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "regent.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.crImage | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "regent.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "regent.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{/* Whether the queue is at NATS servers: "true" or nothing. */}}
{{- define "regent.sharesQueue" -}}
{{- if or .Values.queue.servers .Values.queue.serversSecret.name }}true{{ end }}
{{- end }}

{{/* A setting from a Secret of the operator's, else from the chart's own, else not at all.
     Takes (list ROOT SETTING VALUE REFERENCE). */}}
{{- define "regent.secretSetting" -}}
{{- $root := index . 0 }}{{ $setting := index . 1 }}{{ $value := index . 2 }}{{ $reference := index . 3 }}
{{- if $reference.name }}
- name: {{ $setting }}
  valueFrom:
    secretKeyRef:
      name: {{ $reference.name }}
      key: {{ required (printf "the Secret %s of %s needs a key" $reference.name $setting) $reference.key }}
{{- else if $value }}
- name: {{ $setting }}
  valueFrom:
    secretKeyRef:
      name: {{ include "regent.fullname" $root }}
      key: {{ $setting }}
{{- end }}
{{- end }}
