{{/* The name of everything: a DNS label, as Services need one, with room for what is put behind it. Helm lets names of releases have
     dots. */}}
{{- define "secretsync.name" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride }}
{{- else if contains "secretsync" .Release.Name }}{{ .Release.Name | replace "." "-" | trunc 50 | trimAll "-" }}
{{- else }}{{ printf "%s-secretsync" .Release.Name | replace "." "-" | trunc 50 | trimAll "-" }}
{{- end }}
{{- end }}

{{/* The name of what does not lie in the release's namespace, where releases of other namespaces have theirs: another one for each.
     No name and no namespace has a dot. */}}
{{- define "secretsync.targetName" -}}
{{- $name := include "secretsync.name" . }}
{{- ternary $name (printf "%s.%s" $name .Release.Namespace) (eq $name .Release.Namespace) }}
{{- end }}

{{/* What pods are selected by: it never changes. */}}
{{- define "secretsync.selector" -}}
app.kubernetes.io/name: secretsync
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "secretsync.labels" -}}
{{ include "secretsync.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimAll "-_." | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{- end }}

{{- define "secretsync.account" -}}
{{ .Values.serviceAccount.name | default (ternary (include "secretsync.name" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "secretsync.configMap" -}}
{{ .Values.existingConfigMap | default (printf "%s-config" (include "secretsync.name" .)) }}
{{- end }}

{{- define "secretsync.apiPort" -}}
{{ ternary 8443 8080 (not (empty .Values.tls.secret)) }}
{{- end }}

{{- define "secretsync.servicePort" -}}
{{ .Values.service.port | default (ternary 443 80 (not (empty .Values.tls.secret))) }}
{{- end }}

{{/* "true" if the server speaks to the cluster it runs in, for its keys and Leases. */}}
{{- define "secretsync.home" -}}
{{ or .Values.replicas.enabled (eq .Values.keys.store "kubernetes") }}
{{- end }}

{{/* "true" if the pod has the token of its service account. */}}
{{- define "secretsync.token" -}}
{{ or (eq (include "secretsync.home" .) "true") .Values.target.clusterWide (gt (len .Values.target.namespaces) 0) }}
{{- end }}

{{/* The server's configuration: what was given, and what follows from the other values. */}}
{{- define "secretsync.config" -}}
{{- $config := deepCopy .Values.config }}
{{- range $field := list "listen" "metricsListen" "dataDir" "drain" "tls" "home" "keys" "replicas" }}
{{- if hasKey $config $field }}
{{- fail (printf "config.%s: the chart says that itself, from its other values; take it out of config" $field) }}
{{- end }}
{{- end }}
{{- range $field := list "clusters" "tenants" }}
{{- $entries := get $config $field | default dict }}
{{- if not (kindIs "map" $entries) }}
{{- fail (printf "config.%s: is no mapping; give each by its name, as examples/secretsync.yaml does" $field) }}
{{- end }}
{{- range $name, $entry := $entries }}
{{- if not (kindIs "map" $entry) }}
{{- fail (printf "config.%s.%s: says nothing; see examples/secretsync.yaml for what it needs, or take it out" $field $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $tenant := $config.tenants }}
{{- $repository := $tenant.repository }}
{{- if kindIs "map" $repository }}{{ $repository = $repository.url }}{{ end }}
{{- if and (not $repository) (not $.Values.persistence.enabled) }}
{{- fail (printf "config.tenants.%s.repository: is missing; without persistence.enabled what is committed would go with the pod: name a remote repository" $name) }}
{{- end }}
{{- if and (not $repository) $.Values.replicas.enabled (not $tenant.onReplica) }}
{{- fail (printf "config.tenants.%s.repository: is missing; with replicas.enabled name a remote repository, or in onReplica the pod whose volume has it, such as %s-0" $name (include "secretsync.name" $)) }}
{{- end }}
{{- end }}
{{- range $name, $cluster := $config.clusters }}
{{- if and $cluster.inCluster (not $.Values.target.clusterWide) (not $.Values.target.namespaces) }}
{{- fail (printf "config.clusters.%s is the cluster that the server runs in, where it has no rights: set target.clusterWide, or list target.namespaces" $name) }}
{{- end }}
{{- end }}
{{- $port := include "secretsync.apiPort" . }}
{{- $config = merge $config (dict "listen" (printf ":%s" $port) "metricsListen" ":9090" "dataDir" "/var/lib/secretsync" "drain" (printf "%ds" (int .Values.drainSeconds))) }}
{{- if .Values.tls.secret }}
{{- $config = merge $config (dict "tls" (dict "certFile" "/etc/secretsync/tls/tls.crt" "keyFile" "/etc/secretsync/tls/tls.key")) }}
{{- end }}
{{- if eq .Values.keys.store "kubernetes" }}
{{- $config = merge $config (dict "keys" (dict "store" "kubernetes")) }}
{{- end }}
{{- if eq (include "secretsync.home" .) "true" }}
{{- $config = merge $config (dict "home" (dict "namespace" .Release.Namespace)) }}
{{- end }}
{{- if .Values.replicas.enabled }}
{{- $folder := "/etc/secretsync/replicas" }}
{{- $config = merge $config (dict "replicas" (dict "shards" (int .Values.replicas.shards) "lease" .Values.replicas.lease "listen" ":8444" "certFile" (printf "%s/tls.crt" $folder) "keyFile" (printf "%s/tls.key" $folder) "caFile" (printf "%s/ca.crt" $folder))) }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* What can't be together, told before anything is made. */}}
{{- define "secretsync.check" -}}
{{- if not (regexMatch "^[a-z]" (include "secretsync.name" .)) }}
{{- fail (printf "the name of the release, %s, does not begin with a letter, as the names of Services have to: set fullnameOverride" .Release.Name) }}
{{- end }}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" }}
{{- if hasKey ($.Values.podLabels | default dict) $label }}
{{- fail (printf "podLabels: the chart says %s itself, and finds the pods by such labels; take it out" $label) }}
{{- end }}
{{- end }}
{{- if and (gt (int .Values.replicaCount) 1) (not .Values.replicas.enabled) }}
{{- fail "replicaCount: several pods would all do the same work; set replicas.enabled to spread the tenants over them" }}
{{- end }}
{{- if and .Values.replicas.enabled (not .Values.replicas.tlsSecret) }}
{{- fail "replicas.tlsSecret: is missing; name a Secret with tls.crt, tls.key and ca.crt, by which the pods know each other" }}
{{- end }}
{{- if and .Values.replicas.enabled (ne .Values.keys.store "kubernetes") }}
{{- fail "keys.store: with replicas.enabled it has to be kubernetes, so that an API key counts in every pod" }}
{{- end }}
{{- if and (not .Values.persistence.enabled) (ne .Values.keys.store "kubernetes") }}
{{- fail "keys.store: without persistence.enabled it has to be kubernetes, or API keys and the key of the hashes would go with the pod" }}
{{- end }}
{{- $least := add (int .Values.drainSeconds) 25 }}
{{- if .Values.replicas.enabled }}
{{- $lease := .Values.replicas.lease | default "15s" }}
{{- $least = add $least (mul 2 (int (trimSuffix "m" (trimSuffix "s" $lease))) (ternary 60 1 (hasSuffix "m" $lease))) }}
{{- end }}
{{- if lt (int .Values.terminationGracePeriodSeconds) (int $least) }}
{{- fail (printf "terminationGracePeriodSeconds: has to be at least %d: drainSeconds, 15 for requests under way, 10 to put down what the server holds, and with replicas.enabled two lease times to hand shards over" $least) }}
{{- end }}
{{- if and .Values.existingConfigMap (ne (toYaml .Values.config) (toYaml (dict "log" (dict "format" "json")))) }}
{{- fail "config: is not used with existingConfigMap; give one of the two" }}
{{- end }}
{{- end }}

{{/* The pod, of a Deployment or a StatefulSet. */}}
{{- define "secretsync.pod" -}}
metadata:
  labels:
    {{- include "secretsync.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "secretsync.account" . }}
  # Without rights in this cluster the pod has no token for it.
  automountServiceAccountToken: {{ include "secretsync.token" . }}
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    {{- with .Values.runAs.user }}
    runAsUser: {{ int64 . }}
    {{- end }}
    {{- with .Values.runAs.group }}
    runAsGroup: {{ int64 . }}
    fsGroup: {{ int64 . }}
    {{- end }}
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: secretsync
      image: {{ printf "%s%s" .Values.image.repository (ternary (printf "@%s" .Values.image.digest) (printf ":%s" (.Values.image.tag | default .Chart.AppVersion)) (not (empty .Values.image.digest))) | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve, --config, /etc/secretsync/config/secretsync.yaml]
      env:
        - name: POD_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        - name: POD_NAMESPACE
          valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
        - name: POD_IP
          valueFrom: {fieldRef: {fieldPath: status.podIP}}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - {name: api, containerPort: {{ include "secretsync.apiPort" . }}}
        - {name: metrics, containerPort: 9090}
        {{- if .Values.replicas.enabled }}
        - {name: replicas, containerPort: 8444}
        {{- end }}
      # By the address of the metrics, which speaks plain HTTP and isn't limited. Alive is who answers; a vault or a cluster
      # that is away makes the server neither dead nor unready, for it goes on with everything else.
      startupProbe:
        httpGet: {path: /healthz, port: metrics}
        periodSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: metrics}
        periodSeconds: 10
        timeoutSeconds: 5
      readinessProbe:
        httpGet: {path: /readyz, port: metrics}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        # Folders and no subPath: what is mounted by subPath is never renewed.
        - {name: config, mountPath: /etc/secretsync/config, readOnly: true}
        {{- if .Values.tls.secret }}
        - {name: tls, mountPath: /etc/secretsync/tls, readOnly: true}
        {{- end }}
        {{- if .Values.replicas.enabled }}
        - {name: replicas, mountPath: /etc/secretsync/replicas, readOnly: true}
        {{- end }}
        {{- if .Values.vaultToken.enabled }}
        - {name: vault-token, mountPath: /etc/secretsync/vault-token, readOnly: true}
        {{- end }}
        {{- range $name, $from := .Values.files }}
        - {name: files-{{ $name }}, mountPath: /etc/secretsync/{{ $name }}, readOnly: true}
        {{- end }}
        - {name: data, mountPath: /var/lib/secretsync}
        - {name: tmp, mountPath: /tmp}
  volumes:
    - name: config
      configMap: {name: {{ include "secretsync.configMap" . }}}
    {{- if .Values.tls.secret }}
    - name: tls
      secret: {secretName: {{ .Values.tls.secret }}, defaultMode: 0440}
    {{- end }}
    {{- if .Values.replicas.enabled }}
    - name: replicas
      secret: {secretName: {{ .Values.replicas.tlsSecret }}, defaultMode: 0440}
    {{- end }}
    {{- if .Values.vaultToken.enabled }}
    - name: vault-token
      projected:
        defaultMode: 0440
        sources:
          - serviceAccountToken: {path: token, audience: {{ .Values.vaultToken.audience | quote }}, expirationSeconds: {{ .Values.vaultToken.expirationSeconds }}}
    {{- end }}
    {{- range $name, $from := .Values.files }}
    - name: files-{{ $name }}
      {{- if $from.secret }}
      secret: {secretName: {{ $from.secret }}, defaultMode: 0440, optional: {{ $from.optional | default false }}}
      {{- else }}
      configMap: {name: {{ $from.configMap }}, optional: {{ $from.optional | default false }}}
      {{- end }}
    {{- end }}
    {{- if not .Values.persistence.enabled }}
    - name: data
      emptyDir: {}
    {{- end }}
    - name: tmp
      emptyDir: {}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    {{- if .Values.topologySpreadConstraints }}
    {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
    {{- else }}
    {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "secretsync.selector" $ | nindent 10 }}
    {{- end }}
    {{- end }}
{{- end }}

{{/* What the server needs in the cluster, or in a namespace, whose Secrets it writes. */}}
{{- define "secretsync.targetRules" -}}
# The copies. One watch finds those that someone edits or deletes.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
# To tell about a target in its namespace.
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- if .Values.target.restarts }}
# Only where targets restart workloads: to note on one what its pods were started with, and to start them anew.
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [get, patch]
{{- end }}
{{- end }}
