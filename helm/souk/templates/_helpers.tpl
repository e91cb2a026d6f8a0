{{/* Names begin with this. */}}
{{- define "souk.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{- else -}}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{/* What every pod of the release has; takes {root}. */}}
{{- define "souk.releaseSelector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{/* What the pods of a component have, and nothing else; takes {root, component}. */}}
{{- define "souk.selector" -}}
{{ include "souk.releaseSelector" . }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "souk.labels" -}}
{{ include "souk.selector" . }}
app.kubernetes.io/part-of: souk
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* The labels of pods: none that changes with a release, or an upgrade would
     replace databases that it leaves as they are; takes {root, component}. */}}
{{- define "souk.podLabels" -}}
{{ include "souk.selector" . }}
app.kubernetes.io/part-of: souk
{{- end -}}

{{/* The image of one of our programs; takes {root, program}. */}}
{{- define "souk.image" -}}
{{ .root.Values.image.repository }}/{{ .program }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}

{{- define "souk.secretName" -}}
{{ .Values.secrets.existingSecret | default (include "souk.fullname" .) }}
{{- end -}}

{{/* The fields of a pod that are the same everywhere; takes {root, user}. */}}
{{- define "souk.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ get . "user" | default 65532 }}
  runAsGroup: {{ get . "user" | default 65532 }}
  fsGroup: {{ get . "user" | default 65532 }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "souk.spread" -}}
{{- if .root.Values.topologySpread.enabled }}
topologySpreadConstraints:
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "souk.selector" $ | nindent 8 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "souk.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where a development tool puts a newer program; the images of the Tiltfile look there. */}}
{{- define "souk.liveMount" -}}
{name: live, mountPath: /live}
{{- end -}}
{{- define "souk.liveVolume" -}}
{name: live, emptyDir: {}}
{{- end -}}

{{/* Seconds that a pod may take to end: the delay, the drain, the order service's
     drives (10 s), and the rest of telemetry (5 s). */}}
{{- define "souk.grace" -}}
{{ add .Values.drain.delaySeconds .Values.drain.timeoutSeconds 20 }}
{{- end -}}

{{/* What our programs have in common; takes {root, service, limits}. */}}
{{- define "souk.commonEnv" -}}
- name: {{ printf "SOUK_%s_LOG_LEVEL" (upper .service) }}
  value: {{ .root.Values.log.level }}
- name: {{ printf "SOUK_%s_LOG_FORMAT" (upper .service) }}
  value: json
- name: GOMEMLIMIT
  valueFrom:
    resourceFieldRef: {resource: limits.memory}
{{- with .root.Values.telemetry.otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
- name: POD_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: service.instance.id=$(POD_NAME),k8s.pod.name=$(POD_NAME),k8s.namespace.name={{ $.root.Release.Namespace }}
{{- end }}
{{- end -}}

{{/* The name and key of the secret with a service's connection string; takes {root, service}. */}}
{{- define "souk.dsn" -}}
{{- $pg := .root.Values.postgres -}}
{{- $own := printf "%s-%s-postgres" (include "souk.fullname" .root) .service -}}
{{- if eq $pg.kind "external" -}}
name: {{ required (printf "postgres.external.%s: name the secret with its connection string" .service) (get $pg.external .service | default (replace "%s" .service $pg.external.secret)) }}
key: {{ $pg.external.key }}
{{- else if eq $pg.kind "cnpg" -}}
name: {{ $own }}-app
key: uri
{{- else -}}
name: {{ $own }}
key: dsn
{{- end -}}
{{- end -}}

{{/* The value of a key in a secret that is there, else the given one, else a
     random one: made once, kept over upgrades; takes {root, secret, key, value, length}. */}}
{{- define "souk.kept" -}}
{{- $there := lookup "v1" "Secret" .root.Release.Namespace .secret -}}
{{- if .value -}}
{{ .value }}
{{- else if and $there $there.data (index $there.data .key) -}}
{{ index $there.data .key | b64dec }}
{{- else -}}
{{ get . "prefix" }}{{ randAlphaNum (int (get . "length" | default 40)) }}
{{- end -}}
{{- end -}}

{{/* The port of a URL, or what its scheme has; 443 when empty. */}}
{{- define "souk.urlPort" -}}
{{ regexFind ":[0-9]+(/|$)" . | trimAll ":/" | default (ternary "80" "443" (hasPrefix "http:" .)) }}
{{- end -}}

{{/* The parts of the shop, from the table that tools/internal/topology keeps. */}}
{{- define "souk.parts" -}}
{{ (.Files.Get "topology.yaml" | fromYaml).parts | toYaml }}
{{- end -}}

{{/* The part of a name. */}}
{{- define "souk.part" -}}
{{- range (include "souk.parts" .root | fromYamlArray) }}{{ if eq .name $.name }}{{ toYaml . }}{{ end }}{{ end }}
{{- end -}}

{{/* The gRPC services. */}}
{{- define "souk.services" -}}
{{- range (include "souk.parts" . | fromYamlArray) }}
{{- if eq .kind "service" }}
- {{ .name }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The values of the gateway or of a service: what a service's own block says, over
     the block of all; takes {root, name}. */}}
{{- define "souk.service" -}}
{{- $own := get .root.Values .name | default dict }}
{{- if eq .name "gateway" }}{{ toYaml $own }}{{ else }}{{ toYaml (mergeOverwrite (deepCopy .root.Values.service) $own) }}{{ end }}
{{- end -}}

{{/* Refuses a name that is no service's, which the schema cannot know. */}}
{{- define "souk.checkNames" -}}
{{- $services := include "souk.services" . | fromYamlArray }}
{{- range $key, $_ := omit .Values "global" "image" "currency" "log" "telemetry" "drain" "maxConnectionAge" "gateway" "service" "stripesim" "secrets" "postgres" "redis" "liveUpdate" "migrations" "seed" "backup" "podDisruptionBudget" "topologySpread" "networkPolicy" "ingress" "httpRoute" "serviceMonitor" "nodeSelector" "tolerations" }}
{{- if not (has $key $services) }}{{ fail (printf "%s: there is no such value, and no such service" $key) }}{{ end }}
{{- end }}
{{- range $key, $_ := omit .Values.postgres.external "secret" "key" "port" }}
{{- if not (has $key $services) }}{{ fail (printf "postgres.external.%s: there is no such service" $key) }}{{ end }}
{{- end }}
{{- end -}}

{{/* Where a gRPC client finds the services that a part calls. */}}
{{- define "souk.targets" -}}
{{- $services := include "souk.services" .root | fromYamlArray }}
{{- range (include "souk.part" . | fromYaml).calls }}
{{- if has . $services }}
- name: SOUK_{{ upper $.name }}_{{ upper . }}_TARGET
  value: dns:///{{ include "souk.fullname" $.root }}-{{ . }}:{{ (include "souk.part" (dict "root" $.root "name" .) | fromYaml).port }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Each connection between the shop's parts: from, to and port. */}}
{{- define "souk.arrows" -}}
{{- $parts := include "souk.parts" . | fromYamlArray }}
{{- $absent := list }}
{{- if not .Values.stripesim.enabled }}{{ $absent = append $absent "stripesim" }}{{ end }}
{{- $port := dict }}
{{- range $parts }}{{ $_ := set $port .name .port }}{{ end }}
{{- range $from := $parts }}
{{- if not (has .name $absent) }}
{{- range .calls }}
{{- if not (has . $absent) }}
- {from: {{ $from.name }}, to: {{ . }}, port: {{ index $port . }}}
{{- end }}
{{- end }}
{{- if and .redis (eq $.Values.redis.kind "bundled") }}
- {from: {{ .name }}, to: redis, port: {{ $port.redis }}}
{{- end }}
{{- end }}
{{- end }}
{{- if eq .Values.postgres.kind "bundled" }}
{{- range (include "souk.services" . | fromYamlArray) }}
- {from: {{ . }}, to: {{ . }}-postgres, port: 5432}
- {from: {{ . }}-migrate, to: {{ . }}-postgres, port: 5432}
{{- if $.Values.backup.enabled }}
- {from: backup, to: {{ . }}-postgres, port: 5432}
{{- end }}
{{- if $.Values.backup.restore }}
- {from: restore, to: {{ . }}-postgres, port: 5432}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.seed.enabled }}
- {from: seed, to: gateway, port: 8080}
{{- end }}
{{- end -}}

{{/* The connection strings of all databases. */}}
{{- define "souk.backupDSNs" -}}
{{- range $service := (include "souk.services" . | fromYamlArray) }}
- name: {{ upper $service }}_DSN
  valueFrom:
    secretKeyRef: {{- include "souk.dsn" (dict "root" $ "service" $service) | nindent 6 }}
{{- end }}
{{- end -}}

{{/* A container that speaks to the S3 store, but for its name and arguments. */}}
{{- define "souk.backupRclone" -}}
image: {{ .Values.backup.s3.image }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - {name: HOME, value: /tmp}
  - {name: RCLONE_CONFIG, value: /tmp/rclone.conf}
  - {name: RCLONE_CONFIG_S3_TYPE, value: s3}
  - {name: RCLONE_CONFIG_S3_PROVIDER, value: {{ ternary "Other" "AWS" (ne .Values.backup.s3.endpoint "") }}}
  - {name: RCLONE_CONFIG_S3_NO_CHECK_BUCKET, value: "true"}
  {{- with .Values.backup.s3.endpoint }}
  - {name: RCLONE_CONFIG_S3_ENDPOINT, value: {{ . | quote }}}
  {{- end }}
  {{- with .Values.backup.s3.region }}
  - {name: RCLONE_CONFIG_S3_REGION, value: {{ . | quote }}}
  {{- end }}
  - name: RCLONE_CONFIG_S3_ACCESS_KEY_ID
    valueFrom:
      secretKeyRef: {name: {{ .Values.backup.s3.existingSecret }}, key: access-key-id}
  - name: RCLONE_CONFIG_S3_SECRET_ACCESS_KEY
    valueFrom:
      secretKeyRef: {name: {{ .Values.backup.s3.existingSecret }}, key: secret-access-key}
resources: {{- toYaml .Values.backup.resources | nindent 2 }}
securityContext: {{- include "souk.containerSecurity" . | nindent 2 }}
volumeMounts:
  - {name: backup, mountPath: /backup}
  - {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* Where backups are, or wait to be sent. */}}
{{- define "souk.backupVolumes" -}}
- name: backup
  {{- if eq .Values.backup.to "s3" }}
  emptyDir: {}
  {{- else }}
  persistentVolumeClaim: {claimName: {{ .Values.backup.volume.existingClaim | default (printf "%s-backup" (include "souk.fullname" .)) }}}
  {{- end }}
- {name: tmp, emptyDir: {}}
{{- end }}

{{/* What every session of a service's role begins with; pg.RoleSettings, which a test compares. */}}
{{- define "souk.roleSettings" -}}
default_transaction_isolation: read committed
idle_in_transaction_session_timeout: "30000"
lock_timeout: "4000"
statement_timeout: "30000"
{{- end }}
