package devstack_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	vaultapi "github.com/hashicorp/vault/api"
	kubernetesauth "github.com/hashicorp/vault/api/auth/kubernetes"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"secretsync/examples/devstack"
)

func TestTheUserSecretsyncWritesSecretsAndNothingElse(t *testing.T) {
	ctx := t.Context()
	for _, cluster := range devstack.Shared(t).Clusters() {
		client := kubernetes.NewForConfigOrDie(cluster.Config)
		must(t, cluster.CreateNamespace(ctx, "writes"))
		createSecret(t, client, "writes", "one")
		if _, err := client.CoreV1().ConfigMaps("writes").List(ctx, meta.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("%s: listing config maps: %v; want it forbidden", cluster.Name, err)
		}
		namespace := &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: "more"}}
		if _, err := client.CoreV1().Namespaces().Create(ctx, namespace, meta.CreateOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("%s: creating a namespace: %v; want it forbidden", cluster.Name, err)
		}
	}
}

func TestARequestIsInTheAuditLogOnceItIsAnswered(t *testing.T) {
	ctx := t.Context()
	stack := devstack.Shared(t)
	cluster := stack.Cluster("staging")
	must(t, cluster.CreateNamespace(ctx, "audited"))
	createSecret(t, kubernetes.NewForConfigOrDie(cluster.Config), "audited", "one")
	events, err := cluster.Audited()
	must(t, err)
	found := 0
	for _, e := range events {
		if e.Namespace == "audited" && e.Verb == "create" && e.User == devstack.User && e.Code == http.StatusCreated {
			found++
		}
	}
	if found != 1 {
		t.Errorf("the creation stands %d times in the log; want 1", found)
	}

	_, err = stack.Vault.PutSecret(ctx, "secret", "audited/one", map[string]any{"key": "a canary"})
	must(t, err)
	_, err = stack.Vault.Client.KVv2("secret").Get(ctx, "audited/one")
	must(t, err)
	requests, err := stack.Vault.Audited()
	must(t, err)
	found = 0
	for _, r := range requests {
		if r.Path == "secret/data/audited/one" && r.Operation == "read" {
			found++
		}
	}
	if found != 1 {
		t.Errorf("the read stands %d times in Vault's log; want 1", found)
	}
}

func TestATokenWithAReadPolicyReadsItsPrefixOnly(t *testing.T) {
	ctx := t.Context()
	vault := devstack.Shared(t).Vault
	must(t, vault.ReadPolicy(ctx, "prefix", "secret", "mine"))
	for _, name := range []string{"mine/one", "yours/one"} {
		_, err := vault.PutSecret(ctx, "secret", name, map[string]any{"key": "value"})
		must(t, err)
	}
	role, secret, err := vault.AppRole(ctx, "prefix", time.Minute, "prefix")
	must(t, err)
	client, err := vault.NewClient("")
	must(t, err)
	login, err := client.Logical().WriteWithContext(ctx, "auth/approle/login", map[string]any{"role_id": role, "secret_id": secret})
	must(t, err)
	client.SetToken(login.Auth.ClientToken)
	_, err = client.KVv2("secret").Get(ctx, "mine/one")
	must(t, err)
	if _, err := client.KVv2("secret").Get(ctx, "yours/one"); status(err) != http.StatusForbidden {
		t.Errorf("reading another prefix: %v; want 403", err)
	}
}

func TestAServiceAccountLogsInToVault(t *testing.T) {
	ctx := t.Context()
	stack := devstack.Shared(t)
	cluster := stack.Cluster("production")
	must(t, stack.Vault.KubernetesAuth(ctx, cluster))
	must(t, stack.Vault.KubernetesRole(ctx, cluster, "syncer", "default", "syncer", time.Minute, "default"))
	for account, allowed := range map[string]bool{"syncer": true, "stranger": false} {
		token, err := cluster.ServiceAccountToken(ctx, "default", account, time.Hour)
		must(t, err)
		login, err := kubernetesauth.NewKubernetesAuth("syncer",
			kubernetesauth.WithServiceAccountToken(token), kubernetesauth.WithMountPath("production"))
		must(t, err)
		client, err := stack.Vault.NewClient("")
		must(t, err)
		if _, err := client.Auth().Login(ctx, login); (err == nil) != allowed {
			t.Errorf("login of %s: %v; want it allowed: %v", account, err, allowed)
		}
	}
}

func TestADeletedNamespaceStaysTerminatingUntilItIsFinished(t *testing.T) {
	ctx := t.Context()
	cluster := devstack.Shared(t).Cluster("production")
	namespaces := cluster.Admin.CoreV1().Namespaces()
	must(t, cluster.CreateNamespace(ctx, "leaving"))
	createSecret(t, cluster.Admin, "leaving", "one")
	must(t, cluster.TerminateNamespace(ctx, "leaving"))
	namespace, err := namespaces.Get(ctx, "leaving", meta.GetOptions{})
	must(t, err)
	if namespace.Status.Phase != core.NamespaceTerminating {
		t.Errorf("the namespace is %s; want it Terminating", namespace.Status.Phase)
	}
	must(t, cluster.DeleteNamespace(ctx, "leaving"))
	if _, err := namespaces.Get(ctx, "leaving", meta.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace is still there: %v", err)
	}
}

func TestPartsStopAndStartAgainWithTheirData(t *testing.T) {
	ctx := t.Context()
	stack := devstack.StartT(t, devstack.Options{Clusters: []string{"only"}})
	cluster, vault := stack.Cluster("only"), stack.Vault
	createSecret(t, cluster.Admin, "default", "one")
	_, err := vault.PutSecret(ctx, "secret", "one", map[string]any{"key": "value"})
	must(t, err)

	cluster.Stop()
	if _, err := cluster.Admin.CoreV1().Secrets("default").Get(ctx, "one", meta.GetOptions{}); err == nil {
		t.Error("a stopped cluster answers")
	}
	must(t, cluster.Start(ctx))
	_, err = cluster.Admin.CoreV1().Secrets("default").Get(ctx, "one", meta.GetOptions{})
	must(t, err)
	cluster.Stop()
	must(t, cluster.StartEmpty(ctx))
	if _, err := cluster.Admin.CoreV1().Secrets("default").Get(ctx, "one", meta.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a cluster that began anew: %v; want the Secret not found", err)
	}
	createSecret(t, kubernetes.NewForConfigOrDie(cluster.Config), "default", "two")

	vault.Stop()
	must(t, vault.Start(ctx))
	_, err = vault.Client.KVv2("secret").Get(ctx, "one")
	must(t, err)
	must(t, vault.Seal(ctx))
	if _, err := vault.Client.KVv2("secret").Get(ctx, "one"); status(err) != http.StatusServiceUnavailable {
		t.Errorf("a sealed Vault: %v; want 503", err)
	}
	must(t, vault.Unseal(ctx))
	_, err = vault.Client.KVv2("secret").Get(ctx, "one")
	must(t, err)
}

func TestAPartThatDoesNotStartSaysWhy(t *testing.T) {
	stack := devstack.StartT(t, devstack.Options{Clusters: []string{}})
	stack.Vault.Stop()
	// A file where the data folder was.
	must(t, os.RemoveAll(stack.Dir+"/vault"))
	must(t, os.WriteFile(stack.Dir+"/vault", nil, 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := stack.Vault.Start(ctx)
	if err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("%v; want the cause out of its log", err)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	stack := devstack.StartT(t, devstack.Options{})
	pids := stack.PIDs()
	if len(pids) != 4 {
		t.Errorf("running: %v; want etcd, vault and two API servers", pids)
	}
	must(t, stack.Close())
	awaitGone(t, pids, stack.Dir)
}

// A child process starts a stack and is killed with SIGKILL.
func TestAProcessThatIsKilledLeavesNothing(t *testing.T) {
	if os.Getenv("DEVSTACK_CHILD") != "" {
		stack := devstack.StartT(t, devstack.Options{})
		json.NewEncoder(os.Stdout).Encode(childReport{stack.Dir, stack.PIDs()})
		select {}
	}
	child := exec.Command(os.Args[0], "-test.run=^TestAProcessThatIsKilledLeavesNothing$", "-test.v=false")
	child.Env = append(os.Environ(), "DEVSTACK_CHILD=1")
	child.Stderr = os.Stderr
	output, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	line, err := bufio.NewReader(output).ReadBytes('\n')
	must(t, err)
	var report childReport
	must(t, json.Unmarshal(line, &report))
	for name, pid := range report.PIDs {
		if !alive(pid) {
			t.Errorf("%s, process %d, does not run", name, pid)
		}
	}
	must(t, child.Process.Kill())
	child.Wait()
	awaitGone(t, report.PIDs, report.Dir)
}

// A server that has yet to start has a port, by its configuration, that nobody listens on.
func TestNoTwoProcessesAreGivenOnePort(t *testing.T) {
	give := func() map[int]bool {
		given := make(map[int]bool)
		for len(given) < 1000 {
			given[devstack.FreePort()] = true
		}
		return given
	}
	if os.Getenv("DEVSTACK_CHILD") != "" {
		json.NewEncoder(os.Stdout).Encode(give())
		os.Exit(0)
	}
	ours := give()
	child := exec.Command(os.Args[0], "-test.run=^TestNoTwoProcessesAreGivenOnePort$", "-test.v=false")
	child.Env = append(os.Environ(), "DEVSTACK_CHILD=1")
	child.Stderr = os.Stderr
	said, err := child.Output()
	must(t, err)
	var theirs map[int]bool
	must(t, json.Unmarshal(said, &theirs))
	if len(theirs) != 1000 {
		t.Errorf("a process was given %d ports", len(theirs))
	}
	both := 0
	for port := range theirs {
		if ours[port] {
			both++
		}
	}
	if both > 0 {
		t.Errorf("%d ports were given twice", both)
	}
}

type childReport struct {
	Dir  string
	PIDs map[string]int
}

// awaitGone waits for the processes and the folder to be gone. They are not ours: there is no event to wait for.
func awaitGone(t *testing.T, pids map[string]int, dir string) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		left := 0
		for _, pid := range pids {
			if alive(pid) {
				left++
			}
		}
		_, err := os.Stat(dir)
		if left == 0 && errors.Is(err, os.ErrNotExist) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d of the processes %v are left; folder: %v", left, pids, err)
		}
	}
}

func alive(pid int) bool { return pid > 0 && syscall.Kill(pid, 0) == nil }

func createSecret(t *testing.T, client kubernetes.Interface, namespace, name string) {
	t.Helper()
	secret := &core.Secret{ObjectMeta: meta.ObjectMeta{Name: name}, StringData: map[string]string{"key": "value"}}
	_, err := client.CoreV1().Secrets(namespace).Create(t.Context(), secret, meta.CreateOptions{})
	must(t, err)
}

// status is the HTTP status of an error of Vault's client, or 0.
func status(err error) int {
	if answer, ok := errors.AsType[*vaultapi.ResponseError](err); ok {
		return answer.StatusCode
	}
	return 0
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAPreparedStackComesUpWhereItWasSaidToBe(t *testing.T) {
	t.Parallel()
	stack, err := devstack.Prepare(t.Context(), devstack.Options{Clusters: []string{"production"}})
	if err != nil {
		t.Fatal(err)
	}
	defer stack.Close()
	cluster := stack.Cluster("production")
	admin, vault := cluster.Admin, stack.Vault.Client
	if _, err := admin.CoreV1().Namespaces().Get(t.Context(), "default", meta.GetOptions{}); err == nil {
		t.Error("the cluster answers before it was started")
	}
	must(t, stack.Build(t.Context()))
	must(t, stack.Start(t.Context()))
	must(t, errors.Join(cluster.Await(t.Context()), stack.Vault.Await(t.Context())))
	if _, err := admin.CoreV1().Namespaces().Get(t.Context(), "default", meta.GetOptions{}); err != nil {
		t.Errorf("a client made before the start: %v", err)
	}
	if _, err := vault.Sys().HealthWithContext(t.Context()); err != nil {
		t.Errorf("a client of Vault made before the start: %v", err)
	}
}
