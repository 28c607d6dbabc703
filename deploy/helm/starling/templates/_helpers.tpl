{{/* Names. 40 characters leave room for the suffixes of pods and objects in a label of DNS. */}}
{{- define "starling.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "starling.fullname" -}}
{{- $name := include "starling.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "starling.peers" -}}{{ include "starling.fullname" . }}-peers{{- end -}}

{{/* The name whose addresses are those of the pods. */}}
{{- define "starling.peersHost" -}}
{{ include "starling.peers" . }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end -}}

{{/* The name that all certificates of the pods have. */}}
{{- define "starling.verifiedName" -}}
{{- .Values.tls.name | default (printf "%s.%s.svc" (include "starling.peers" .) .Release.Namespace) -}}
{{- end -}}

{{- define "starling.selector" -}}
app.kubernetes.io/name: {{ include "starling.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "starling.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{ include "starling.selector" . }}
{{- end -}}

{{- define "starling.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "starling.certificates" -}}/etc/starling-certs{{- end -}}

{{/* Where a path of reloadOnChange and the certificates are. */}}
{{- define "starling.watched" -}}
{{- $paths := .Values.reloadOnChange -}}
{{- if eq .Values.config.onChange "reload" }}{{ $paths = prepend $paths "/etc/starling" }}{{ end -}}
{{- if ne .Values.tls.source "none" }}{{ $paths = prepend $paths (include "starling.certificates" .) }}{{ end -}}
{{- join " " $paths -}}
{{- end -}}

{{- define "starling.caSecret" -}}
{{- .Values.tls.starling.caSecret | default (printf "%s-ca" (include "starling.fullname" .)) -}}
{{- end -}}

{{- define "starling.certificateSecret" -}}
{{- if eq .Values.tls.source "secret" -}}{{ .Values.tls.secret }}{{- else -}}{{ include "starling.fullname" . }}-peers-tls{{- end -}}
{{- end -}}

{{- define "starling.ipFamilies" -}}
{{- if .Values.ipv6 }}
ipFamilyPolicy: PreferDualStack
{{- end }}
{{- end -}}
