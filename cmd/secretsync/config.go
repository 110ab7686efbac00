package main

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"path"
	"slices"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi"
	"secretsync/reconcile"
)

// config is a configuration that can be run: every value of the file parsed,
// every default filled in, every reference resolved.
type config struct {
	listen, metricsListen string
	publicURL             string // without a slash at its end; empty: not known
	tlsCert, tlsKey       string
	dataDir               string
	hashKeyFile           string // empty: hash.key in dataDir
	pollInterval          time.Duration
	workers               int
	logLevel              slog.Level
	logJSON               bool
	committer             gitstore.Identity
	signingKey            gitstore.SigningKey
	definitions           int   // the most a tenant may have; 0: the store's default
	mirror                int64 // bytes that one of a remote repository may take; 0: the store's default
	limits                httpapi.Limits
	git                   gitConfig
	trustedProxies        []netip.Prefix
	warnings              []string // files it names that can't be read now
	clusters              []reconcile.Cluster
	tenants               []tenantConfig
}

type tenantConfig struct {
	name         gitstore.TenantName
	displayName  string
	repository   gitstore.Settings
	receipts     bool
	proposeOnly  bool // what is written through the API becomes a pull request
	forge        forgeConfig
	webhook      webhookConfig
	pollInterval time.Duration
	vault        reconcile.Vault
	grants       map[definition.ClusterName]reconcile.Grant
	keys         []httpapi.Key
}

// loadConfig reads and checks a configuration file. A failure is a
// [configError] that lists everything that is wrong.
func loadConfig(path string) (*config, error) {
	d, err := readConfigFile(path)
	if err != nil {
		return nil, err
	}
	c := &config{
		listen:        or(d.Listen, "127.0.0.1:8080"),
		metricsListen: d.MetricsListen,
		tlsCert:       d.file(d.TLS.CertFile),
		tlsKey:        d.file(d.TLS.KeyFile),
		dataDir:       d.file(d.DataDir),
		hashKeyFile:   d.file(d.HashKeyFile),
		pollInterval:  or(d.PollInterval, reconcile.DefaultPollInterval),
		workers:       or(d.Workers, reconcile.DefaultWorkers),
		definitions:   d.Limits.Definitions,
		mirror:        int64(d.Limits.MirrorMiB) << 20,
		limits: httpapi.Limits{
			Rate: d.Limits.RequestsPerSecond, Burst: d.Limits.Burst,
			KeyRate: d.Limits.KeyPerSecond, KeyBurst: d.Limits.KeyBurst,
			Definitions: d.Limits.Definitions,
		},
		committer: gitstore.Identity{
			Name:  or(d.Committer.Name, "secretsync"),
			Email: or(d.Committer.Email, "secretsync@localhost"),
		},
	}
	d.checkServer(c)
	c.publicURL = d.parsePublicURL()
	c.signingKey = d.parseSigningKey("committer", d.Committer)
	c.git = d.parseGit()
	c.trustedProxies = d.parseProxies()
	c.clusters = d.parseClusters()
	c.tenants = d.parseTenants()
	if err := d.err(); err != nil {
		return nil, err
	}
	c.warnings = d.warnings
	return c, nil
}

// or returns the value a person gave, or else the default.
func or[T comparable](given, otherwise T) T {
	var zero T
	if given == zero {
		return otherwise
	}
	return given
}

func (d *document) checkServer(c *config) {
	d.checkAddress("listen", c.listen)
	if c.metricsListen != "" {
		d.checkAddress("metricsListen", c.metricsListen)
	}
	if (c.tlsCert == "") != (c.tlsKey == "") {
		d.wrong("tls", "certFile and keyFile go together; give both or neither")
	}
	d.checkFile("tls.certFile", c.tlsCert)
	d.checkFile("tls.keyFile", c.tlsKey)
	d.checkFile("hashKeyFile", c.hashKeyFile)
	if c.dataDir == "" {
		d.wrong("dataDir", "is missing; name the folder for repositories and keys, such as /var/lib/secretsync")
	}
	d.checkInterval("pollInterval", d.PollInterval)
	d.atLeast("workers", float64(d.Workers), 0)
	d.atLeast("limits.definitions", float64(d.Limits.Definitions), 0)
	d.atLeast("limits.requestsPerSecond", d.Limits.RequestsPerSecond, 0)
	d.atLeast("limits.burst", float64(d.Limits.Burst), 0)
	d.atLeast("limits.keyRequestsPerSecond", d.Limits.KeyPerSecond, 0)
	d.atLeast("limits.mirrorMiB", float64(d.Limits.MirrorMiB), 0)
	d.atLeast("limits.keyBurst", float64(d.Limits.KeyBurst), 0)
	if err := c.logLevel.UnmarshalText([]byte(or(d.Log.Level, "info"))); err != nil {
		d.wrong("log.level", "%q is no level; use debug, info, warn or error", d.Log.Level)
	}
	switch d.Log.Format {
	case "", "text":
	case "json":
		c.logJSON = true
	default:
		d.wrong("log.format", "%q is no format; use text or json", d.Log.Format)
	}
}

func (d *document) parseProxies() []netip.Prefix {
	var proxies []netip.Prefix
	for i, s := range d.TrustedProxies {
		prefix, err := netip.ParsePrefix(s)
		if addr, addrErr := netip.ParseAddr(s); addrErr == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			d.wrong(fmt.Sprintf("trustedProxies[%d]", i), "%q is no address; write one such as 10.0.0.7, or a range such as 10.0.0.0/24", s)
		}
		proxies = append(proxies, prefix)
	}
	return proxies
}

func (d *document) parseTenants() []tenantConfig {
	var tenants []tenantConfig
	keyOwner := map[string]string{}
	sharedBranch := d.parseBranch("branch", or(d.Branch, "main"))
	for _, name := range slices.Sorted(maps.Keys(d.Tenants)) {
		field, in := "tenants."+name, d.Tenants[name]
		tenant, err := gitstore.ParseTenantName(name)
		if err != nil {
			d.wrong(field, "%v", err)
		}
		d.checkInterval(field+".pollInterval", in.PollInterval)
		branch := sharedBranch
		if in.Branch != "" {
			branch = d.parseBranch(field+".branch", in.Branch)
		}
		t := tenantConfig{
			name:        tenant,
			displayName: or(in.DisplayName, name),
			repository: gitstore.Settings{
				Branch: branch, AllowForcePush: in.AllowForcePush, Signatures: d.parseSignatures(field+".signatures", in.Signatures),
				Remote: d.parseRepository(field+".repository", in.Repository),
			},
			receipts:     in.Repository.Receipts,
			proposeOnly:  d.parseWrite(field+".repository.write", in.Repository),
			forge:        d.parseForge(field+".repository.forge", in.Repository),
			pollInterval: in.PollInterval,
			vault:        d.parseVault(field+".vault", in.Vault),
			grants:       d.parseGrants(field+".clusters", in.Clusters),
		}
		t.webhook = d.parseWebhook(field+".repository.webhook", in.Repository.Webhook, t.forge, in.Repository.URL)
		for i, key := range in.Keys {
			at := fmt.Sprintf("%s.keys[%d]", field, i)
			if other, ok := keyOwner[key.ID]; ok {
				d.wrong(at+".id", "%q stands at %s too; make a key of its own with: secretsync key new", key.ID, other)
			}
			keyOwner[key.ID] = at
			t.keys = append(t.keys, d.parseKey(at, tenant, key))
		}
		tenants = append(tenants, t)
	}
	return tenants
}

func (d *document) parseBranch(field, name string) gitstore.BranchName {
	branch, err := gitstore.ParseBranchName(name)
	if err != nil {
		d.wrong(field, "%.80q is no name of a branch; write one such as main or team/main", name)
	}
	return branch
}

func (d *document) parseKey(field string, tenant gitstore.TenantName, in keyFile) httpapi.Key {
	id, err := httpapi.ParseKeyID(in.ID)
	if err != nil {
		d.wrong(field, "%v", err)
	}
	displayName, err := httpapi.ParseDisplayName(in.DisplayName)
	if err != nil {
		d.wrong(field, "%v", err)
	}
	role, err := httpapi.ParseRole(in.Role)
	if err != nil {
		d.wrong(field, "%v", err)
	}
	hash, err := httpapi.ParseKeyHash(in.Hash)
	if err != nil {
		d.wrong(field, "%v", err)
	}
	return httpapi.Key{ID: id, Hash: hash, Tenant: tenant, Role: role, DisplayName: displayName, CreatedAt: in.CreatedAt.UTC(), ExpiresAt: in.ExpiresAt.UTC()}
}

func (d *document) parseGrants(field string, in map[string]grantFile) map[definition.ClusterName]reconcile.Grant {
	grants := map[definition.ClusterName]reconcile.Grant{}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		at, grant := field+"."+name, in[name]
		cluster, err := definition.ParseClusterName(name)
		if err != nil {
			d.wrong(at, "%v", err)
		}
		registered := or(grant.Cluster, name)
		if _, ok := d.Clusters[registered]; !ok {
			d.wrong(at, "there is no cluster %q under clusters; add it there, or name one that is with cluster: NAME", registered)
		}
		if len(grant.Namespaces) == 0 {
			d.wrong(at+".namespaces", `is missing; list the namespaces the tenant may reach, or ["*"] for all`)
		}
		for i, glob := range grant.Namespaces {
			if _, err := path.Match(glob, ""); err != nil || glob == "" {
				d.wrong(fmt.Sprintf("%s.namespaces[%d]", at, i), "%q is no pattern; use a namespace or a glob such as team-*", glob)
			}
		}
		grants[cluster] = reconcile.Grant{Cluster: registered, Namespaces: grant.Namespaces}
	}
	return grants
}

func (d *document) needed(field, value, what string) {
	if value == "" {
		d.wrong(field, "is missing; give %s", what)
	}
}

func (d *document) checkAddress(field, address string) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		d.wrong(field, "%q is no address; write host:port, such as 127.0.0.1:8080 or :8443", address)
	}
}

func (d *document) checkFile(field, path string) {
	if path == "" {
		return
	}
	f, err := os.Open(path)
	if err != nil {
		d.wrong(field, "can't be read: %v", err)
		return
	}
	f.Close()
}

func (d *document) checkInterval(field string, interval time.Duration) {
	if _, given := d.lines[field]; given && interval < time.Second {
		d.wrong(field, "%v is too short; use at least 1s", interval)
	}
}

func (d *document) atLeast(field string, value, least float64) {
	if value < least {
		d.wrong(field, "is %v; it can't be less than %v", value, least)
	}
}
