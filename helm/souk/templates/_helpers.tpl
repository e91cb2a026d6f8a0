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

{{/* The name of the secret with a part's certificate (tls.crt, tls.key, ca.crt); takes
     {root, service}. */}}
{{- define "souk.tlsSecret" -}}
{{- $tls := .root.Values.tls -}}
{{- if eq $tls.kind "external" -}}
{{ replace "%s" .service (required "tls.external.secret: name the secrets with the certificates; %s stands for the part" $tls.external.secret) }}
{{- else -}}
{{ include "souk.fullname" .root }}-{{ .service }}-tls
{{- end -}}
{{- end -}}

{{/* The parts that show each other certificates: the gRPC services and the gateway. */}}
{{- define "souk.tlsParts" -}}
{{ append (include "souk.services" . | fromYamlArray) "gateway" | toYaml }}
{{- end -}}

{{/* The bundled stores, which show a certificate for the names that they are reached by. */}}
{{- define "souk.tlsStores" -}}
{{- $stores := list }}
{{- if eq .Values.postgres.kind "bundled" }}
{{- range (include "souk.services" . | fromYamlArray) }}{{ $stores = append $stores (printf "%s-postgres" .) }}{{ end }}
{{- end }}
{{- if eq .Values.redis.kind "bundled" }}{{ $stores = append $stores "redis" }}{{ end }}
{{- if eq .Values.events.kind "bundled" }}{{ $stores = append $stores "nats" }}{{ end }}
{{- $stores | toYaml }}
{{- end -}}

{{/* The names on the certificate of a part or a store; takes {root, service}. A store's
     are none that a process has: it cannot be taken for one. */}}
{{- define "souk.tlsNames" -}}
{{- if has .service (include "souk.tlsParts" .root | fromYamlArray) }}
- {{ .service }}.souk
{{- else }}
{{- $host := printf "%s-%s" (include "souk.fullname" .root) .service }}
- {{ $host }}
- {{ $host }}.{{ .root.Release.Namespace }}
- {{ $host }}.{{ .root.Release.Namespace }}.svc
{{- if eq .service "nats" }}
- "*.{{ $host }}-nodes"
{{- end }}
{{- end }}
{{- end -}}

{{/* The volume with a store's certificate; takes {root, service}. */}}
{{- define "souk.storeTLSVolume" -}}
{{- if ne .root.Values.tls.kind "off" }}
- name: tls
  secret: {secretName: {{ include "souk.tlsSecret" . }}, defaultMode: 0440}
{{- end }}
{{- end -}}

{{/* The secret and key with the authorities of a database's certificate, nothing where
     those of the system are meant or nothing is checked; takes {root, service}. */}}
{{- define "souk.postgresCA" -}}
{{- $pg := .root.Values.postgres -}}
{{- if eq $pg.kind "external" -}}
{{- with $pg.external.caSecret -}}
secret: {{ replace "%s" $.service . }}
key: {{ $pg.external.caKey }}
{{- end -}}
{{- else if eq $pg.kind "cnpg" -}}
secret: {{ include "souk.fullname" .root }}-{{ .service }}-postgres-ca
key: ca.crt
{{- else if ne .root.Values.tls.kind "off" -}}
secret: {{ include "souk.tlsSecret" (dict "root" .root "service" (printf "%s-postgres" .service)) }}
key: ca.crt
{{- end -}}
{{- end -}}

{{/* How a database is believed, in libpq's words; takes {root}. */}}
{{- define "souk.sslmode" -}}
{{- $pg := .root.Values.postgres -}}
{{- if eq $pg.kind "external" }}{{ $pg.external.sslmode }}
{{- else if and (eq $pg.kind "bundled") (eq .root.Values.tls.kind "off") }}disable
{{- else }}verify-full{{ end -}}
{{- end -}}

{{/* The file with the authorities of a database; takes {root, service}. */}}
{{- define "souk.postgresCAFile" -}}
{{- if include "souk.postgresCA" . }}/postgres/{{ .service }}/ca.crt{{ end -}}
{{- end -}}

{{/* What the connection string of a database leaves to libpq's variables; takes {root, service}. */}}
{{- define "souk.postgresEnv" -}}
{{- with include "souk.sslmode" . }}
- name: PGSSLMODE
  value: {{ . }}
{{- end }}
{{- with include "souk.postgresCAFile" . }}
- name: PGSSLROOTCERT
  value: {{ . }}
{{- end }}
{{- end -}}

{{/* The mount and the volume of these authorities, and nothing else of the secret; take
     {root, service}. */}}
{{- define "souk.postgresMounts" -}}
{{- if include "souk.postgresCA" . }}
- {name: {{ .service }}-postgres-ca, mountPath: /postgres/{{ .service }}, readOnly: true}
{{- end }}
{{- end -}}
{{- define "souk.postgresVolumes" -}}
{{- with include "souk.postgresCA" . | fromYaml }}
- name: {{ $.service }}-postgres-ca
  secret: {secretName: {{ .secret }}, items: [{key: {{ .key | quote }}, path: ca.crt}], defaultMode: 0440}
{{- end }}
{{- end -}}

{{/* The secret and key with the authorities of Redis's certificate; takes {root}. */}}
{{- define "souk.redisCA" -}}
{{- $redis := .root.Values.redis -}}
{{- if eq $redis.kind "external" -}}
{{- with $redis.external.caSecret -}}
secret: {{ . }}
key: {{ $redis.external.caKey }}
{{- end -}}
{{- else if and (eq $redis.kind "bundled") (ne .root.Values.tls.kind "off") -}}
secret: {{ include "souk.tlsSecret" (dict "root" .root "service" "redis") }}
key: ca.crt
{{- end -}}
{{- end -}}

{{/* The secret and key with the authorities of the broker's certificate, nothing where those
     of the system are meant; takes {root}. */}}
{{- define "souk.eventsCA" -}}
{{- $events := .root.Values.events -}}
{{- if eq $events.kind "external" -}}
{{- with $events.external.caSecret -}}
secret: {{ . }}
key: {{ $events.external.caKey }}
{{- end -}}
{{- else if and (eq $events.kind "bundled") (ne .root.Values.tls.kind "off") -}}
secret: {{ include "souk.tlsSecret" (dict "root" .root "service" "nats") }}
key: ca.crt
{{- end -}}
{{- end -}}

{{/* Where a part finds the broker of events; takes {root, service}. */}}
{{- define "souk.eventsEnv" -}}
{{- $events := .root.Values.events -}}
{{- if ne $events.kind "none" -}}
{{- $prefix := printf "SOUK_%s_EVENTS" (upper .service) -}}
- name: {{ $prefix }}_URL
  valueFrom:
    {{- if eq $events.kind "bundled" }}
    secretKeyRef: {name: {{ include "souk.fullname" .root }}-nats, key: {{ .service }}-url}
    {{- else }}
    secretKeyRef: {name: {{ required "events.external.secret: name the secret with the broker's address" $events.external.secret | replace "%s" .service }}, key: {{ $events.external.key | quote }}}
    {{- end }}
- name: {{ $prefix }}_REPLICAS
  value: {{ (get $events $events.kind).replicas | quote }}
{{- if include "souk.eventsCA" . }}
- name: {{ $prefix }}_CA_FILE
  value: /events/ca.crt
{{- end }}
{{- end -}}
{{- end -}}

{{/* The parts that tell the broker what happened, or are told by it. */}}
{{- define "souk.eventParts" -}}
{{- range (include "souk.parts" . | fromYamlArray) }}
{{- if .events }}
- {{ .name }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A password of the bundled broker: kept, or made of the one that the values give, for each
     user another; takes {root, secret, user}. */}}
{{- define "souk.natsPassword" -}}
{{- $given := .root.Values.events.bundled.password -}}
{{- if $given }}{{ printf "%s/%s" $given .user | sha256sum | trunc 40 }}{{ else }}{{ include "souk.kept" (merge (dict "key" (printf "%s-password" .user)) .) }}{{ end -}}
{{- end -}}

{{/* The subjects that a user of the bundled broker may publish to, which are the requests of
     JetStream's API, too: what the driver (services/chassis/events/nats) needs for what the
     part tells, takes and follows. A source's stream is made by whoever comes first; nobody but
     ops may change, empty or delete one. Takes a part. */}}
{{- define "souk.natsSubjects" -}}
- $JS.API.INFO
{{- if eq .name "ops" }}
- $JS.API.>
- souk-replay.>
{{- end }}
{{- $streams := dict }}
{{- if .tells }}
{{- $_ := set $streams (printf "souk-%s" .name) true }}
- souk.{{ .name }}.>
{{- end }}
{{- range $group := .takes }}
{{- $_ := set $streams "souk-positions" true }}
- souk-position.{{ .name }}.>
- $JS.API.DIRECT.GET.souk-positions.souk-position.{{ .name }}.>
{{- $_ := set $streams "souk-dead-letters" true }}
{{- $_ := set $streams "souk-replays" true }}
- souk-dead.{{ .name }}.>
{{- $consumers := list (printf "souk-replays.%s" .name) }}
{{- range $source := .sources }}
{{- $_ := set $streams (printf "souk-%s" $source) true }}
{{- range $partition := until 8 }}
{{- $consumer := printf "souk-%s.%s_%d" $source $group.name $partition }}
{{- $consumers = append $consumers $consumer }}
- $JS.API.CONSUMER.DELETE.{{ $consumer }}
- $JS.API.CONSUMER.UNPIN.{{ $consumer }}
{{- end }}
{{- end }}
{{- range $consumers }}
- $JS.API.CONSUMER.CREATE.{{ . }}.>
- $JS.API.CONSUMER.INFO.{{ . }}
- $JS.API.CONSUMER.MSG.NEXT.{{ . }}
- $JS.ACK.{{ . }}.>
{{- end }}
{{- end }}
{{- range $stream, $_ := $streams }}
- $JS.API.STREAM.INFO.{{ $stream }}
- $JS.API.STREAM.CREATE.{{ $stream }}
{{- end }}
{{- range .follows }}
- $JS.API.CONSUMER.CREATE.souk-{{ . }}.*
- $JS.API.CONSUMER.MSG.NEXT.souk-{{ . }}.*
- $JS.API.CONSUMER.DELETE.souk-{{ . }}.*
{{- end }}
{{- end -}}

{{/* The configuration of the bundled broker, the same for all nodes; takes {root, users,
     routes}: passwords by user, and that of the routes. */}}
{{- define "souk.natsConf" -}}
{{- $v := .root.Values.events.bundled -}}
{{- $nodes := printf "%s-nats-nodes" (include "souk.fullname" .root) -}}
{{- $tls := ne .root.Values.tls.kind "off" -}}
server_name: $POD_NAME
port: 4222
# For the pod's own probes: the monitoring pages know no password.
http: 127.0.0.1:8222
{{- if $tls }}
tls { cert_file: "/tls/tls.crt", key_file: "/tls/tls.key", min_version: "1.3", timeout: 5 }
{{- end }}
jetstream {
  store_dir: "/data"
  max_file_store: {{ $v.size }}
  max_memory_store: 64Mi
  # Acknowledged is on the disk; the default loses two minutes in a crash of the machine.
  sync_interval: always
}
authorization {
  users: [
    {{- range $user, $password := .users }}
    {{- $part := include "souk.part" (dict "root" $.root "name" $user) | fromYaml | default (dict "name" $user "tells" false "takes" list "follows" list) }}
    {
      user: "{{ $user }}", password: "{{ $password }}"
      permissions: {
        publish: [
          {{- range (include "souk.natsSubjects" $part | fromYamlArray) }}
          "{{ . }}"
          {{- end }}
        ]
        subscribe: ["_INBOX.{{ $user }}.>"]
      }
    }
    {{- end }}
  ]
}
{{- if gt (int $v.replicas) 1 }}
cluster {
  name: "souk"
  port: 6222
  # Clients have one address for all nodes, and no use for those of pods.
  no_advertise: true
  # A certificate of the same authority is not enough: every part of the shop has one.
  authorization { user: "routes", password: "{{ .routes }}", timeout: 5 }
  {{- if $tls }}
  tls { cert_file: "/tls/tls.crt", key_file: "/tls/tls.key", ca_file: "/tls/ca.crt", verify: true, min_version: "1.3", timeout: 5 }
  {{- end }}
  routes: [
    {{- range $node := until (int $v.replicas) }}
    "nats-route://routes:{{ $.routes }}@{{ printf "%s-nats-%d.%s" (include "souk.fullname" $.root) $node $nodes }}:6222"
    {{- end }}
  ]
}
{{- end }}
{{- end -}}

{{/* Where a part finds its certificate; takes {root, service}. */}}
{{- define "souk.tlsEnv" -}}
{{- $prefix := printf "SOUK_%s_TLS" (upper .service) -}}
{{- if eq .root.Values.tls.kind "off" -}}
- name: {{ $prefix }}_OFF
  value: "true"
{{- else -}}
{{- range $variable, $file := dict "CERT" "tls.crt" "KEY" "tls.key" "CA" "ca.crt" }}
- name: {{ $prefix }}_{{ $variable }}
  value: /tls/{{ $file }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The mounts and volumes of a gRPC service or the gateway; take {root, service}. */}}
{{- define "souk.mounts" -}}
{{- $part := include "souk.part" (dict "root" .root "name" .service) | fromYaml }}
{{- if ne .root.Values.tls.kind "off" }}
- {name: tls, mountPath: /tls, readOnly: true}
{{- end }}
{{- if $part.database }}{{ include "souk.postgresMounts" . }}{{ end }}
{{- if and $part.redis (include "souk.redisCA" .) }}
- {name: redis-ca, mountPath: /redis, readOnly: true}
{{- end }}
{{- if and $part.events (include "souk.eventsCA" .) }}
- {name: events-ca, mountPath: /events, readOnly: true}
{{- end }}
{{- if .root.Values.liveUpdate.enabled }}
- {{ include "souk.liveMount" .root }}
{{- end }}
{{- end -}}
{{- define "souk.volumes" -}}
{{- $part := include "souk.part" (dict "root" .root "name" .service) | fromYaml }}
{{- if ne .root.Values.tls.kind "off" }}
- name: tls # the process follows changes of its files
  secret: {secretName: {{ include "souk.tlsSecret" . }}, defaultMode: 0440}
{{- end }}
{{- if $part.database }}{{ include "souk.postgresVolumes" . }}{{ end }}
{{- if $part.redis }}
{{- with include "souk.redisCA" . | fromYaml }}
- name: redis-ca
  secret: {secretName: {{ .secret }}, items: [{key: {{ .key | quote }}, path: ca.crt}], defaultMode: 0440}
{{- end }}
{{- end }}
{{- if $part.events }}
{{- with include "souk.eventsCA" . | fromYaml }}
- name: events-ca
  secret: {secretName: {{ .secret }}, items: [{key: {{ .key | quote }}, path: ca.crt}], defaultMode: 0440}
{{- end }}
{{- end }}
{{- if .root.Values.liveUpdate.enabled }}
- {{ include "souk.liveVolume" .root }}
{{- end }}
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
{{- with .root.Values.telemetry }}
{{- if .otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .otlpEndpoint | quote }}
{{- with .headersSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: headers}
{{- end }}
{{- if not .otlpMetrics }}
- name: OTEL_METRICS_EXPORTER
  value: none
{{- end }}
{{- if ne (.sampling | float64) 1.0 }}
- name: OTEL_TRACES_SAMPLER
  value: parentbased_traceidratio
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .sampling | quote }}
{{- end }}
- name: POD_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: service.instance.id=$(POD_NAME),k8s.pod.name=$(POD_NAME),k8s.namespace.name={{ $.root.Release.Namespace }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The name and key of the secret with a role's connection string; takes {root, service,
     role}: runtime serves, owner migrates, reader reads for backups. */}}
{{- define "souk.dsn" -}}
{{- $pg := .root.Values.postgres -}}
{{- $own := printf "%s-%s-postgres" (include "souk.fullname" .root) .service -}}
{{- if eq $pg.kind "external" -}}
name: {{ required (printf "postgres.external.%s: name the secret with its connection strings" .service) (get $pg.external .service | default (replace "%s" .service $pg.external.secret)) }}
key: {{ dict "runtime" $pg.external.key "owner" ($pg.external.ownerKey | default $pg.external.key) "reader" (coalesce $pg.external.readerKey $pg.external.ownerKey $pg.external.key) | dig .role "" }}
{{- else if and (eq $pg.kind "cnpg") (eq .role "owner") -}}
name: {{ $own }}-app
key: uri
{{- else if eq $pg.kind "cnpg" -}}
name: {{ $own }}-{{ .role }}
key: dsn
{{- else -}}
name: {{ $own }}
key: {{ ternary "dsn" (printf "%s-dsn" .role) (eq .role "runtime") }}
{{- end -}}
{{- end -}}

{{/* The secret and key with the connection string of a database's replica, nothing where there is none or
     the service reads nothing of one; takes {root, service}. */}}
{{- define "souk.replicaDSN" -}}
{{- $pg := .root.Values.postgres -}}
{{- if (include "souk.part" (dict "root" .root "name" .service) | fromYaml).replica -}}
{{- if and (eq $pg.kind "external") $pg.external.replicaKey -}}
name: {{ (include "souk.dsn" (merge (dict "role" "runtime") .) | fromYaml).name }}
key: {{ $pg.external.replicaKey }}
{{- else if and (eq $pg.kind "cnpg") $pg.cnpg.readReplicas -}}
{{- if lt (int $pg.cnpg.instances) 2 }}{{ fail "postgres.cnpg.readReplicas: postgres.cnpg.instances has to be 2 or more" }}{{ end -}}
name: {{ include "souk.fullname" .root }}-{{ .service }}-postgres-runtime
key: replica-dsn
{{- end -}}
{{- end -}}
{{- end -}}

{{/* "true" if the roles that migrate and that serve are two; takes {root}. */}}
{{- define "souk.twoRoles" -}}
{{- or (ne .root.Values.postgres.kind "external") (ne .root.Values.postgres.external.ownerKey "") -}}
{{- end -}}

{{/* What the databases of the release are: an upgrade from others waits for them to change. */}}
{{- define "souk.databases" -}}
roles{{ if eq .Values.postgres.kind "bundled" }}-{{ ternary "plain" "tls" (eq .Values.tls.kind "off") }}{{ end }}
{{- end -}}

{{/* A password of a bundled database: kept, or made of the one that the values give, for
     each role another; takes {root, secret, key, role}. */}}
{{- define "souk.password" -}}
{{- $given := .root.Values.postgres.bundled.password -}}
{{- if $given }}{{ printf "%s/%s" $given .role | sha256sum | trunc 40 }}{{ else }}{{ include "souk.kept" . }}{{ end -}}
{{- end -}}

{{/* What a part may do in Redis; the test TestRedisUser of services/catalog runs the cache with it.
     mget is for pods of the version before, while they are replaced. */}}
{{- define "souk.redisACL" -}}
resetkeys resetchannels ~souk:{{ .name }}:* -@all +get +mget +set +setnx +ping +select
{{- end -}}

{{/* The value of a key in a secret that is there, else the given one, else a
     random one: made once, kept over upgrades; takes {root, secret, key, value, length}. */}}
{{- define "souk.kept" -}}
{{- $there := lookup "v1" "Secret" .root.Release.Namespace .secret -}}
{{- if get . "value" -}}
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
{{- range $key, $_ := omit .Values "global" "image" "currency" "log" "telemetry" "drain" "maxConnectionAge" "gateway" "service" "keda" "edge" "stripesim" "tls" "operators" "secrets" "postgres" "redis" "events" "liveUpdate" "migrations" "seed" "backup" "mail" "podDisruptionBudget" "topologySpread" "networkPolicy" "ingress" "httpRoute" "serviceMonitor" "nodeSelector" "tolerations" }}
{{- if not (has $key $services) }}{{ fail (printf "%s: there is no such value, and no such service" $key) }}{{ end }}
{{- end }}
{{- range $key, $_ := omit .Values.postgres.external "secret" "key" "ownerKey" "readerKey" "replicaKey" "port" "sslmode" "caSecret" "caKey" }}
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
{{- if and .events (eq $.Values.events.kind "bundled") }}
- {from: {{ .name }}, to: nats, port: {{ $port.nats }}}
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
{{- if and (eq .Values.events.kind "bundled") (gt (int .Values.events.bundled.replicas) 1) }}
- {from: nats, to: nats, port: 6222}
{{- end }}
{{- if .Values.gateway.peers.enabled }}
- {from: gateway, to: gateway, port: 9091}
- {from: gateway, to: gateway, port: 7946, udp: true}
{{- end }}
{{- if .Values.seed.enabled }}
- {from: seed, to: gateway, port: 8080}
{{- end }}
{{- end -}}

{{/* The connection strings of all databases; takes {root, role}. */}}
{{- define "souk.backupDSNs" -}}
{{- range $service := (include "souk.services" .root | fromYamlArray) }}
- name: {{ upper $service }}_DSN
  valueFrom:
    secretKeyRef: {{- include "souk.dsn" (dict "root" $.root "service" $service "role" $.role) | nindent 6 }}
{{- end }}
{{- with include "souk.sslmode" . }}
- name: PGSSLMODE
  value: {{ . }}
{{- end }}
{{- end -}}

{{/* What comes before a command that connects to a database, whose authorities may be
     others than the next one's. libpq takes the system's only when it is told (16 and later).
     Takes {root, service}. */}}
{{- define "souk.backupCA" -}}
{{- with include "souk.postgresCAFile" . | default (ternary "system" "" (eq "verify-full" (include "souk.sslmode" .))) }}PGSSLROOTCERT={{ . }} {{ end -}}
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
  {{- if .Values.backup.s3.serviceAccount }}
  - {name: RCLONE_CONFIG_S3_ENV_AUTH, value: "true"}
  {{- else }}
  - name: RCLONE_CONFIG_S3_ACCESS_KEY_ID
    valueFrom:
      secretKeyRef: {name: {{ .Values.backup.s3.existingSecret }}, key: access-key-id}
  - name: RCLONE_CONFIG_S3_SECRET_ACCESS_KEY
    valueFrom:
      secretKeyRef: {name: {{ .Values.backup.s3.existingSecret }}, key: secret-access-key}
  {{- end }}
resources: {{- toYaml .Values.backup.resources | nindent 2 }}
securityContext: {{- include "souk.containerSecurity" . | nindent 2 }}
volumeMounts:
  - {name: backup, mountPath: /backup}
  - {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* Where backups are, or wait to be sent. */}}
{{- define "souk.backupMounts" -}}
- {name: backup, mountPath: /backup}
- {name: tmp, mountPath: /tmp}
{{- range (include "souk.services" . | fromYamlArray) }}{{ include "souk.postgresMounts" (dict "root" $ "service" .) }}{{ end }}
{{- end -}}
{{- define "souk.backupVolumes" -}}
{{- range (include "souk.services" . | fromYamlArray) }}{{ include "souk.postgresVolumes" (dict "root" $ "service" .) }}{{ end }}
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

{{- /* The port of the mail server. */}}
{{- define "souk.mailPort" -}}
{{- .Values.mail.port | default (get (dict "starttls" 587 "implicit" 465 "off" 25) .Values.mail.tls) }}
{{- end }}
