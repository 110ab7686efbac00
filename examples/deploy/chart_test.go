package deploy

import (
	"bufio"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// namespace is where everything of a test goes.
const namespace = "secretsync"

// Value sets that people use, each with what they are for.
var valueSets = map[string]string{
	"one pod with a volume": ``,
	"one pod without a volume": `
persistence: {enabled: false}
keys: {store: kubernetes}
`,
	"three pods": `
replicaCount: 3
replicas: {enabled: true, tlsSecret: secretsync-replicas}
keys: {store: kubernetes}
persistence: {enabled: false}
`,
	"three pods with volumes, everything else too": `
image: {repository: registry.example.com/platform/secretsync, digest: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", pullPolicy: Always}
imagePullSecrets: [{name: registry}]
fullnameOverride: secrets
replicaCount: 3
replicas: {enabled: true, tlsSecret: secretsync-replicas, shards: 32, lease: 20s}
keys: {store: kubernetes}
persistence: {size: 1Gi, storageClass: fast, accessModes: [ReadWriteOncePod]}
tls: {secret: secretsync-tls}
config:
  log: {level: debug}
  workers: 16
  limits: {burst: 1000000}
  vault: {address: "https://vault.example.com:8200", mount: secret, auth: {kubernetes: {role: secretsync, tokenFile: /etc/secretsync/vault-token/token}}}
  clusters:
    home: {inCluster: true}
    production: {kubeconfig: /etc/secretsync/clusters/production.kubeconfig}
files:
  clusters: {secret: secretsync-clusters}
  vault-ca: {configMap: vault-ca, optional: true}
vaultToken: {enabled: true, audience: vault.example.com, expirationSeconds: 1800}
target: {namespaces: [payments, shop], restarts: false}
service: {type: LoadBalancer, port: 8443, annotations: {example.com/kind: internal}}
serviceAccount: {name: secrets-server, annotations: {example.com/role: secrets}}
drainSeconds: 10
terminationGracePeriodSeconds: 75
podDisruptionBudget: {maxUnavailable: 2}
networkPolicy:
  from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}}]
  ports: [443, 8200]
  egress: [{ports: [{port: 4318, protocol: TCP}]}]
monitoring:
  namespace: prometheus
  serviceMonitor: {enabled: true, interval: 1m, labels: {release: prometheus}}
  rules: {enabled: true, labels: {release: prometheus}}
  dashboard: {enabled: true, annotations: {grafana_folder: Platform}}
resources: {requests: {cpu: 1, memory: 1Gi}, limits: {memory: 2Gi}}
env: [{name: HTTPS_PROXY, value: "http://proxy.example.com:3128"}]
podLabels: {team: platform}
podAnnotations: {example.com/scrape: "true"}
priorityClassName: ""
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: platform, operator: Exists}]
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/arch, operator: In, values: [amd64, arm64]}]}]}}}
topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app.kubernetes.io/name: secretsync}}}]
`,
	"copies in the whole cluster": `
config: {clusters: {home: {inCluster: true}}}
target: {clusterWide: true}
networkPolicy: {enabled: false}
podDisruptionBudget: {enabled: false}
`,
	"a configuration and an account of one's own": `
existingConfigMap: my-config
serviceAccount: {create: false, name: my-account}
networkPolicy: {ports: []}
`,
}

// render returns what the chart makes of values, by the name of the template.
func render(t *testing.T, release, values string) (map[string]string, error) {
	t.Helper()
	return renderIn(t, release, namespace, values)
}

func renderIn(t *testing.T, release, namespace, values string) (map[string]string, error) {
	t.Helper()
	chart, err := loader.LoadDir("chart")
	if err != nil {
		t.Fatal(err)
	}
	given, err := loader.LoadValues(strings.NewReader(values))
	if err != nil {
		t.Fatal(err)
	}
	options := common.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(chart, given, options, common.DefaultCapabilities.Copy())
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return nil, err
	}
	rendered := map[string]string{}
	for name, content := range files {
		if strings.TrimSpace(content) != "" {
			rendered[path.Base(name)] = content
		}
	}
	return rendered, nil
}

func mustRender(t *testing.T, release, values string) map[string]string {
	t.Helper()
	return mustRenderIn(t, release, namespace, values)
}

func mustRenderIn(t *testing.T, release, namespace, values string) map[string]string {
	t.Helper()
	files, err := renderIn(t, release, namespace, values)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// objectsOf are the objects of rendered files, in the order of their kinds that a cluster needs.
func objectsOf(t *testing.T, files map[string]string) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	for name, content := range files {
		if path.Ext(name) == ".yaml" {
			objects = append(objects, parse(t, content)...)
		}
	}
	order := []string{"Namespace", "ServiceAccount", "ClusterRole", "Role"}
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int {
		first := func(o *unstructured.Unstructured) int {
			if i := slices.Index(order, o.GetKind()); i >= 0 {
				return i
			}
			return len(order)
		}
		if d := first(a) - first(b); d != 0 {
			return d
		}
		return strings.Compare(keyOf(a), keyOf(b))
	})
	return objects
}

func keyOf(o *unstructured.Unstructured) string {
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}

// parse reads the documents of a file strictly: a key that stands there twice is a mistake of a template.
func parse(t *testing.T, content string) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(content)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		var object map[string]any
		if err := yaml.UnmarshalStrict(document, &object); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if len(object) > 0 {
			objects = append(objects, &unstructured.Unstructured{Object: object})
		}
	}
}

func find(t *testing.T, objects []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	t.Helper()
	for _, o := range objects {
		if o.GetKind() == kind && o.GetName() == name {
			return o
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return nil
}
