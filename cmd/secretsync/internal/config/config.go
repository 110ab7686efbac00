// Package config owns the server's configuration file: its shape, what is wrong with
// one, and what it comes to.
//
// A file is read strictly and once, at the edge: a [Config] has every value parsed,
// every default filled in and every path resolved, so that nothing behind it checks
// again. All that is wrong is told at once, each mistake by file, line, field and
// remedy, and never with the value that stands there, which may be a secret. What
// each field means stands in examples/secretsync.yaml, which the tests load.
package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/limit"
	"secretsync/reconcile"
	"secretsync/reconcile/cleanup"
)

// Config is a configuration that can be run: every value of the file parsed,
// every default filled in, every reference resolved.
type Config struct {
	Listen, MetricsListen string
	Drain                 time.Duration
	PublicURL             string // without a slash at its end; empty: not known
	Console               httpapi.Console
	TLSCert, TLSKey       string
	DataDir               string
	HashKeyFile           string // empty: kept where Keys says
	Home                  *Home  // nil: none
	Keys                  KeyPlace
	Replicas              *Replicas // nil: the only one
	PollInterval          time.Duration
	MinRefresh            time.Duration // minRefreshInterval
	Selected              int           // selectedNamespaces; 0: the reconciler's default
	Workers               int
	LogLevel              slog.Level
	LogJSON               bool
	Committer             gitstore.Identity
	SigningKey            gitstore.SigningKey
	Definitions           int   // the most a tenant may have; 0: the store's default
	Mirror                int64 // bytes that one of a remote repository may take; 0: the store's default
	Limits                limit.Limits
	Git                   Git
	TrustedProxies        []netip.Prefix
	Audit                 Audit
	Telemetry             Telemetry
	Pprof                 bool     // profiles are served on MetricsListen
	Warnings              []string // files it names that can't be read now
	Clusters              []reconcile.Cluster
	Tenants               []Tenant
	Elsewhere             []Tenant // those that another replica works for; see [Config.Only]
}

// Tenant is what is configured of one.
type Tenant struct {
	Name         gitstore.TenantName
	DisplayName  string
	Repository   gitstore.Settings
	Receipts     bool
	OnReplica    string // the one that has its repository; empty: any
	ProposeOnly  bool   // what is written through the API becomes a pull request
	Forge        Forge
	Webhook      Webhook
	PollInterval time.Duration
	Suspend      bool          // its copies are left as they are
	MinRefresh   time.Duration // minRefreshInterval; 0: that of all tenants
	Selected     int           // selectedNamespaces; 0: that of all tenants
	Brake        cleanup.Brake
	Vault        reconcile.Vault
	Grants       map[definition.ClusterName]reconcile.Grant
	Keys         []apikey.Key
}

// Load reads and checks a configuration file. What is wrong with it is an [Error],
// which lists everything; a file that can't be read is another failure.
func Load(path string) (*Config, error) {
	d, err := readConfigFile(path)
	if err != nil {
		return nil, err
	}
	c := &Config{
		Listen:        cmp.Or(d.Listen, "127.0.0.1:8080"),
		MetricsListen: d.MetricsListen,
		Drain:         d.Drain,
		TLSCert:       d.file(d.TLS.CertFile),
		TLSKey:        d.file(d.TLS.KeyFile),
		DataDir:       d.file(d.DataDir),
		HashKeyFile:   d.file(d.HashKeyFile),
		PollInterval:  cmp.Or(d.PollInterval, reconcile.DefaultPollInterval),
		MinRefresh:    cmp.Or(d.MinRefresh, reconcile.DefaultMinRefreshInterval),
		Selected:      d.Selected,
		Workers:       cmp.Or(d.Workers, reconcile.DefaultWorkers),
		Definitions:   d.Limits.Definitions,
		Mirror:        int64(d.Limits.MirrorMiB) << 20,
		Limits: limit.Limits{
			Rate: d.Limits.RequestsPerSecond, Burst: d.Limits.Burst,
			KeyRate: d.Limits.KeyPerSecond, KeyBurst: d.Limits.KeyBurst,
			Definitions: d.Limits.Definitions,
		},
		Committer: gitstore.Identity{
			Name:  cmp.Or(d.Committer.Name, "secretsync"),
			Email: cmp.Or(d.Committer.Email, "secretsync@localhost"),
		},
	}
	d.checkServer(c)
	c.PublicURL = d.parsePublicURL()
	c.Console = d.console(c.PublicURL)
	c.SigningKey = d.parseSigningKey("committer", d.Committer)
	c.Git = d.parseGit()
	c.Home = d.parseHome()
	c.Keys = d.parseKeyPlace(c.Home)
	c.Audit = d.parseAudit()
	c.Telemetry = d.parseTelemetry()
	c.Pprof = d.parseProfiles(c)
	c.TrustedProxies = d.parseProxies()
	c.Clusters = d.parseClusters()
	c.Tenants = d.parseTenants()
	c.Reserve(c.Home)
	c.Replicas = d.parseReplicas(c)
	if err := d.err(); err != nil {
		return nil, err
	}
	c.Warnings = d.warnings
	return c, nil
}

func (d *document) checkDataDir(c *Config) {
	if c.DataDir == "" {
		d.wrong("dataDir", "is missing; name the folder for repositories and keys, such as /var/lib/secretsync")
	}
}

func (d *document) checkServer(c *Config) {
	d.checkAddress("listen", c.Listen)
	if c.MetricsListen != "" {
		d.checkAddress("metricsListen", c.MetricsListen)
		d.checkApart("metricsListen", c.MetricsListen, "listen", c.Listen, "leave it out to have metrics there")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		d.wrong("tls", "certFile and keyFile go together; give both or neither")
	}
	d.checkFile("tls.certFile", c.TLSCert)
	d.checkFile("tls.keyFile", c.TLSKey)
	d.checkFile("hashKeyFile", c.HashKeyFile)
	d.checkDataDir(c)
	d.checkDrain()
	d.checkInterval("pollInterval", d.PollInterval)
	d.checkInterval("minRefreshInterval", d.MinRefresh)
	d.atLeast("workers", float64(d.Workers), 0)
	d.atLeast("selectedNamespaces", float64(d.Selected), 0)
	d.atLeast("limits.definitions", float64(d.Limits.Definitions), 0)
	d.atLeast("limits.requestsPerSecond", d.Limits.RequestsPerSecond, 0)
	d.atLeast("limits.burst", float64(d.Limits.Burst), 0)
	d.atLeast("limits.keyRequestsPerSecond", d.Limits.KeyPerSecond, 0)
	d.atLeast("limits.mirrorMiB", float64(d.Limits.MirrorMiB), 0)
	d.atLeast("limits.keyBurst", float64(d.Limits.KeyBurst), 0)
	if err := c.LogLevel.UnmarshalText([]byte(cmp.Or(d.Log.Level, "info"))); err != nil {
		d.wrong("log.level", "%q is no level; use debug, info, warn or error", d.Log.Level)
	}
	switch d.Log.Format {
	case "", "text":
	case "json":
		c.LogJSON = true
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

func (d *document) parseTenants() []Tenant {
	var tenants []Tenant
	keyOwner := map[string]string{}
	sharedBrake := d.parseBrake("brake", d.Brake, cleanup.DefaultBrake)
	sharedBranch := d.parseBranch("branch", cmp.Or(d.Branch, "main"))
	for _, name := range slices.Sorted(maps.Keys(d.Tenants)) {
		field, in := "tenants."+name, d.Tenants[name]
		tenant, err := gitstore.ParseTenantName(name)
		if err != nil {
			d.wrong(field, "%v", err)
		}
		d.checkInterval(field+".pollInterval", in.PollInterval)
		d.checkInterval(field+".minRefreshInterval", in.MinRefresh)
		d.atLeast(field+".selectedNamespaces", float64(in.Selected), 0)
		branch := sharedBranch
		if in.Branch != "" {
			branch = d.parseBranch(field+".branch", in.Branch)
		}
		t := Tenant{
			Name:        tenant,
			DisplayName: cmp.Or(in.DisplayName, name),
			Repository: gitstore.Settings{
				Branch: branch, AllowForcePush: in.AllowForcePush, Signatures: d.parseSignatures(field+".signatures", in.Signatures),
				Remote: d.parseRepository(field+".repository", in.Repository),
			},
			OnReplica:    in.OnReplica,
			Receipts:     in.Repository.Receipts,
			ProposeOnly:  d.parseWrite(field+".repository.write", in.Repository),
			Forge:        d.parseForge(field+".repository.forge", in.Repository),
			PollInterval: in.PollInterval,
			Suspend:      in.Suspend,
			MinRefresh:   in.MinRefresh,
			Selected:     in.Selected,
			Brake:        d.parseBrake(field+".brake", in.Brake, sharedBrake),
			Vault:        d.parseVault(field+".vault", in.Vault),
			Grants:       d.parseGrants(field+".clusters", in.Clusters),
		}
		t.Webhook = d.parseWebhook(field+".repository.webhook", in.Repository.Webhook, t.Forge, in.Repository.URL)
		for i, key := range in.Keys {
			at := fmt.Sprintf("%s.keys[%d]", field, i)
			if other, ok := keyOwner[key.ID]; ok {
				d.wrong(at+".id", "%q stands at %s too; make a key of its own with: secretsync key new", key.ID, other)
			}
			keyOwner[key.ID] = at
			t.Keys = append(t.Keys, d.parseKey(at, tenant, key))
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

func (d *document) parseKey(field string, tenant gitstore.TenantName, in keyFile) apikey.Key {
	id, err := apikey.ParseID(in.ID)
	if err != nil {
		d.wrong(field, "%v", err)
	}
	displayName, err := apikey.ParseDisplayName(in.DisplayName)
	if err != nil {
		d.wrong(field, "%v", err)
	}
	role, err := apikey.ParseRole(in.Role)
	if err != nil {
		d.wrong(field, "%v", err)
	}
	hash, err := apikey.ParseHash(in.Hash)
	if err != nil {
		d.wrong(field, "%v", err)
	}
	return apikey.Key{ID: id, Hash: hash, Tenant: tenant, Role: role, DisplayName: displayName, CreatedAt: in.CreatedAt.UTC(), ExpiresAt: in.ExpiresAt.UTC()}
}

func (d *document) parseGrants(field string, in map[string]grantFile) map[definition.ClusterName]reconcile.Grant {
	grants := map[definition.ClusterName]reconcile.Grant{}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		at, grant := field+"."+name, in[name]
		cluster, err := definition.ParseClusterName(name)
		if err != nil {
			d.wrong(at, "%v", err)
		}
		registered := cmp.Or(grant.Cluster, name)
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

// checkDrain bounds a wait that nobody could tell from a server that hangs.
func (d *document) checkDrain() {
	if most := 10 * time.Minute; d.Drain < 0 || d.Drain > most {
		d.wrong("drain", "%v is no time to end in; use one up to %v, such as 5s", d.Drain, most)
	}
}

func (d *document) checkInterval(field string, interval time.Duration) {
	if _, given := d.lines[field]; given && interval < time.Second {
		d.wrong(field, "%v is too short; use at least 1s", interval)
	}
}

// parseBrake parses how much may be deleted by itself; what is not given is as in
// another one.
func (d *document) parseBrake(field string, in brakeFile, otherwise cleanup.Brake) cleanup.Brake {
	b := otherwise
	if in.Copies != nil {
		b.Copies = *in.Copies
		d.atLeast(field+".copies", float64(b.Copies), 0)
	}
	if in.Share != nil {
		b.Share = *in.Share
		if !(b.Share >= 0 && b.Share <= 100) { // so that NaN is none
			d.wrong(field+".share", "is %v; it is a percentage, from 0 to 100", b.Share)
		}
	}
	return b
}

func (d *document) atLeast(field string, value, least float64) {
	if value < least {
		d.wrong(field, "is %v; it can't be less than %v", value, least)
	}
}

// console is how the pages for people are served.
func (d *document) console(publicURL string) httpapi.Console {
	switch {
	case d.Console != nil && !*d.Console:
		return httpapi.NoConsole
	case strings.HasPrefix(publicURL, "https://"):
		return httpapi.ConsoleTLS
	}
	return httpapi.ConsoleHere
}
