package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/pkg/apis/clientauthentication"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/clock"

	"secretsync/reconcile/fault"
)

// credentials are what a credential plugin answered.
type credentials struct {
	token            string
	certificate, key []byte
	expires          time.Time // zero: they don't
}

// runPlugin asks a kubeconfig's credential plugin (exec) for credentials. The
// library does that in the middle of a request, without a time limit and with
// everybody else waiting for the same lock; here it ends with ctx, and the
// program with it.
func runPlugin(ctx context.Context, p *clientcmdapi.ExecConfig, cluster *rest.Config) (credentials, error) {
	spec := map[string]any{"interactive": false}
	if p.ProvideClusterInfo {
		described := rest.CopyConfig(cluster)
		described.ExecProvider = p
		info, err := rest.ConfigToExecCluster(described)
		if err != nil {
			return credentials{}, &blocked{"its credential plugin can't be told of the cluster", err}
		}
		spec["cluster"] = clusterInfo(info)
	}
	info, err := json.Marshal(map[string]any{"kind": "ExecCredential", "apiVersion": p.APIVersion, "spec": spec})
	if err != nil {
		return credentials{}, &blocked{"its credential plugin can't be told of the cluster", err}
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
		return credentials{}, &blocked{"its credential plugin does not answer", fmt.Errorf("%s: %w", p.Command, context.Cause(ctx))}
	case errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist):
		return credentials{}, &blocked{"its credential plugin is not installed", err}
	case err != nil:
		return credentials{}, &blocked{"its credential plugin failed", fmt.Errorf("%s: %w: %s", p.Command, err, fault.Clean(stderr.String()))}
	}
	answer, err := parseCredentials(stdout.Bytes(), p.APIVersion)
	if err != nil {
		// Never what it printed: that is where the token stands.
		return credentials{}, &blocked{"its credential plugin answers nothing that can be used", fmt.Errorf("%s: %w", p.Command, err)}
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

func parseCredentials(answer []byte, apiVersion string) (credentials, error) {
	var c struct {
		Kind, APIVersion string
		Status           *struct {
			ExpirationTimestamp                         *time.Time
			Token, ClientCertificateData, ClientKeyData string
		}
	}
	switch err := json.Unmarshal(answer, &c); {
	case err != nil:
		return credentials{}, errors.New("its answer is no JSON object")
	case c.Kind != "ExecCredential":
		return credentials{}, errors.New("its answer is no ExecCredential")
	case c.APIVersion != apiVersion:
		return credentials{}, fmt.Errorf("its answer is not of version %s, which the kubeconfig asks for", apiVersion)
	case c.Status == nil || c.Status.Token == "" && c.Status.ClientCertificateData == "":
		return credentials{}, errors.New("its answer holds neither a token nor a certificate")
	case (c.Status.ClientCertificateData == "") != (c.Status.ClientKeyData == ""):
		return credentials{}, errors.New("its answer holds a certificate or a key, not both")
	}
	found := credentials{token: c.Status.Token, certificate: []byte(c.Status.ClientCertificateData), key: []byte(c.Status.ClientKeyData)}
	if c.Status.ExpirationTimestamp != nil {
		found.expires = *c.Status.ExpirationTimestamp
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

// pluginCredentials are the credentials of a connection as far as they come from
// a plugin. It is asked again before they expire; a nil one has none.
type pluginCredentials struct {
	spec   *clientcmdapi.ExecConfig
	have   credentials
	asking bool
	failed backoff
}

// renewal is what the plugin answered to being asked again.
type renewal struct {
	credentials
	err error
}

// ask runs the plugin for so long at most.
func (p *pluginCredentials) ask(ctx context.Context, w *way, limit time.Duration) (credentials, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it did not end within %s", limit))
	defer cancel()
	answer, err := runPlugin(ctx, p.spec, w.rest)
	if err == nil {
		p.have = answer
	}
	return answer, err
}

// renew asks the plugin again beside everything else.
func (p *pluginCredentials) renew(ctx context.Context, wg *sync.WaitGroup, w *way, limit time.Duration, to chan<- renewal) {
	if p == nil || p.asking {
		return
	}
	p.asking = true
	asking := pluginCredentials{spec: p.spec}
	wg.Go(func() {
		answer, err := asking.ask(ctx, w, limit)
		to <- renewal{answer, err} // one place is always free: one is asked at a time
	})
}

// took takes in what it answered. It reports false if that needs a new connection.
func (p *pluginCredentials) took(c *connection, r renewal) bool {
	p.asking = false
	switch {
	case r.err != nil:
		if p.failed.failures == 0 {
			c.log.Warn("the cluster's credential plugin gives no new credentials; the old ones are used as long as they last", "cause", r.err.Error())
		}
		p.failed.failures++
		return true
	case !bytes.Equal(r.certificate, p.have.certificate) || !bytes.Equal(r.key, p.have.key):
		return false
	}
	p.have, p.failed = r.credentials, backoff{}
	c.client.bearer.token.Store(&r.token)
	return true
}

// expiry is when to ask again; nil is never.
func (p *pluginCredentials) expiry(c clock.Clock) clock.Timer {
	switch {
	case p == nil || p.have.expires.IsZero():
		return nil
	case p.failed.failures > 0:
		p.failed.failures--
		return c.NewTimer(p.failed.next(time.Second, time.Minute))
	}
	left := p.have.expires.Sub(c.Now())
	return c.NewTimer(max(left-min(left/5, time.Minute), time.Second))
}
