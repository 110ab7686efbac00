package config

import (
	"cmp"
	"maps"
	"net/url"
	"os"
	"slices"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"secretsync/gitstore/definition"
	"secretsync/reconcile"
)

// What the server reaches out to: vaults and clusters. Of the files that are
// named here, those that can't be read or used now are no mistake in the
// configuration: they may come later, and concern only who needs them. They are
// told as warnings by --check, and as a status by the server.

func (d *document) parseClusters() []reconcile.Cluster {
	var clusters []reconcile.Cluster
	for _, name := range slices.Sorted(maps.Keys(d.Clusters)) {
		field, in := "clusters."+name, d.Clusters[name]
		if _, err := definition.ParseClusterName(name); err != nil {
			d.wrong(field, "%v", err)
		}
		switch {
		case in.Kubeconfig == "" && !in.InCluster:
			d.wrong(field, "has no kubeconfig; name one, or set inCluster: true for the cluster the server runs in")
		case in.Kubeconfig != "" && in.InCluster:
			d.wrong(field, "has both kubeconfig and inCluster; keep one")
		}
		d.lookAtKubeconfig(field, d.file(in.Kubeconfig), in.Context)
		d.atLeast(field+".concurrency", float64(in.Concurrency), 0)
		d.atLeast(field+".requestsPerSecond", in.RequestsPerSecond, 0)
		d.checkTimeout(field+".timeout", in.Timeout)
		d.checkTimeout(field+".listTimeout", in.ListTimeout)
		clusters = append(clusters, reconcile.Cluster{
			Name:        name,
			Kubeconfig:  d.file(in.Kubeconfig),
			Context:     in.Context,
			Writes:      in.Concurrency,
			QPS:         float32(in.RequestsPerSecond),
			Timeout:     in.Timeout,
			ListTimeout: in.ListTimeout,
		})
	}
	return clusters
}

// lookAtKubeconfig warns of a file that does not say how to reach a cluster;
// whether it is the right one only that cluster knows.
func (d *document) lookAtKubeconfig(field, path, context string) {
	if path == "" {
		return
	}
	kubeconfig, err := clientcmd.LoadFromFile(path)
	if err != nil {
		d.warn(field+".kubeconfig", "can't be read: %v", err)
		return
	}
	if context == "" {
		context = kubeconfig.CurrentContext
	}
	if kubeconfig.Contexts[context] == nil {
		d.warn(field, "has no context %q in kubeconfig %s; name one of those it has %q", context, path, slices.Sorted(maps.Keys(kubeconfig.Contexts)))
		return
	}
	if _, err := clientcmd.NewNonInteractiveClientConfig(*kubeconfig, context, nil, nil).ClientConfig(); err != nil {
		d.warn(field+".kubeconfig", "can't be used: %v", err)
	}
}

// parseVault fills what the tenant leaves out from the settings that tenants
// share.
func (d *document) parseVault(field string, in vaultFile) reconcile.Vault {
	shared := d.Vault
	v := reconcile.Vault{
		Address:           cmp.Or(in.Address, shared.Address),
		CAFile:            d.file(cmp.Or(in.CAFile, shared.CAFile)),
		ServerName:        cmp.Or(in.ServerName, shared.ServerName),
		ClientCertFile:    d.file(cmp.Or(in.ClientCertFile, shared.ClientCertFile)),
		ClientKeyFile:     d.file(cmp.Or(in.ClientKeyFile, shared.ClientKeyFile)),
		Namespace:         cmp.Or(in.Namespace, shared.Namespace),
		AuthNamespace:     cmp.Or(in.AuthNamespace, shared.AuthNamespace),
		Mount:             cmp.Or(in.Mount, shared.Mount),
		Prefix:            cmp.Or(in.Prefix, shared.Prefix),
		Timeout:           cmp.Or(in.Timeout, shared.Timeout),
		Connections:       cmp.Or(in.Connections, shared.Connections),
		RequestsPerSecond: cmp.Or(in.RequestsPerSecond, shared.RequestsPerSecond),
	}
	if events := cmp.Or(in.Events, shared.Events); events != nil {
		v.Events = *events
	}
	before := len(d.problems)
	if u, err := url.Parse(v.Address); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		d.wrong(field+".address", "%q is no URL of a vault; write one such as https://vault.example.com:8200, here or under vault", v.Address)
	}
	d.lookAt(field+".caFile", v.CAFile)
	d.lookAt(field+".clientCertFile", v.ClientCertFile)
	d.lookAt(field+".clientKeyFile", v.ClientKeyFile)
	if v.Mount == "" {
		d.wrong(field+".mount", "is missing; name the KV v2 mount, such as secret")
	}
	for _, p := range []struct{ field, value string }{{"mount", v.Mount}, {"prefix", v.Prefix}} {
		if _, err := definition.ParseSecretPath(p.value); p.value != "" && err != nil {
			d.wrong(field+"."+p.field, "%q must be a relative path without empty, \".\" or \"..\" segments", p.value)
		}
	}
	d.checkTimeout(field+".timeout", v.Timeout)
	auth := in.Auth
	if auth == nil {
		auth = shared.Auth
	}
	d.parseAuth(field+".auth", auth, &v)
	if err := v.Check(); err != nil && len(d.problems) == before {
		d.wrong(field, "%v", err)
	}
	return v
}

func (d *document) parseAuth(field string, in *authFile, v *reconcile.Vault) {
	if in == nil {
		in = &authFile{}
	}
	ways := 0
	if in.Token != nil {
		ways++
		d.needed(field+".token.file", in.Token.File, "the file that holds the token")
		v.TokenFile = d.file(in.Token.File)
		d.lookAt(field+".token.file", v.TokenFile)
	}
	if a := in.AppRole; a != nil {
		ways++
		d.needed(field+".appRole.roleID", a.RoleID, "the role's id, from: vault read auth/approle/role/<role>/role-id")
		d.needed(field+".appRole.secretIDFile", a.SecretIDFile, "the file that holds the secret id")
		v.AppRole = &reconcile.AppRole{Mount: cmp.Or(a.Mount, "approle"), RoleID: a.RoleID, SecretIDFile: d.file(a.SecretIDFile), Wrapped: a.Wrapped}
		d.lookAt(field+".appRole.secretIDFile", v.AppRole.SecretIDFile)
	}
	if k := in.Kubernetes; k != nil {
		ways++
		d.needed(field+".kubernetes.role", k.Role, "the role of the vault's kubernetes auth method")
		v.Kubernetes = &reconcile.KubernetesAuth{
			Mount:     cmp.Or(k.Mount, "kubernetes"),
			Role:      k.Role,
			TokenFile: d.file(cmp.Or(k.TokenFile, "/var/run/secrets/kubernetes.io/serviceaccount/token")),
		}
	}
	if j := in.JWT; j != nil {
		ways++
		d.needed(field+".jwt.tokenFile", j.TokenFile, "the file that holds the token")
		v.JWT = &reconcile.JWTAuth{Mount: cmp.Or(j.Mount, "jwt"), Role: j.Role, TokenFile: d.file(j.TokenFile)}
		d.lookAt(field+".jwt.tokenFile", v.JWT.TokenFile)
	}
	if c := in.Cert; c != nil {
		ways++
		d.needed(field+".cert", v.ClientCertFile, "clientCertFile and clientKeyFile beside auth: the certificate to log in with")
		v.Cert = &reconcile.CertAuth{Mount: cmp.Or(c.Mount, "cert"), Role: c.Role}
	}
	if ways != 1 {
		d.wrong(field, "gives %d ways to log in; give exactly one of appRole, cert, jwt, kubernetes and token", ways)
	}
}

// lookAt warns of a file that can't be read now.
func (d *document) lookAt(field, path string) {
	if path == "" {
		return
	}
	f, err := os.Open(path)
	if err != nil {
		d.warn(field, "can't be read: %v", err)
		return
	}
	f.Close()
}

func (d *document) checkTimeout(field string, timeout time.Duration) {
	if timeout != 0 && timeout < 100*time.Millisecond {
		d.wrong(field, "%v is too short; use at least 100ms", timeout)
	}
}
