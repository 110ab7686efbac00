package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/examples/devstack"
)

// A person with a cluster and a vault types one command.
func TestATrialWithWhatAPersonHas(t *testing.T) {
	stack := devstack.Shared(t)
	w, err := newWorld(t.TempDir(), stack)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.put("acme/team/trial-password", map[string]any{"password": "not to be seen"}); err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(filepath.Join(w.dir, "vault-token"))
	if err != nil {
		t.Fatal(err)
	}
	cluster, namespace := stack.Cluster("production"), "trial-"+w.prefix[:8]
	if err := cluster.CreateNamespace(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	dev := exec.CommandContext(t.Context(), "secretsync", "dev", "--prefix", w.prefix+"/acme", "-n", namespace,
		"--listen", strings.TrimPrefix(w.url, "http://"), "team/trial-password", "team/no-such-value")
	dev.Env = append(os.Environ(), "TMPDIR="+parent, "KUBECONFIG="+cluster.AdminKubeconfig, "VAULT_ADDR="+stack.Vault.Address, "VAULT_TOKEN="+string(token))
	var stderr strings.Builder
	dev.Stderr = &stderr
	stdout, err := dev.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	lines := bufio.NewScanner(stdout)
	until := func(text string) {
		for lines.Scan() {
			said.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
	}
	until("Ctrl-C ends it.")

	for _, want := range []string{
		`(?m)^Secret ` + namespace + `/trial-password holds version 1 of team/trial-password, \d+\.\d s after the start$`,
		`(?m)^Secret ` + namespace + `/no-such-value is not there yet: ValueNotFound: .*no value at`,
		`(?m)^  what to do: secretsync explain ValueNotFound$`,
		`export SECRETSYNC=` + regexp.QuoteMeta(w.url) + ` KEY=kupe_`,
	} {
		if !regexp.MustCompile(want).MatchString(said.String()) {
			t.Errorf("it does not say %s", want)
		}
	}
	made, err := cluster.Admin.CoreV1().Secrets(namespace).Get(t.Context(), "trial-password", metav1.GetOptions{})
	if err != nil || string(made.Data["password"]) != "not to be seen" {
		t.Errorf("the Secret is not there: %v", err)
	}
	if clone := regexp.MustCompile(`git clone (\S+)`).FindStringSubmatch(said.String()); clone == nil {
		t.Error("it does not say how to clone the repository")
	} else if out, err := exec.Command("git", "clone", "-q", clone[1], filepath.Join(w.dir, "clone")).CombinedOutput(); err != nil {
		t.Errorf("the repository can't be cloned: %v\n%s", err, out)
	} else if _, err := os.Stat(filepath.Join(w.dir, "clone", "secrets", "trial-password.yaml")); err != nil {
		t.Errorf("the definition is not in the repository: %v", err)
	}

	if err := dev.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	until("kubectl --context")
	for lines.Scan() {
	}
	if err := dev.Wait(); err != nil {
		t.Errorf("interrupted it ends with %v\n%s", err, stderr.String())
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v behind (%v)", left, err)
	}
	if all := said.String() + stderr.String(); strings.Contains(all, "not to be seen") || strings.Contains(all, string(token)) {
		t.Error("a value or the vault token is shown")
	}
	if t.Failed() {
		t.Logf("%s\n%s", said.String(), stderr.String())
	}
}

func TestATrialSaysWhatItLacks(t *testing.T) {
	for name, c := range map[string]struct {
		environment, arguments []string
		want                   string
	}{
		"no kubeconfig anywhere":             {nil, nil, "no kubeconfig was found; name one with --kubeconfig or in KUBECONFIG"},
		"a kubeconfig that isn't there":      {nil, []string{"--kubeconfig", "nowhere"}, "kubeconfig: stat nowhere: no such file"},
		"a context that isn't there":         {[]string{"KUBECONFIG=KUBE"}, []string{"--context", "mars"}, `the kubeconfig has no context "mars"`},
		"no vault":                           {[]string{"KUBECONFIG=KUBE"}, nil, "no vault is known; name its address with --vault-addr or in VAULT_ADDR"},
		"no token":                           {[]string{"KUBECONFIG=KUBE"}, []string{"--vault-addr", "http://127.0.0.1:1"}, "no vault token is known; put one in VAULT_TOKEN, or run vault login"},
		"an address of a vault that is none": {[]string{"KUBECONFIG=KUBE", "VAULT_TOKEN=t"}, []string{"--vault-addr", "nonsense"}, "vault.address"},
		"two paths for one name":             {[]string{"KUBECONFIG=KUBE", "VAULT_TOKEN=t"}, []string{"--vault-addr", "http://127.0.0.1:1", "a/db", "b/db"}, "a/db and b/db would both be the Secret db"},
		"a path that can't be a name":        {[]string{"KUBECONFIG=KUBE", "VAULT_TOKEN=t"}, []string{"--vault-addr", "http://127.0.0.1:1", "a/B_C"}, `"b_c" can't name a definition`},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			kubeconfig := filepath.Join(home, "kubeconfig")
			if err := os.WriteFile(kubeconfig, []byte(`{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],"users":[{"name":"u","user":{}}]}`), 0o600); err != nil {
				t.Fatal(err)
			}
			dev := exec.Command("secretsync", append([]string{"dev"}, c.arguments...)...)
			dev.Dir = home
			dev.Env = []string{"HOME=" + home, "TMPDIR=" + home, "PATH=" + os.Getenv("PATH")}
			for _, e := range c.environment {
				dev.Env = append(dev.Env, strings.Replace(e, "=KUBE", "="+kubeconfig, 1))
			}
			out, err := dev.CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.want) {
				t.Errorf("it says %s (%v), not %s", out, err, c.want)
			}
		})
	}
}
