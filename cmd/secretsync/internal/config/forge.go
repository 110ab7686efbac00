package config

import (
	"cmp"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"secretsync/gitstore"
	"secretsync/gitstore/forge"
)

// Forge is where a tenant's repository is on a forge, and what is done
// there. It is comparable: one client is made for each that differs.
type Forge struct {
	Kind       forge.Kind
	URL        string // of its API; empty: known from kind and repository
	Repository string // its address there; empty: there is no forge
	TokenFile  string
	App        gitstore.GitHubApp // that lets us in; zero: what tokenFile holds does
	Statuses   bool
	Checks     bool // of open pull requests
}

// Client returns what speaks to the forge.
func (f Forge) Client() (*forge.Client, error) {
	c := forge.Config{Kind: f.Kind, Repository: f.Repository, URL: f.URL, Credentials: forge.TokenFile(f.TokenFile)}
	if f.App != (gitstore.GitHubApp{}) {
		installation, err := strconv.ParseInt(f.App.InstallationID, 10, 64)
		if err != nil {
			return nil, errors.New("the installationID of the GitHub App is no number")
		}
		of := c
		of.URL = cmp.Or(f.URL, f.App.URL)
		app, err := forge.NewApp(forge.AppConfig{AppID: f.App.ID, InstallationID: installation, PrivateKeyFile: f.App.PrivateKeyFile, Config: of})
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
func (d *document) parseForge(field string, of repositoryFile) Forge {
	in := of.Forge
	if in == nil {
		return Forge{}
	}
	f := Forge{URL: in.URL, Repository: cmp.Or(in.Repository, of.URL), TokenFile: d.file(in.TokenFile), Statuses: in.Statuses, Checks: in.Checks}
	if f.Repository == "" {
		d.wrong(field+".repository", "is missing; give the repository's address on the forge, such as https://forge.example.org/acme/secrets.git")
		return Forge{}
	}
	if app := of.GitHubApp; f.TokenFile == "" && app != nil {
		f.App = gitstore.GitHubApp{ID: app.AppID, InstallationID: app.InstallationID, PrivateKeyFile: d.file(app.PrivateKeyFile), URL: app.URL}
	} else if f.TokenFile == "" {
		d.wrong(field+".tokenFile", "is missing; name the file that holds a token for the forge's API")
	}
	d.readNow(field+".tokenFile", f.TokenFile) // warns
	known := false
	if f.Kind, known = forge.KindOfRepository(f.Repository); in.Kind != "" {
		var err error
		if f.Kind, err = forge.ParseKind(in.Kind); err != nil {
			d.wrong(field+".kind", "%v", err)
			return f
		}
	} else if !known {
		d.wrong(field+".kind", "is missing, and the address does not tell it; say github, gitlab, gitea, forgejo, bitbucket or azure")
		return f
	}
	if f.App != (gitstore.GitHubApp{}) && f.Kind != forge.GitHub {
		d.wrong(field+".tokenFile", "is missing; repository.githubApp is for the API of GitHub alone")
		return f
	}
	if _, err := f.Client(); err != nil {
		d.wrong(field, "%v", err)
	}
	if f.Kind == forge.Bitbucket && f.Statuses && d.PublicURL == "" {
		d.wrong(field+".statuses", "needs publicURL: Bitbucket takes no status without a link")
	}
	return f
}
