package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
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

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/httpapi/forward/forwardtest"
)

// The configurations of the Kustomize base are ones that the server takes.
func TestTheConfigurationsOfTheBaseAreRight(t *testing.T) {
	authority, err := forwardtest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"secretsync.yaml", "replicas/secretsync.yaml"} {
		dir := t.TempDir()
		if _, err := authority.Issue(dir); err != nil {
			t.Fatal(err)
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
	needed := []string{"list", "watch", "create", "patch"}
	// What a write did is seen a moment before the API server notes it.
	eventually(t, fmt.Sprintf("each of %q was used on Secrets", needed), func() bool {
		events, err := r.home.Audited()
		if err != nil {
			t.Fatal(err)
		}
		used := map[string]bool{}
		for _, e := range events {
			if e.User != account {
				continue
			}
			used[e.Verb] = used[e.Verb] || e.Resource == "secrets"
			if e.Code == http.StatusForbidden {
				t.Fatalf("refused: %+v", e)
			}
		}
		return !slices.ContainsFunc(needed, func(verb string) bool { return !used[verb] })
	})
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
	var status int
	eventually(t, "that the pod is not ready", func() bool { status = r.ready(ctx); return status != http.StatusOK })
	if status != http.StatusServiceUnavailable {
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
