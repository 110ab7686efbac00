package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"

	"secretsync/examples/devstack"
	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
)

// A release is what the chart makes of testdata/in-cluster.yaml in examples/deploy, in a cluster at the restricted Pod Security
// level, with its pod run as a kubelet would run it: under the service account and the rights of the chart, by its
// environment, mounts and probes.
type release struct {
	*world
	home, elsewhere *devstack.Cluster
	namespace       string // of the copies
	pod             *devstack.Pod
	probe           string // where the pod says whether it is ready
	grace           time.Duration
	insecure        *http.Client // a fresh connection for each request
}

const releaseNamespace = "secretsync"

func newRelease(t *testing.T) *release {
	t.Helper()
	ctx := t.Context()
	stack := devstack.Shared(t)
	suffix := strings.ToLower(rand.Text()[:8])
	api, metrics := devstack.FreePort(), devstack.FreePort()
	r := &release{
		world:     &world{dir: t.TempDir(), url: fmt.Sprintf("https://127.0.0.1:%d", api), prefix: "in-cluster-" + suffix, stack: stack, keys: map[string]string{}},
		home:      stack.Cluster("production"),
		elsewhere: stack.Cluster("staging"),
		namespace: "in-cluster-" + suffix,
		probe:     fmt.Sprintf("http://127.0.0.1:%d", metrics),
		insecure: &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the certificate is looked at by itself
		}},
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := r.home.Admin.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: releaseNamespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}, metav1.CreateOptions{})
	must(err)
	must(r.home.CreateNamespace(ctx, r.namespace))
	must(r.elsewhere.CreateNamespace(ctx, r.namespace))

	must(stack.Vault.ReadPolicy(ctx, r.prefix, "secret", r.prefix))
	must(stack.Vault.KubernetesAuth(ctx, r.home))
	_, err = stack.Vault.Client.Logical().WriteWithContext(ctx, "auth/production/role/secretsync-in-cluster", map[string]any{
		"bound_service_account_names": "in-cluster-secretsync", "bound_service_account_namespaces": releaseNamespace,
		"token_policies": []string{r.prefix}, "token_ttl": "1h", "audience": "vault",
	})
	must(err)

	key, plaintext := apikey.New(gitstore.TenantName{}, apikey.Admin, "The platform team")
	r.keys["admin"] = plaintext
	nobody, _, err := r.elsewhere.NewUser("nobody-" + suffix)
	must(err)
	r.putSecret(t, "secretsync-clusters", map[string][]byte{"elsewhere.kubeconfig": []byte(readFile(t, nobody))})
	r.putSecret(t, "secretsync-tls", serverCertificate(t, 1))

	content := readFile(t, "../../examples/deploy/testdata/in-cluster.yaml")
	for from, to := range map[string]string{
		"VAULT": stack.Vault.Address, "PREFIX": r.prefix, "KEYID": key.ID, "KEYHASH": key.Hash.String(),
		// The network of this pod is the machine's.
		"listen: :8443": fmt.Sprintf("listen: 127.0.0.1:%d", api), "metricsListen: :9090": fmt.Sprintf("metricsListen: 127.0.0.1:%d", metrics),
		"drain: 2s": "drain: 10s", // a busy machine may take seconds for what is seen meanwhile
	} {
		if !strings.Contains(content, from) {
			t.Fatalf("there is no %s in the release", from)
		}
		content = strings.ReplaceAll(content, from, to)
	}
	set := applyAll(t, r.home, content)

	pod := set.pod(set.name + "-0")
	r.grace = time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
	r.probe += pod.Spec.Containers[0].ReadinessProbe.HTTPGet.Path
	r.pod = newPod(t, r.home, pod)
	return r
}

// newPod prepares to run a pod with the program of this tree.
func newPod(t *testing.T, cluster *devstack.Cluster, pod *corev1.Pod) *devstack.Pod {
	t.Helper()
	program, err := exec.LookPath("secretsync")
	if err == nil {
		program, err = filepath.EvalSymlinks(program)
	}
	if err != nil {
		t.Fatal(err)
	}
	run, err := cluster.NewPod(pod, program)
	if errors.Is(err, errors.ErrUnsupported) && os.Getenv("CI") == "" {
		t.Skip("a pod can be run by the machine's administrator only")
	}
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// workload is what makes pods: a Deployment or a StatefulSet.
type workload struct {
	name, namespace string
	template        corev1.PodTemplateSpec
	claims          []corev1.PersistentVolumeClaim
}

// pod is one of them, as its controller would make it.
func (w *workload) pod(name string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: *w.template.ObjectMeta.DeepCopy(), Spec: *w.template.Spec.DeepCopy()}
	pod.Name, pod.Namespace = name, w.namespace
	for _, claim := range w.claims {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: claim.Name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name + "-" + pod.Name},
		}})
	}
	return pod
}

// applyAll applies the objects and returns the one among them that makes pods.
func applyAll(t *testing.T, cluster *devstack.Cluster, content string) *workload {
	t.Helper()
	client, err := dynamic.NewForConfig(cluster.AdminConfig)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := restmapper.GetAPIGroupResources(discovery.NewDiscoveryClient(cluster.Admin.CoreV1().RESTClient()))
	if err != nil {
		t.Fatal(err)
	}
	mapper := restmapper.NewDiscoveryRESTMapper(groups)
	made := new(workload)
	documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(content)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return made
		}
		if err != nil {
			t.Fatal(err)
		}
		asJSON, err := utilyaml.ToJSON(document)
		if err != nil || string(asJSON) == "null" {
			continue
		}
		o := new(unstructured.Unstructured)
		if err := o.UnmarshalJSON(asJSON); err != nil {
			t.Fatal(err)
		}
		mapping, err := mapper.RESTMapping(o.GroupVersionKind().GroupKind(), o.GroupVersionKind().Version)
		if err != nil {
			t.Fatal(err)
		}
		var resource dynamic.ResourceInterface = client.Resource(mapping.Resource)
		if o.GetNamespace() != "" {
			resource = client.Resource(mapping.Resource).Namespace(o.GetNamespace())
		}
		if _, err := resource.Patch(t.Context(), o.GetName(), types.ApplyPatchType, asJSON, metav1.PatchOptions{FieldManager: "helm"}); err != nil {
			t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
		switch o.GetKind() {
		case "StatefulSet":
			var set appsv1.StatefulSet
			err = runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &set)
			*made = workload{set.Name, set.Namespace, set.Spec.Template, set.Spec.VolumeClaimTemplates}
		case "Deployment":
			var deployment appsv1.Deployment
			err = runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &deployment)
			*made = workload{deployment.Name, deployment.Namespace, deployment.Spec.Template, nil}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// serverCertificate is what a Secret of type kubernetes.io/tls holds.
func serverCertificate(t *testing.T, serial int64) map[string][]byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "secretsync"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}),
	}
}

// putSecret makes or replaces a Secret of the pod's.
func (r *release) putSecret(t *testing.T, name string, data map[string][]byte) {
	t.Helper()
	putSecret(t, r.home, releaseNamespace, name, data)
}

func putSecret(t *testing.T, cluster *devstack.Cluster, namespace, name string, data map[string][]byte) {
	t.Helper()
	secrets := cluster.Admin.CoreV1().Secrets(namespace)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
	_, err := secrets.Update(t.Context(), secret, metav1.UpdateOptions{})
	if err != nil {
		_, err = secrets.Create(t.Context(), secret, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// start starts the pod and waits until its probe says that it is ready.
func (r *release) start(t *testing.T) {
	t.Helper()
	if err := r.pod.Start(t.Context(), func(ctx context.Context) error {
		if status := r.ready(ctx); status != http.StatusOK {
			return fmt.Errorf("the probe says %d", status)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// ready is the status that the pod's readiness probe gets; 0: no answer.
func (r *release) ready(ctx context.Context) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.probe, nil)
	if err != nil {
		return 0
	}
	response, err := r.insecure.Do(request)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

// ask makes a call of the API that must be answered with a status.
func (r *release) ask(t *testing.T, status int, method, path, body string) string {
	t.Helper()
	a, err := r.callBy(r.insecure, "admin", method, path, body, "")
	if err != nil {
		t.Fatal(err)
	}
	if a.status != status {
		t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a.body
}

// eventually waits for what nobody tells of.
func eventually(t *testing.T, what string, there func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !there(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come to pass", what)
		}
	}
}

// copied waits until the copy holds a value.
func (r *release) copied(t *testing.T, cluster *devstack.Cluster, value string) {
	t.Helper()
	if err := r.awaitSecret(cluster.Name, r.namespace, "db", func(s *corev1.Secret) bool { return string(s.Data["password"]) == value }); err != nil {
		log := readFile(t, r.pod.Log())
		t.Fatalf("in %s: %v\n%s", cluster.Name, err, log[max(0, len(log)-4000):])
	}
}
