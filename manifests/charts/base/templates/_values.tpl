{{- /*
The values in force, as YAML: the chart's defaults, under them the profile's, the platform's and the user's own, each over the one before.
A chart cannot tell a user's value from its own default, so the defaults stand one level deeper (where Istio's charts have them, too).
*/ -}}
{{- define "coxswain.values" -}}
{{- $mine := omit .Values "_internal_defaults_do_not_set" -}}
{{- $v := deepCopy .Values._internal_defaults_do_not_set -}}
{{- with coalesce (dig "profile" "" $mine) (dig "global" "profile" "" $mine) -}}
{{- if not (has . (list "default" "minimal")) -}}
{{- $text := $.Files.Get (printf "files/profile-%s.yaml" .) -}}
{{- if not $text }}{{ fail (printf "there is no profile %q" .) }}{{ end -}}
{{- $v = mustMergeOverwrite $v (fromYaml $text) -}}
{{- end -}}
{{- end -}}
{{- with coalesce (dig "platform" "" $mine) (dig "global" "platform" "" $mine) -}}
{{- $text := $.Files.Get (printf "files/profile-platform-%s.yaml" .) -}}
{{- if not $text }}{{ fail (printf "there is no platform %q" .) }}{{ end -}}
{{- $v = mustMergeOverwrite $v (fromYaml $text) -}}
{{- end -}}
{{- $v = mustMergeOverwrite $v (deepCopy $mine) -}}
{{- /* What is under `pilot` counts as if it stood at the top: one set of values for all charts. */ -}}
{{- with $v.pilot }}{{ $v = mustMergeOverwrite $v (deepCopy .) }}{{ end -}}
{{- toYaml $v -}}
{{- end }}

{{- define "coxswain.suffix" -}}
{{- if and .revision (ne .revision "default") }}-{{ .revision }}{{ end -}}
{{- end }}

{{- define "coxswain.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: istio
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
release: {{ .Release.Name }}
{{- end }}
