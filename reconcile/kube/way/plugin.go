package way

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"k8s.io/client-go/pkg/apis/clientauthentication"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"secretsync/reconcile/fault"
)

// Credentials are what a credential plugin answered.
type Credentials struct {
	Token            string
	Certificate, Key []byte
	Expires          time.Time // zero: they don't
}

// Ask runs the way's credential plugin, for so long at most. Its errors are [Blocked].
func (w *Way) Ask(ctx context.Context, limit time.Duration) (Credentials, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it did not end within %s", limit))
	defer cancel()
	return runPlugin(ctx, w.Plugin, w.REST)
}

// runPlugin asks a kubeconfig's credential plugin (exec) for credentials. The
// library does that in the middle of a request, without a time limit and with
// everybody else waiting for the same lock; here it ends with ctx, and the
// program with it.
func runPlugin(ctx context.Context, p *clientcmdapi.ExecConfig, cluster *rest.Config) (Credentials, error) {
	spec := map[string]any{"interactive": false}
	if p.ProvideClusterInfo {
		described := rest.CopyConfig(cluster)
		described.ExecProvider = p
		info, err := rest.ConfigToExecCluster(described)
		if err != nil {
			return Credentials{}, &Blocked{"its credential plugin can't be told of the cluster", err}
		}
		spec["cluster"] = clusterInfo(info)
	}
	info, err := json.Marshal(map[string]any{"kind": "ExecCredential", "apiVersion": p.APIVersion, "spec": spec})
	if err != nil {
		return Credentials{}, &Blocked{"its credential plugin can't be told of the cluster", err}
	}
	var stdout, stderr bounded
	cmd := exec.CommandContext(ctx, p.Command, p.Args...)
	cmd.Env = os.Environ()
	for _, e := range p.Env {
		cmd.Env = append(cmd.Env, e.Name+"="+e.Value)
	}
	cmd.Env = append(cmd.Env, "KUBERNETES_EXEC_INFO="+string(info))
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// What the plugin started goes with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return Credentials{}, &Blocked{"its credential plugin does not answer", fmt.Errorf("%s: %w", p.Command, context.Cause(ctx))}
	case errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist):
		return Credentials{}, &Blocked{"its credential plugin is not installed", err}
	case err != nil:
		return Credentials{}, &Blocked{"its credential plugin failed", fmt.Errorf("%s: %w: %s", p.Command, err, fault.Clean(stderr.String()))}
	}
	answer, err := parseCredentials(stdout.Bytes(), p.APIVersion)
	if err != nil {
		// Never what it printed: that is where the token stands.
		return Credentials{}, &Blocked{"its credential plugin answers nothing that can be used", fmt.Errorf("%s: %w", p.Command, err)}
	}
	return answer, nil
}

// clusterInfo spells a cluster as the protocol does.
func clusterInfo(c *clientauthentication.Cluster) map[string]any {
	info := map[string]any{"server": c.Server}
	for name, text := range map[string]string{"tls-server-name": c.TLSServerName, "proxy-url": c.ProxyURL} {
		if text != "" {
			info[name] = text
		}
	}
	if c.InsecureSkipTLSVerify {
		info["insecure-skip-tls-verify"] = true
	}
	if len(c.CertificateAuthorityData) > 0 {
		info["certificate-authority-data"] = c.CertificateAuthorityData
	}
	if c.DisableCompression {
		info["disable-compression"] = true
	}
	if c.Config != nil {
		info["config"] = c.Config
	}
	return info
}

func parseCredentials(answer []byte, apiVersion string) (Credentials, error) {
	var c struct {
		Kind, APIVersion string
		Status           *struct {
			ExpirationTimestamp                         *time.Time
			Token, ClientCertificateData, ClientKeyData string
		}
	}
	switch err := json.Unmarshal(answer, &c); {
	case err != nil:
		return Credentials{}, errors.New("its answer is no JSON object")
	case c.Kind != "ExecCredential":
		return Credentials{}, errors.New("its answer is no ExecCredential")
	case c.APIVersion != apiVersion:
		return Credentials{}, fmt.Errorf("its answer is not of version %s, which the kubeconfig asks for", apiVersion)
	case c.Status == nil || c.Status.Token == "" && c.Status.ClientCertificateData == "":
		return Credentials{}, errors.New("its answer holds neither a token nor a certificate")
	case (c.Status.ClientCertificateData == "") != (c.Status.ClientKeyData == ""):
		return Credentials{}, errors.New("its answer holds a certificate or a key, not both")
	}
	found := Credentials{Token: c.Status.Token, Certificate: []byte(c.Status.ClientCertificateData), Key: []byte(c.Status.ClientKeyData)}
	if c.Status.ExpirationTimestamp != nil {
		found.Expires = *c.Status.ExpirationTimestamp
	}
	return found, nil
}

// bounded keeps the beginning of what a program prints.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	const most = 1 << 20
	if room := most - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
