{{- /* "istiod", "istiod-canary": {"v": values}. */ -}}
{{- define "istiod.name" -}}
istiod{{ include "coxswain.suffix" .v }}
{{- end }}

{{- define "istiod.revision" -}}
{{ .v.revision | default "default" }}
{{- end }}

{{- /* Labels of objects that belong to one revision: {"v": values, "top": $}. */ -}}
{{- define "istiod.labels" -}}
istio.io/rev: {{ include "istiod.revision" . | quote }}
install.operator.istio.io/owning-resource: {{ .v.ownerName | default "unknown" }}
operator.istio.io/component: Pilot
{{ include "coxswain.labels" .top }}
{{- end }}

{{- /* Does a control plane run in this cluster? */ -}}
{{- define "istiod.isHere" -}}
{{- if or (not .v.istiodRemote.enabled) .v.istiodRemote.enabledLocalInjectorIstiod }}yes{{ end -}}
{{- end }}
{{- define "istiod.hasCluster" -}}
{{- if ne .v.global.resourceScope "namespace" }}yes{{ end -}}
{{- end }}
{{- define "istiod.hasNamespaced" -}}
{{- if ne .v.global.resourceScope "cluster" }}yes{{ end -}}
{{- end }}

{{- define "istiod.image" -}}
{{- $tag := .v.tag | default .v.global.tag | toString -}}
{{- $variant := .v.variant | default .v.global.variant -}}
{{- if or (contains "/" .v.image) (contains ":" .v.image) }}{{ .v.image }}
{{- else }}{{ .v.hub | default .v.global.hub }}/{{ .v.image }}:{{ $tag }}{{ if and $variant (not (hasSuffix (printf "-%s" $variant) $tag)) }}-{{ $variant }}{{ end }}
{{- end -}}
{{- end }}

{{- /* Where the webhooks are: {"v": values, "path": "/inject"}. */ -}}
{{- define "istiod.clientConfig" -}}
{{- if and .v.istiodRemote.injectionURL (eq .path "/inject") -}}
url: {{ .v.istiodRemote.injectionURL | quote }}
{{- else -}}
service:
  name: {{ include "istiod.name" . }}
  namespace: {{ .v.global.istioNamespace }}
  path: {{ eq .path "/inject" | ternary .v.istiodRemote.injectionPath .path }}
  port: 443
{{- end }}
{{- if and .v.istiodRemote.injectionCABundle (eq .path "/inject") }}
caBundle: {{ .v.istiodRemote.injectionCABundle | quote }}
{{- end }}
{{- end }}

{{- /* The parts that all webhooks of the injector have in common. */ -}}
{{- define "istiod.injectHook" -}}
clientConfig:
  {{- include "istiod.clientConfig" (dict "v" .v "path" "/inject") | nindent 2 }}
sideEffects: None
admissionReviewVersions: [v1, v1beta1]
failurePolicy: Fail
reinvocationPolicy: {{ .v.sidecarInjectorWebhook.reinvocationPolicy }}
timeoutSeconds: 10
rules:
- {operations: [CREATE], apiGroups: [""], apiVersions: [v1], resources: [pods], scope: "*"}
{{- end }}

{{- /* Pods of the system never wait for us. */ -}}
{{- define "istiod.notSystem" -}}
- {key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system, kube-public, kube-node-lease]}
{{- end }}

{{- /* The webhooks of one name (a revision or a tag): {"v": values, "name": "canary"}; the default one also has the labels without a revision. */ -}}
{{- define "istiod.injectHooks" -}}
- name: rev.namespace.sidecar-injector.istio.io
  {{- include "istiod.injectHook" . | nindent 2 }}
  namespaceSelector:
    matchExpressions:
    - {key: istio.io/rev, operator: In, values: [{{ .name | quote }}]}
    - {key: istio-injection, operator: DoesNotExist}
    {{- include "istiod.notSystem" . | nindent 4 }}
  objectSelector:
    matchExpressions:
    - {key: sidecar.istio.io/inject, operator: NotIn, values: ["false"]}
- name: rev.object.sidecar-injector.istio.io
  {{- include "istiod.injectHook" . | nindent 2 }}
  namespaceSelector:
    matchExpressions:
    - {key: istio.io/rev, operator: DoesNotExist}
    - {key: istio-injection, operator: DoesNotExist}
    {{- include "istiod.notSystem" . | nindent 4 }}
  objectSelector:
    matchExpressions:
    - {key: sidecar.istio.io/inject, operator: NotIn, values: ["false"]}
    - {key: istio.io/rev, operator: In, values: [{{ .name | quote }}]}
{{- if eq .name "default" }}
- name: namespace.sidecar-injector.istio.io
  {{- include "istiod.injectHook" . | nindent 2 }}
  namespaceSelector:
    matchExpressions:
    - {key: istio-injection, operator: In, values: [enabled]}
    {{- include "istiod.notSystem" . | nindent 4 }}
  objectSelector:
    matchExpressions:
    - {key: sidecar.istio.io/inject, operator: NotIn, values: ["false"]}
- name: object.sidecar-injector.istio.io
  {{- include "istiod.injectHook" . | nindent 2 }}
  namespaceSelector:
    matchExpressions:
    - {key: istio-injection, operator: DoesNotExist}
    - {key: istio.io/rev, operator: DoesNotExist}
    {{- include "istiod.notSystem" . | nindent 4 }}
  objectSelector:
    matchExpressions:
    - {key: sidecar.istio.io/inject, operator: In, values: ["true"]}
    - {key: istio.io/rev, operator: DoesNotExist}
{{- if .v.sidecarInjectorWebhook.enableNamespacesByDefault }}
- name: auto.sidecar-injector.istio.io
  {{- include "istiod.injectHook" . | nindent 2 }}
  namespaceSelector:
    matchExpressions:
    - {key: istio-injection, operator: DoesNotExist}
    - {key: istio.io/rev, operator: DoesNotExist}
    {{- include "istiod.notSystem" . | nindent 4 }}
  objectSelector:
    matchExpressions:
    - {key: sidecar.istio.io/inject, operator: DoesNotExist}
    - {key: istio.io/rev, operator: DoesNotExist}
{{- end }}
{{- end }}
{{- end }}

{{- define "istiod.ports" -}}
- {name: grpc-xds, port: 15010, protocol: TCP}
- {name: https-dns, port: 15012, protocol: TCP}
- {name: https-webhook, port: 443, targetPort: 15017, protocol: TCP}
- {name: http-monitoring, port: 15014, protocol: TCP}
{{- end }}
