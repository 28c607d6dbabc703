{{- define "starling.pod" -}}
automountServiceAccountToken: false
# Variables of Services would appear in templates.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .Values.shutdown.gracePeriodSeconds }}
{{- with .Values.serviceAccountName }}
serviceAccountName: {{ . }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- if eq .Values.tls.source "starling" }}
initContainers:
  # It alone has the key of the CA. The container that serves has the certificate of its pod only.
  - name: certificate
    image: {{ include "starling.image" . }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command: [/usr/sbin/starling, certs, issue]
    args:
      - "$(POD_NAME),{{ include "starling.verifiedName" . }}"
      - --dir=/ca
      - --out={{ include "starling.certificates" . }}
      - --days={{ .Values.tls.starling.days }}
      - --force
    env:
      - name: POD_NAME
        valueFrom: {fieldRef: {fieldPath: metadata.name}}
    securityContext:
      {{- toYaml .Values.securityContext | nindent 6 }}
    resources:
      requests: {cpu: 10m, memory: 32Mi}
    volumeMounts:
      - {name: ca, mountPath: /ca, readOnly: true}
      - {name: certificates, mountPath: {{ include "starling.certificates" . }}}
{{- end }}
containers:
  - name: starling
    image: {{ include "starling.image" . }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    {{- $watched := include "starling.watched" . }}
    {{- if or $watched .Values.env }}
    env:
      {{- with $watched }}
      - name: STARLING_RELOAD_ON_CHANGE
        value: {{ . | quote }}
      {{- end }}
      {{- with .Values.env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- end }}
    ports:
      {{- range .Values.ports }}
      - name: {{ .name }}
        containerPort: {{ .containerPort }}
        {{- with .hostPort }}
        hostPort: {{ . }}
        {{- end }}
        protocol: {{ .protocol | default "TCP" }}
      {{- end }}
      - name: sync
        containerPort: {{ .Values.sync.port }}
        protocol: TCP
      - name: admin
        containerPort: {{ .Values.admin.port }}
        protocol: TCP
    startupProbe:
      httpGet: {path: /live, port: admin}
      {{- toYaml .Values.probes.startup | nindent 6 }}
    readinessProbe:
      httpGet: {path: /ready, port: admin}
      {{- toYaml .Values.probes.readiness | nindent 6 }}
    livenessProbe:
      httpGet: {path: /live, port: admin}
      {{- toYaml .Values.probes.liveness | nindent 6 }}
    {{- if .Values.shutdown.preStopSeconds }}
    lifecycle:
      # Clients come until all have learnt that the pod goes. Then the image's signal shuts it down gracefully.
      preStop:
        sleep: {seconds: {{ .Values.shutdown.preStopSeconds }}}
    {{- end }}
    securityContext:
      {{- toYaml .Values.securityContext | nindent 6 }}
    resources:
      {{- toYaml .Values.resources | nindent 6 }}
    volumeMounts:
      - {name: config, mountPath: /etc/starling, readOnly: true}
      {{- if ne .Values.tls.source "none" }}
      - {name: certificates, mountPath: {{ include "starling.certificates" . }}, readOnly: true}
      {{- end }}
      - {name: state, mountPath: /var/lib/starling}
      - {name: cache, mountPath: /var/cache/starling}
      - {name: run, mountPath: /run/starling}
      {{- with .Values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  {{- include "starling.volumes" . | nindent 2 }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" }}
{{- with get $.Values $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  -
    {{- toYaml . | nindent 4 }}
    {{- if not (hasKey . "labelSelector") }}
    labelSelector:
      matchLabels:
        {{- include "starling.selector" $ | nindent 8 }}
    {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "starling.volumes" -}}
- name: config
  configMap:
    name: {{ include "starling.fullname" . }}
    items:
      - {key: nginx.conf, path: nginx.conf}
      - {key: mime.types, path: mime.types}
      - {key: http.starling-admin.conf, path: conf.d/starling-admin.conf}
      {{- if not (or .Values.config.http .Values.config.templates) }}
      - {key: http.starling-default.conf, path: conf.d/starling-default.conf}
      {{- end }}
      {{- range $file, $_ := .Values.config.http }}
      - {key: {{ printf "http.%s" $file }}, path: {{ printf "conf.d/%s" $file }}}
      {{- end }}
      {{- range $file, $_ := .Values.config.stream }}
      - {key: {{ printf "stream.%s" $file }}, path: {{ printf "stream-conf.d/%s" $file }}}
      {{- end }}
      {{- range $file, $_ := .Values.config.templates }}
      - {key: {{ printf "template.%s" $file }}, path: {{ printf "templates/%s" $file }}}
      {{- end }}
      - {key: template.starling-sync.conf.stream-template, path: templates/starling-sync.conf.stream-template}
{{- if eq .Values.tls.source "starling" }}
- name: ca
  secret:
    secretName: {{ include "starling.caSecret" . }}
    defaultMode: 0440
    items:
      - {key: ca.crt, path: ca.crt}
      - {key: ca.key, path: ca.key}
- name: certificates
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
{{- else if and (eq .Values.tls.source "certManager") .Values.tls.certManager.csiDriver }}
- name: certificates
  csi:
    driver: csi.cert-manager.io
    readOnly: true
    volumeAttributes:
      csi.cert-manager.io/issuer-name: {{ .Values.tls.certManager.issuerRef.name | quote }}
      csi.cert-manager.io/issuer-kind: {{ .Values.tls.certManager.issuerRef.kind | quote }}
      csi.cert-manager.io/issuer-group: {{ .Values.tls.certManager.issuerRef.group | quote }}
      # The name of the pod tells the nodes apart.
      csi.cert-manager.io/common-name: ${POD_NAME}
      csi.cert-manager.io/dns-names: {{ printf "%s,${POD_NAME}" (include "starling.verifiedName" .) | quote }}
      csi.cert-manager.io/key-usages: digital signature,key encipherment,server auth,client auth
      csi.cert-manager.io/duration: {{ .Values.tls.certManager.duration | quote }}
      csi.cert-manager.io/renew-before: {{ .Values.tls.certManager.renewBefore | quote }}
      csi.cert-manager.io/fs-group: {{ .Values.podSecurityContext.fsGroup | default 101 | quote }}
{{- else if ne .Values.tls.source "none" }}
- name: certificates
  secret:
    secretName: {{ include "starling.certificateSecret" . }}
    defaultMode: 0440
    items:
      - {key: tls.crt, path: tls.crt}
      - {key: tls.key, path: tls.key}
      - {key: ca.crt, path: ca.crt}
{{- end }}
{{- if not .Values.persistence.enabled }}
- name: state
  emptyDir: {}
{{- end }}
- name: cache
  emptyDir: {}
- name: run
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
