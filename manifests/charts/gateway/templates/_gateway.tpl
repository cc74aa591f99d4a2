{{- /* All take {"v": values, "top": $}. */ -}}
{{- define "gateway.name" -}}
{{ .v.name | default .top.Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- define "gateway.selector" -}}
app: {{ dig "app" (include "gateway.name" .) .v.labels | quote }}
istio: {{ dig "istio" (include "gateway.name" . | trimPrefix "istio-") .v.labels | quote }}
{{- end }}
{{- define "gateway.labels" -}}
app.kubernetes.io/name: {{ include "gateway.name" . }}
app.kubernetes.io/managed-by: {{ .top.Release.Service }}
app.kubernetes.io/instance: {{ .top.Release.Name }}
app.kubernetes.io/part-of: istio
app.kubernetes.io/version: {{ .top.Chart.AppVersion | quote }}
helm.sh/chart: {{ .top.Chart.Name }}-{{ .top.Chart.Version }}
release: {{ .top.Release.Name }}
{{ include "gateway.selector" . }}
{{- range $k, $e := omit .v.labels "app" "istio" }}
{{ $k }}: {{ $e | quote }}
{{- end }}
{{- with .v.networkGateway }}
topology.istio.io/network: {{ . | quote }}
{{- end }}
{{- end }}
{{- define "gateway.account" -}}
{{- if .v.serviceAccount.create }}{{ .v.serviceAccount.name | default (include "gateway.name" .) }}{{ else }}{{ .v.serviceAccount.name | default "default" }}{{ end -}}
{{- end }}
{{- define "gateway.meta" -}}
name: {{ include "gateway.name" . }}
namespace: {{ .top.Release.Namespace }}
labels:
  {{- include "gateway.labels" . | nindent 2 }}
{{- with .v.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
