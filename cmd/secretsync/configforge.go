package main

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"secretsync/gitstore"
	"secretsync/gitstore/forge"
	"secretsync/reconcile/report"
)

// forgeConfig is where a tenant's repository is on a forge, and what is done
// there. It is comparable: one client is made for each that differs.
type forgeConfig struct {
	kind       forge.Kind
	url        string // of its API; empty: known from kind and repository
	repository string // its address there; empty: there is no forge
	tokenFile  string
	app        gitstore.GitHubApp // that lets us in; zero: what tokenFile holds does
	statuses   bool
	checks     bool // of open pull requests
}

func (f forgeConfig) client() (*forge.Client, error) {
	c := forge.Config{Kind: f.kind, Repository: f.repository, URL: f.url, Credentials: forge.TokenFile(f.tokenFile)}
	if f.app != (gitstore.GitHubApp{}) {
		installation, err := strconv.ParseInt(f.app.InstallationID, 10, 64)
		if err != nil {
			return nil, errors.New("the installationID of the GitHub App is no number")
		}
		of := c
		of.URL = or(f.url, f.app.URL)
		app, err := forge.NewApp(forge.AppConfig{AppID: f.app.ID, InstallationID: installation, PrivateKeyFile: f.app.PrivateKeyFile, Config: of})
		if err != nil {
			return nil, err
		}
		c.Credentials, c.URL = app, of.URL
	}
	return forge.New(c)
}

// parsePublicURL checks how people reach this server.
func (d *document) parsePublicURL() string {
	if d.PublicURL == "" {
		return ""
	}
	u, err := url.Parse(d.PublicURL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		d.wrong("publicURL", "is no address; write one such as https://secretsync.example.org, without user, query and fragment")
		return ""
	}
	return strings.TrimRight(d.PublicURL, "/")
}

// parseForge returns where a tenant's repository is on a forge. What is not said
// of the forge goes by the repository: its URL, and the app that lets us in there.
func (d *document) parseForge(field string, of repositoryFile) forgeConfig {
	in := of.Forge
	if in == nil {
		return forgeConfig{}
	}
	f := forgeConfig{url: in.URL, repository: or(in.Repository, of.URL), tokenFile: d.file(in.TokenFile), statuses: in.Statuses, checks: in.Checks}
	if f.repository == "" {
		d.wrong(field+".repository", "is missing; give the repository's address on the forge, such as https://forge.example.org/acme/secrets.git")
		return forgeConfig{}
	}
	if app := of.GitHubApp; f.tokenFile == "" && app != nil {
		f.app = gitstore.GitHubApp{ID: app.AppID, InstallationID: app.InstallationID, PrivateKeyFile: d.file(app.PrivateKeyFile), URL: app.URL}
	} else if f.tokenFile == "" {
		d.wrong(field+".tokenFile", "is missing; name the file that holds a token for the forge's API")
	}
	d.readNow(field+".tokenFile", f.tokenFile) // warns
	known := false
	if f.kind, known = forge.KindOfRepository(f.repository); in.Kind != "" {
		var err error
		if f.kind, err = forge.ParseKind(in.Kind); err != nil {
			d.wrong(field+".kind", "%v", err)
			return f
		}
	} else if !known {
		d.wrong(field+".kind", "is missing, and the address does not tell it; say github, gitlab, gitea, forgejo, bitbucket or azure")
		return f
	}
	if f.app != (gitstore.GitHubApp{}) && f.kind != forge.GitHub {
		d.wrong(field+".tokenFile", "is missing; repository.githubApp is for the API of GitHub alone")
		return f
	}
	if _, err := f.client(); err != nil {
		d.wrong(field, "%v", err)
	}
	if f.kind == forge.Bitbucket && f.statuses && d.PublicURL == "" {
		d.wrong(field+".statuses", "needs publicURL: Bitbucket takes no status without a link")
	}
	return f
}

// forgeClient is a tenant's client, with what it was made of: it is kept over
// reloads that leave that as it is, with the pauses that the forge asked for.
type forgeClient struct {
	forgeConfig
	*forge.Client
}

// forgeOf returns the tenant's client; nil if there is no forge.
func (p *program) forgeOf(t tenantConfig) (*forge.Client, error) {
	if t.forge.repository == "" {
		return nil, nil
	}
	if kept, ok := p.forges[t.name]; ok && kept.forgeConfig == t.forge {
		return kept.Client, nil
	}
	client, err := t.forge.client()
	if err != nil {
		return nil, fmt.Errorf("the forge of tenant %s: %w", t.name, err)
	}
	p.forges[t.name] = forgeClient{t.forge, client}
	return client, nil
}

// newReporter makes what tells of commits that became live.
func (p *program) newReporter(cfg *config) (*report.Reporter, error) {
	p.forges = make(map[gitstore.TenantName]forgeClient)
	return report.New(report.Config{
		Source:    p.reconciler,
		Dir:       filepath.Join(cfg.dataDir, "reports"),
		PublicURL: cfg.publicURL,
		Log:       p.log,
		Metrics:   p.registry,
	})
}

// reports says where what became live is told of each tenant.
func (p *program) reports(cfg *config, repositories map[gitstore.TenantName]*gitstore.Repository) ([]report.Tenant, error) {
	var tenants []report.Tenant
	for _, t := range cfg.tenants {
		told := report.Tenant{Name: t.name, Repository: repositories[t.name], Receipts: t.receipts}
		client, err := p.forgeOf(t)
		if err != nil {
			return nil, err
		}
		if client != nil && t.forge.statuses {
			told.Forge = client
		}
		tenants = append(tenants, told)
	}
	return tenants, nil
}
