{{/* What values.schema.json cannot say: values that contradict each other. Each message names the values. */}}
{{- define "starling.checks" -}}
{{- $v := .Values -}}
{{- if not $v.image.repository -}}
{{- fail "image.repository: set it to where you pushed the image of \"make dist\", as registry.example.com/starling" -}}
{{- end -}}
{{- if and (eq $v.kind "DaemonSet") $v.persistence.enabled -}}
{{- fail "persistence.enabled: a DaemonSet has no volume for each pod; set persistence.enabled=false, or kind=StatefulSet" -}}
{{- end -}}
{{- $least := add $v.shutdown.preStopSeconds $v.shutdown.timeoutSeconds 15 -}}
{{- if lt (int $v.shutdown.gracePeriodSeconds) (int $least) -}}
{{- fail (printf "shutdown.gracePeriodSeconds: %d is too short: shutdown.preStopSeconds and shutdown.timeoutSeconds need %d, and 15 more send the last updates" (int $v.shutdown.gracePeriodSeconds) (int (add $v.shutdown.preStopSeconds $v.shutdown.timeoutSeconds))) -}}
{{- end -}}
{{- if and (eq $v.tls.source "certManager") (not $v.tls.certManager.issuerRef.name) -}}
{{- fail "tls.certManager.issuerRef.name: name the issuer of cert-manager that signs for the pods, or set tls.source" -}}
{{- end -}}
{{- $certs := $v.tls.certManager -}}
{{- if and (hasSuffix "h" $certs.duration) (hasSuffix "h" $certs.renewBefore) -}}
{{- if ge (int (trimSuffix "h" $certs.renewBefore)) (int (trimSuffix "h" $certs.duration)) -}}
{{- fail (printf "tls.certManager.renewBefore: %s must be less than tls.certManager.duration, %s" $certs.renewBefore $certs.duration) -}}
{{- end -}}
{{- end -}}
{{- if and $v.podSecurityContext.runAsNonRoot (hasKey $v.podSecurityContext "runAsUser") -}}
{{- if eq (int $v.podSecurityContext.runAsUser) 0 -}}
{{- fail "podSecurityContext.runAsUser: 0 is root, which podSecurityContext.runAsNonRoot rejects" -}}
{{- end -}}
{{- end -}}
{{- if and (eq $v.tls.source "secret") (not $v.tls.secret) -}}
{{- fail "tls.secret: name the Secret with tls.crt, tls.key and ca.crt" -}}
{{- end -}}
{{- if and (eq $v.tls.source "secret") (not $v.tls.name) -}}
{{- fail "tls.name: set the DNS name that the certificate in tls.secret has" -}}
{{- end -}}
{{- if and $v.tls.name (ne $v.tls.source "secret") (eq $v.tls.source "none") -}}
{{- fail "tls.name: tls.source=none uses no certificates" -}}
{{- end -}}
{{- if and (eq $v.service.type "ClusterIP") $v.service.externalTrafficPolicy -}}
{{- fail "service.externalTrafficPolicy: a Service of type ClusterIP has none; set service.type" -}}
{{- end -}}
{{- $names := dict "sync" "sync.port" "admin" "admin.port" -}}
{{- $numbers := dict -}}
{{- $_ := set $numbers (toString $v.sync.port) "sync.port" -}}
{{- if hasKey $numbers (toString $v.admin.port) -}}
{{- fail (printf "admin.port: %v is sync.port too" $v.admin.port) -}}
{{- end -}}
{{- $_ := set $numbers (toString $v.admin.port) "admin.port" -}}
{{- $service := dict -}}
{{- range $i, $p := $v.ports -}}
{{- $where := printf "ports[%d]" $i -}}
{{- $number := printf "%v%s" $p.containerPort (eq (default "TCP" $p.protocol) "UDP" | ternary "/udp" "") -}}
{{- $outside := printf "%v/%s" (default $p.containerPort $p.servicePort) (default "TCP" $p.protocol) -}}
{{- if hasKey $names $p.name -}}
{{- fail (printf "%s.name: %q is the name of %s too" $where $p.name (get $names $p.name)) -}}
{{- end -}}
{{- if hasKey $numbers $number -}}
{{- fail (printf "%s.containerPort: %v is %s too" $where $p.containerPort (get $numbers $number)) -}}
{{- end -}}
{{- if hasKey $service $outside -}}
{{- fail (printf "%s.servicePort: %s is that of %s too" $where $outside (get $service $outside)) -}}
{{- end -}}
{{- $_ := set $names $p.name $where -}}
{{- $_ := set $numbers $number $where -}}
{{- $_ := set $service $outside $where -}}
{{- end -}}
{{- range $file, $_ := $v.config.templates -}}
{{- range $suffix, $into := dict ".template" "config.http" ".stream-template" "config.stream" -}}
{{- $made := trimSuffix $suffix $file -}}
{{- if and (hasSuffix $suffix $file) (hasKey (ternary $v.config.http $v.config.stream (eq $into "config.http")) $made) -}}
{{- fail (printf "config.templates: %s makes %s, which is in %s too" $file $made $into) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $where, $files := dict "config.http" $v.config.http "config.stream" $v.config.stream -}}
{{- range $file, $_ := $files -}}
{{- if hasPrefix "starling-" $file -}}
{{- fail (printf "%s: %s: names that begin with \"starling-\" are the chart's" $where $file) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $i, $path := $v.reloadOnChange -}}
{{- if contains " " $path -}}
{{- fail (printf "reloadOnChange[%d]: %q has a space" $i $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
