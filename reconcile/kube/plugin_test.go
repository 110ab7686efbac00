package kube

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"secretsync/reconcile/fault"
)

// pluginWorld is a world whose kubeconfig asks a shell script for credentials.
func pluginWorld(t *testing.T, script string, timeout time.Duration) (*world, *door) {
	t.Helper()
	d, a := newDoor(t), newAuthority(t)
	d.serves(a)
	d.admits("one", "two")
	d.file("plugin", []byte("#!/bin/sh\n"+script))
	if err := os.Chmod(filepath.Join(d.dir, "plugin"), 0o700); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(w *world) {
		w.config.Timeout, w.config.Interval = timeout, time.Hour
		w.config.Kubeconfig = d.kubeconfig(func(c *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) {
			c.CertificateAuthorityData = a.pem()
			u.Exec = &clientcmdapi.ExecConfig{
				APIVersion: "client.authentication.k8s.io/v1", Command: filepath.Join(d.dir, "plugin"), Args: []string{"an argument"},
				Env: []clientcmdapi.ExecEnvVar{{Name: "DIR", Value: d.dir}}, InteractiveMode: clientcmdapi.NeverExecInteractiveMode, ProvideClusterInfo: true,
			}
		})
	})
	return w, d
}

const answers = `echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"'"$(cat $DIR/token 2>/dev/null || echo one)"'"%s}}'` + "\n"

func TestACredentialPluginIsAskedAndAskedAgain(t *testing.T) {
	t.Parallel()
	w, d := pluginWorld(t, `echo "$KUBERNETES_EXEC_INFO $1" >>$DIR/asked`+"\n"+fmt.Sprintf(answers, `,"expirationTimestamp":"'"$(date -u -d +2seconds +%Y-%m-%dT%H:%M:%SZ)"'"`), deadline/2)
	w.up()
	asked, err := os.ReadFile(filepath.Join(d.dir, "asked"))
	w.must(err)
	for _, part := range []string{`"kind":"ExecCredential"`, `"interactive":false`, `"server":"` + d.url + `"`, `"certificate-authority-data"`, "an argument"} {
		if !strings.Contains(string(asked), part) {
			t.Errorf("it is not told of %s: %s", part, asked)
		}
	}
	before := d.connected(w)
	d.file("token", []byte("two"))
	w.until("asked again", func() bool {
		token := w.c.client.Load().Bearer.Token.Load()
		return *token == "two"
	})
	d.admits("two")
	w.create(w.desired("db", 1, "a=1"))
	if d.connections() != before || w.told.all("") != 1 {
		t.Error("it was connected anew")
	}
}

func TestACredentialPluginThatHangsHoldsUpNothing(t *testing.T) {
	t.Parallel()
	w, d := pluginWorld(t, "echo $$ >$DIR/pid\nsleep 1000 &\necho $! >$DIR/child\nwait\n", 500*time.Millisecond)
	var down *fault.Outage
	w.until("away", func() bool { down = w.c.Outage(); return down != nil && down.Reason == fault.ReasonClusterUnreachable })
	if !strings.Contains(down.Message, "credential plugin does not answer") || strings.Contains(down.Message, d.dir) {
		t.Errorf("%q", down.Message)
	}
	// On a slow machine it may be killed before it has started anything; it is run again.
	var child []byte
	w.until("started something", func() bool { child, _ = os.ReadFile(filepath.Join(d.dir, "child")); return len(child) > 0 })
	w.until("killed with what it started", func() bool { return !runs(strings.TrimSpace(string(child))) })
	// A longer time, and the end comes while it hangs.
	cfg := w.config
	cfg.Timeout = time.Hour
	os.Remove(filepath.Join(d.dir, "child"))
	w.c.Configure(cfg)
	w.until("asked again", func() bool { _, err := os.Stat(filepath.Join(d.dir, "child")); return err == nil })
	w.c.Configure(cfg)
	w.c.Reread()
	w.stop()
}

// runs reports whether a process is there and no zombie.
func runs(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestACredentialPluginThatFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ script, says, never string }{
		"ends with an error":         {"echo no credentials >&2; echo " + canary + "; exit 3\n", "plugin failed", canary},
		"answers nothing":            {"", "nothing that can be used", "/"},
		"answers something else":     {"echo " + canary + "\n", "nothing that can be used", canary},
		"answers another version":    {`echo '{"kind":"ExecCredential","apiVersion":"x","status":{"token":"` + canary + `"}}'` + "\n", "nothing that can be used", canary},
		"answers without a token":    {`echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{}}'` + "\n", "nothing that can be used", "/"},
		"answers half a certificate": {`echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"clientCertificateData":"x"}}'` + "\n", "nothing that can be used", "/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, d := pluginWorld(t, test.script, deadline/2)
			var down *fault.Outage
			w.until("away", func() bool { down = w.c.Outage(); return down != nil && down.Reason == fault.ReasonClusterUnreachable })
			if !strings.Contains(down.Message, test.says) || strings.Contains(down.Message, test.never) || strings.Contains(w.logs.String(), canary) {
				t.Errorf("%q", down.Message)
			}
			d.file("plugin.new2", []byte("#!/bin/sh\n"+fmt.Sprintf(answers, "")))
			os.Chmod(filepath.Join(d.dir, "plugin.new2"), 0o700)
			w.must(os.Rename(filepath.Join(d.dir, "plugin.new2"), filepath.Join(d.dir, "plugin")))
			w.c.Reread()
			w.up()
		})
	}
}
