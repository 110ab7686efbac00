package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
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
	} {
		if !strings.Contains(content, from) {
			t.Fatalf("there is no %s in the release", from)
		}
		content = strings.ReplaceAll(content, from, to)
	}
	set := r.applyAll(t, content)

	program, err := exec.LookPath("secretsync")
	must(err)
	program, err = filepath.EvalSymlinks(program)
	must(err)
	pod := &corev1.Pod{ObjectMeta: *set.Spec.Template.ObjectMeta.DeepCopy(), Spec: *set.Spec.Template.Spec.DeepCopy()}
	pod.Name, pod.Namespace = set.Name+"-0", set.Namespace
	for _, claim := range set.Spec.VolumeClaimTemplates {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: claim.Name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name + "-" + pod.Name},
		}})
	}
	r.grace = time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
	r.probe += pod.Spec.Containers[0].ReadinessProbe.HTTPGet.Path
	r.pod, err = r.home.NewPod(pod, program)
	if errors.Is(err, errors.ErrUnsupported) && os.Getenv("CI") == "" {
		t.Skip("a pod can be run by the machine's administrator only")
	}
	must(err)
	return r
}

// applyAll applies the objects and returns the StatefulSet among them.
func (r *release) applyAll(t *testing.T, content string) *appsv1.StatefulSet {
	t.Helper()
	client, err := dynamic.NewForConfig(r.home.AdminConfig)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := restmapper.GetAPIGroupResources(discovery.NewDiscoveryClient(r.home.Admin.CoreV1().RESTClient()))
	if err != nil {
		t.Fatal(err)
	}
	mapper := restmapper.NewDiscoveryRESTMapper(groups)
	var set appsv1.StatefulSet
	documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(content)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return &set
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
		if o.GetKind() == "StatefulSet" {
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &set); err != nil {
				t.Fatal(err)
			}
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
	secrets := r.home.Admin.CoreV1().Secrets(releaseNamespace)
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

// The configurations of the Kustomize base are ones that the server takes.
func TestTheConfigurationsOfTheBaseAreRight(t *testing.T) {
	for _, path := range []string{"secretsync.yaml", "replicas/secretsync.yaml"} {
		dir := t.TempDir()
		for name, content := range serverCertificate(t, 1) {
			if err := errors.Join(os.WriteFile(filepath.Join(dir, name), content, 0o600), os.WriteFile(filepath.Join(dir, "ca.crt"), content, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		content := strings.ReplaceAll(readFile(t, "../../examples/deploy/kustomize/"+path), "/etc/secretsync/replicas", dir)
		file := filepath.Join(dir, "secretsync.yaml")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		check := exec.Command("secretsync", "serve", "--config", file, "--check")
		check.Env = append(os.Environ(), "POD_NAME=secretsync-0", "POD_IP=10.0.0.7")
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
}

func TestAPodInACluster(t *testing.T) {
	r := newRelease(t)
	if err := r.put("db", map[string]any{"password": "one"}); err != nil {
		t.Fatal(err)
	}
	r.start(t)
	t.Cleanup(r.pod.Stop)

	t.Run("runs as nobody in particular", r.runsAsNobody)
	t.Run("copies by the rights of its account and the login of its token", func(t *testing.T) {
		r.ask(t, 201, "POST", "/tenants/acme/secrets", fmt.Sprintf(
			`{"name":"db","secretPath":"db","sync":[{"cluster":"home","namespace":%[1]q},{"cluster":"elsewhere","namespace":%[1]q}]}`, r.namespace))
		r.copied(t, r.home, "one")
		eventually(t, "that the other cluster lets nobody in", func() bool {
			return strings.Contains(r.ask(t, 200, "GET", "/tenants/acme/secrets/db", ""), `"reason":"Forbidden"`)
		})
	})
	t.Run("follows a kubeconfig in a Secret", func(t *testing.T) {
		r.putSecret(t, "secretsync-clusters", map[string][]byte{"elsewhere.kubeconfig": []byte(readFile(t, r.elsewhere.Kubeconfig))})
		r.refresh(t)
		r.copied(t, r.elsewhere, "one")
	})
	t.Run("follows its configuration in a ConfigMap", func(t *testing.T) {
		maps := r.home.Admin.CoreV1().ConfigMaps(releaseNamespace)
		config, err := maps.Get(t.Context(), "in-cluster-secretsync-config", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		config.Data["secretsync.yaml"] = strings.Replace(config.Data["secretsync.yaml"], "  acme:\n", "  acme:\n    displayName: Acme renewed\n", 1)
		if _, err := maps.Update(t.Context(), config, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.refresh(t)
		eventually(t, "the new name", func() bool { return strings.Contains(r.ask(t, 200, "GET", "/tenants/acme", ""), "Acme renewed") })
	})
	t.Run("follows its certificate in a Secret", func(t *testing.T) {
		r.putSecret(t, "secretsync-tls", serverCertificate(t, 2))
		r.refresh(t)
		eventually(t, "the new certificate", func() bool {
			c, err := tls.Dial("tcp", strings.TrimPrefix(r.url, "https://"), &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64() == 2
		})
	})
	t.Run("follows the tokens of its account", func(t *testing.T) {
		old := map[string]string{}
		for volume, audience := range map[string]string{"automounted": "https://kubernetes.default.svc", "vault-token": "vault"} {
			old[audience] = readFile(t, filepath.Join(r.pod.Folder(volume), "token"))
		}
		if err := r.pod.RenewTokens(t.Context()); err != nil {
			t.Fatal(err)
		}
		for audience, token := range old {
			eventually(t, "that the old token is refused", func() bool { return !r.accepted(t, token, audience) }) // the API server remembers for 10 s
		}
		if err := r.stack.Vault.Client.Sys().RevokePrefixWithContext(t.Context(), "auth/production/login"); err != nil { // a login by a token is needed anew
			t.Fatal(err)
		}
		if err := r.put("db", map[string]any{"password": "two"}); err != nil {
			t.Fatal(err)
		}
		r.copied(t, r.home, "two")
		r.copied(t, r.elsewhere, "two")
	})
	t.Run("needs each right that it has, and was refused none", r.needsItsRights)
	t.Run("may do nothing else", r.mayNothingElse)
	t.Run("ends in order", r.endsInOrder)
}

func (r *release) refresh(t *testing.T) {
	t.Helper()
	if err := r.pod.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// accepted asks the cluster whether it knows a token.
func (r *release) accepted(t *testing.T, token, audience string) bool {
	t.Helper()
	review, err := r.home.Admin.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.Authenticated
}

func (r *release) runsAsNobody(t *testing.T) {
	process := fmt.Sprintf("/proc/%d/", r.pod.PID())
	status := readFile(t, process+"status")
	for _, want := range []string{"Uid:\t65532\t65532\t65532\t65532", "Gid:\t65532", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"} {
		if !strings.Contains(status, want) {
			t.Errorf("no %q in\n%s", want, status)
		}
	}
	// Where it may write at all.
	var writable []string
	for line := range strings.Lines(readFile(t, process+"mountinfo")) {
		fields := strings.Fields(line)
		at, options, super := fields[4], strings.Split(fields[5], ","), strings.Split(fields[len(fields)-1], ",")
		ofTheKernel := strings.HasPrefix(at, "/proc") || strings.HasPrefix(at, "/dev") || strings.HasPrefix(at, "/sys")
		if !slices.Contains(options, "ro") && !slices.Contains(super, "ro") && !ofTheKernel {
			writable = append(writable, at)
		}
	}
	slices.Sort(writable)
	if want := []string{"/tmp", "/var/lib/secretsync"}; !slices.Equal(writable, want) {
		t.Errorf("it may write to %q; want %q", writable, want)
	}
}

// needsItsRights looks at what the account asked of the cluster, as its audit log has it.
func (r *release) needsItsRights(t *testing.T) {
	const account = "system:serviceaccount:" + releaseNamespace + ":in-cluster-secretsync"
	events, err := r.home.Audited()
	if err != nil {
		t.Fatal(err)
	}
	verbs := map[string]bool{}
	for _, e := range events {
		if e.User != account {
			continue
		}
		verbs[e.Verb] = true
		if e.Code == http.StatusForbidden {
			t.Errorf("refused: %+v", e)
		}
	}
	for _, verb := range []string{"list", "watch", "create", "patch"} {
		if !verbs[verb] {
			t.Errorf("it never used %s on Secrets: %v", verb, verbs)
		}
	}
}

func (r *release) mayNothingElse(t *testing.T) {
	for _, what := range []authorizationv1.ResourceAttributes{
		{Verb: "update", Resource: "secrets"},
		{Verb: "deletecollection", Resource: "secrets"},
		{Verb: "get", Resource: "configmaps", Namespace: releaseNamespace},
		{Verb: "list", Resource: "pods"},
		{Verb: "create", Resource: "pods", Namespace: releaseNamespace},
		{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: releaseNamespace},
		{Verb: "delete", Resource: "namespaces"},
		{Verb: "list", Resource: "events"},
		{Verb: "list", Group: "apps", Resource: "deployments"},
		{Verb: "update", Group: "apps", Resource: "deployments"},
		{Verb: "get", Group: "coordination.k8s.io", Resource: "leases", Namespace: releaseNamespace},
		{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "clusterrolebindings"},
		{Verb: "impersonate", Resource: "users"},
	} {
		review, err := r.home.Admin.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User:               "system:serviceaccount:" + releaseNamespace + ":in-cluster-secretsync",
				Groups:             []string{"system:serviceaccounts", "system:serviceaccounts:" + releaseNamespace, "system:authenticated"},
				ResourceAttributes: &what,
			},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if review.Status.Allowed {
			t.Errorf("it may %s %s/%s: %s", what.Verb, what.Group, what.Resource, review.Status.Reason)
		}
	}
}

// endsInOrder has writers write all the while that the pod is told to end: it is not ready first, serves on, and then ends in
// time; every write that was answered is there in its successor, and no other.
func (r *release) endsInOrder(t *testing.T) {
	var mu sync.Mutex
	answered := map[string]bool{"db": true}
	var count atomic.Int64
	enough := make(chan struct{})
	write := func(name string) (bool, error) {
		a, err := r.callBy(r.insecure, "admin", "POST", "/tenants/acme/secrets", fmt.Sprintf(`{"name":%q,"secretPath":"db"}`, name), "")
		if err != nil || a.status != http.StatusCreated {
			return false, err
		}
		mu.Lock()
		answered[name] = true
		mu.Unlock()
		if count.Add(1) == 40 {
			close(enough)
		}
		return true, nil
	}
	var writers sync.WaitGroup
	for writer := range 4 {
		writers.Go(func() {
			for i := range 200 {
				if _, err := write(fmt.Sprintf("end-%d-%d", writer, i)); err != nil {
					return // nothing is accepted any more
				}
			}
		})
	}
	<-enough
	ctx, cancel := context.WithTimeout(t.Context(), r.grace) // then a kubelet would kill it
	defer cancel()
	if err := r.pod.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "that the pod is not ready", func() bool { return r.ready(ctx) != http.StatusOK })
	if status := r.ready(ctx); status != http.StatusServiceUnavailable {
		t.Errorf("first of all the probe should say 503; it says %d", status)
	}
	if ok, err := write("after-the-probe"); !ok {
		t.Errorf("a write while load balancers still send to the pod: %v", err)
	}
	select {
	case <-r.pod.Ended():
		if code := r.pod.ExitCode(); code != 0 {
			t.Errorf("it ended with %d", code)
		}
	case <-ctx.Done():
		t.Fatalf("it runs on after the grace period of %v", r.grace)
	}
	writers.Wait()
	if log := readFile(t, r.pod.Log()); !strings.Contains(log, "stopped") || strings.Contains(log, "cut off") {
		t.Error("it did not end in order:\n" + log[max(0, len(log)-2000):])
	}

	r.start(t)
	var list struct{ Items []struct{ Name string } }
	if err := json.NewDecoder(bytes.NewReader([]byte(r.ask(t, 200, "GET", "/tenants/acme/secrets", "")))).Decode(&list); err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, item := range list.Items {
		there[item.Name] = true
	}
	for name := range answered {
		if !there[name] {
			t.Errorf("%s was answered and is lost", name)
		}
	}
	for name := range there {
		if !answered[name] {
			t.Errorf("%s is there and was not answered", name)
		}
	}
	r.copied(t, r.home, "two")
}
