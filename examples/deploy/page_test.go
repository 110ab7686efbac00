package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	helmcmd "helm.sh/helm/v4/pkg/cmd"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"secretsync/examples/devstack"
)

// Programs that the page calls and a machine need not have: Helm, from its own module, and of the Vault program the three
// commands of the page.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "helm":
		os.Exit(exitCode(helm()))
	case "vault":
		os.Exit(exitCode(vault(os.Args[1:])))
	}
	os.Exit(m.Run())
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func helm() error {
	slog.SetLogLoggerLevel(slog.LevelWarn)
	cmd, err := helmcmd.NewRootCmd(os.Stdout, os.Args[1:], helmcmd.SetupLogging)
	if err != nil {
		return err
	}
	return cmd.Execute()
}

func vault(args []string) error {
	client, err := api.NewClient(nil) // by VAULT_ADDR and VAULT_TOKEN
	if err != nil {
		return err
	}
	switch {
	case len(args) == 3 && args[0] == "auth" && args[1] == "enable":
		return client.Sys().EnableAuthWithOptions(args[2], &api.EnableAuthOptions{Type: args[2]})
	case len(args) == 4 && args[0] == "policy" && args[1] == "write" && args[3] == "-":
		rules, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		return client.Sys().PutPolicy(args[2], string(rules))
	case len(args) > 2 && args[0] == "write":
		data := map[string]any{}
		for _, pair := range args[2:] {
			key, value, _ := strings.Cut(pair, "=")
			data[key] = value
		}
		if args[1] == "auth/kubernetes/config" { // this Vault is in no pod, where it would find both
			data["kubernetes_ca_cert"], data["disable_local_ca_jwt"] = os.Getenv("CLUSTER_CA"), true
		}
		_, err := client.Logical().WriteWithContext(context.Background(), args[1], data)
		return err
	}
	return errors.New("nobody expected vault " + strings.Join(args, " "))
}

// Every command of the page works as it stands there, in the order in which a reader comes to it, against real API servers and a
// real Vault.
func TestTheCommandsOfThePage(t *testing.T) {
	for _, program := range []string{"kubectl", "openssl", "base64"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("the commands need %s", program)
		}
	}
	stack := devstack.StartT(t, devstack.Options{Clusters: []string{"home", "production"}})
	home := &cluster{t: t, real: stack.Cluster("home")}
	home.connect()
	home.define()

	folder := t.TempDir()
	programs := filepath.Join(folder, "programs")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(programs, 0o755))
	self, err := os.Executable()
	must(err)
	for _, name := range []string{"helm", "vault"} {
		must(os.Symlink(self, filepath.Join(programs, name)))
	}
	if out, err := exec.Command("go", "build", "-C", "../..", "-trimpath", "-gcflags=all=-dwarf=false", "-o", filepath.Join(programs, "secretsync"), "./cmd/secretsync").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	must(os.CopyFS(filepath.Join(folder, "examples/deploy"), os.DirFS(".")))

	environment := append(os.Environ(),
		"PATH="+programs+":"+os.Getenv("PATH"), "KUBECONFIG="+bothClusters(t, stack, folder), "HOME="+folder,
		"VAULT_ADDR="+stack.Vault.Address, "VAULT_TOKEN="+stack.Vault.RootToken,
		"CLUSTER_CA="+string(stack.Cluster("home").CA))
	page, err := os.ReadFile("README.md")
	must(err)
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllSubmatch(page, -1)
	if len(blocks) < 8 {
		t.Fatalf("found %d blocks of commands", len(blocks))
	}
	for _, block := range blocks {
		within, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		cmd := exec.CommandContext(within, "bash", "-euo", "pipefail", "-c", string(block[1]))
		cmd.WaitDelay = time.Second
		cmd.Dir, cmd.Env = folder, environment
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		cancel()
		if err != nil {
			t.Fatalf("$ %s\n%s%v", block[1], out.String(), err)
		}
	}

	// What they come to.
	target, err := clientcmd.BuildConfigFromFlags("", filepath.Join(folder, "production.kubeconfig"))
	must(err)
	if target.Host != stack.Cluster("production").URL || target.BearerToken == "" {
		t.Errorf("the kubeconfig of the target leads to %s", target.Host)
	}
	role, err := stack.Vault.Client.Logical().Read("auth/kubernetes/role/secretsync")
	must(err)
	if role == nil || role.Data["audience"] != "vault" {
		t.Errorf("the role in Vault is %v", role)
	}
	admin := stack.Cluster("home").Admin
	if _, err := admin.AppsV1().StatefulSets("platform-secrets").Get(t.Context(), "secretsync", meta.GetOptions{}); err != nil {
		t.Error(err)
	}
	three, err := admin.AppsV1().Deployments("secretsync-replicas").Get(t.Context(), "secretsync", meta.GetOptions{})
	must(err)
	if *three.Spec.Replicas != 3 {
		t.Errorf("%d pods", *three.Spec.Replicas)
	}
}

// bothClusters writes a kubeconfig as an operator has it: a context for each cluster, and home is the current one.
func bothClusters(t *testing.T, stack *devstack.Stack, folder string) string {
	t.Helper()
	all := clientcmdapi.NewConfig()
	for _, c := range stack.Clusters() {
		one, err := clientcmd.LoadFromFile(c.AdminKubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		all.Clusters[c.Name] = one.Clusters[c.Name]
		all.AuthInfos[c.Name] = one.AuthInfos["admin"]
		all.Contexts[c.Name] = &clientcmdapi.Context{Cluster: c.Name, AuthInfo: c.Name}
	}
	all.CurrentContext = "home"
	path := filepath.Join(folder, "kubeconfig")
	if err := clientcmd.WriteToFile(*all, path); err != nil {
		t.Fatal(err)
	}
	return path
}
