{{/* What every object is labelled with. Given: name. */}}
{{- define "upbeat.labels" -}}
app: {{ .name }}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/part-of: upbeat
{{- end }}

{{/* A service's full name. Given: root, service. */}}
{{- define "upbeat.name" -}}
{{ .root.Values.namePrefix }}{{ .service }}
{{- end }}

{{- define "upbeat.image" -}}
{{ with .root.Values.image.registry }}{{ . }}/{{ end }}{{ .service }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* How AWS is reached. */}}
{{- define "upbeat.awsEnv" -}}
- {name: AWS_REGION, value: {{ .Values.aws.region | quote }}}
{{- if .Values.localstack.enabled }}
- {name: AWS_ENDPOINT_URL, value: {{ .Values.aws.endpointUrl | default (printf "http://%slocalstack:4566" .Values.namePrefix) | quote }}}
# LocalStack takes any; on AWS they come by the service account.
- {name: AWS_ACCESS_KEY_ID, value: test}
- {name: AWS_SECRET_ACCESS_KEY, value: test}
{{- else if .Values.aws.endpointUrl }}
- {name: AWS_ENDPOINT_URL, value: {{ .Values.aws.endpointUrl | quote }}}
{{- end }}
{{- end }}

{{/* The pod of a service. Given: root, service, values, env. */}}
{{- define "upbeat.pod" -}}
{{- $name := include "upbeat.name" . -}}
# It has no use for Kubernetes' own API, and none for the addresses of Services in its environment, where settings are.
automountServiceAccountToken: false
enableServiceLinks: false
{{- if .values.roleArn }}
serviceAccountName: {{ $name }}
{{- end }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
terminationGracePeriodSeconds: {{ .values.gracePeriodSeconds }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  {{- if .spool }}
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {app: {{ $name }}}
containers:
  - name: {{ .service }}
    image: {{ include "upbeat.image" . }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    ports:
      - {name: http, containerPort: 5000}
    env:
      {{- if ne .service "shout" }}
      {{- include "upbeat.awsEnv" .root | nindent 6 }}
      {{- end }}
      {{- range $name, $value := merge (dict) .values.env .env }}
      - {name: {{ $name }}, value: {{ $value | toString | quote }}}
      {{- end }}
    # Whether it has started; then, whether each of its tasks makes progress. Neither depends on anything else, so no
    # outage restarts it.
    startupProbe:
      httpGet: {path: /health, port: http}
      periodSeconds: 1
      timeoutSeconds: 2
      failureThreshold: 30
    livenessProbe:
      httpGet: {path: /health, port: http}
      periodSeconds: 10
      timeoutSeconds: 2
      failureThreshold: 3
      # What is stuck won't drain.
      terminationGracePeriodSeconds: 15
    # Whether {{ eq .service "shout" | ternary "it takes requests" "topic or queue can be reached" }}, and no stop is under way.
    readinessProbe:
      httpGet: {path: /ready, port: http}
      periodSeconds: 5
      timeoutSeconds: 2
      failureThreshold: 3
    {{- if eq .service "shout" }}
    # Until all nodes know that it goes, requests still come.
    lifecycle:
      preStop: {sleep: {seconds: 10}}
    {{- end }}
    resources:
      {{- toYaml .values.resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      {{- if .spool }}
      - {name: spool, mountPath: /var/lib/producer}
      {{- end }}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: 64Mi}
{{- end }}

{{/* The Service in front of a service's pods. Given: root, service. */}}
{{- define "upbeat.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "upbeat.name" . }}
  labels:
    {{- include "upbeat.labels" (dict "name" (include "upbeat.name" .)) | nindent 4 }}
spec:
  selector: {app: {{ include "upbeat.name" . }}}
  ports:
    - {name: http, port: 5000, targetPort: http}
{{- end }}
