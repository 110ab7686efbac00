package config

import (
	"time"

	"secretsync/gitstore"
)

// A tenant's repository: on a server, or in the data folder. It is written as a
// mapping, or as its URL alone.
type (
	repositoryFile struct {
		repositoryFields `yaml:",inline"`
	}
	repositoryFields struct {
		URL               string         `yaml:"url"`
		Insecure          bool           `yaml:"insecure"`
		Username          string         `yaml:"username"`
		PasswordFile      string         `yaml:"passwordFile"`
		GitHubApp         *githubAppFile `yaml:"githubApp"`
		SSHKeyFile        string         `yaml:"sshKeyFile"`
		SSHPassphraseFile string         `yaml:"sshPassphraseFile"`
		KnownHostsFile    string         `yaml:"knownHostsFile"`
		CAFile            string         `yaml:"caFile"`
		ClientCertFile    string         `yaml:"clientCertFile"`
		ClientKeyFile     string         `yaml:"clientKeyFile"`
		Proxy             string         `yaml:"proxy"`
		PollInterval      time.Duration  `yaml:"pollInterval"`
		Timeout           time.Duration  `yaml:"timeout"`
		Forge             *forgeFile     `yaml:"forge"`
		Webhook           *webhookFile   `yaml:"webhook"`
		Receipts          bool           `yaml:"receipts"`
		Write             string         `yaml:"write"`
	}
	githubAppFile struct {
		AppID          string `yaml:"appID"`
		InstallationID string `yaml:"installationID"`
		PrivateKeyFile string `yaml:"privateKeyFile"`
		URL            string `yaml:"url"`
	}
)

// UnmarshalYAML takes a URL or a mapping. It has this form, of an older version of
// the library, because the decoder is as strict within it as without.
func (f *repositoryFile) UnmarshalYAML(decode func(any) error) error {
	var url string
	if decode(&url) == nil {
		f.URL = url
		return nil
	}
	return decode(&f.repositoryFields)
}

// parseRepository returns where a tenant's repository is; the zero Remote if that
// is in the data folder.
func (d *document) parseRepository(field string, in repositoryFile) gitstore.Remote {
	s := gitstore.RemoteSettings{
		URL: in.URL, Insecure: in.Insecure, Username: in.Username, PasswordFile: d.file(in.PasswordFile),
		SSHKeyFile: d.file(in.SSHKeyFile), SSHPassphraseFile: d.file(in.SSHPassphraseFile), KnownHostsFile: d.file(in.KnownHostsFile),
		CAFile: d.file(in.CAFile), ClientCertFile: d.file(in.ClientCertFile), ClientKeyFile: d.file(in.ClientKeyFile),
		Proxy: in.Proxy, Timeout: in.Timeout,
	}
	if app := in.GitHubApp; app != nil {
		s.App = gitstore.GitHubApp{ID: app.AppID, InstallationID: app.InstallationID, PrivateKeyFile: d.file(app.PrivateKeyFile), URL: app.URL}
		d.lookAt(field+".githubApp.privateKeyFile", s.App.PrivateKeyFile)
	}
	if s.URL == "" {
		if s != (gitstore.RemoteSettings{}) || in.PollInterval != 0 || in.GitHubApp != nil {
			d.wrong(field+".url", "is missing; name the repository, such as https://forge.example.com/acme/secrets.git")
		}
		return gitstore.Remote{}
	}
	d.checkInterval(field+".pollInterval", in.PollInterval)
	d.checkTimeout(field+".timeout", in.Timeout)
	for _, f := range []struct{ field, path string }{
		{"passwordFile", s.PasswordFile}, {"sshKeyFile", s.SSHKeyFile}, {"sshPassphraseFile", s.SSHPassphraseFile}, {"knownHostsFile", s.KnownHostsFile},
		{"caFile", s.CAFile}, {"clientCertFile", s.ClientCertFile}, {"clientKeyFile", s.ClientKeyFile},
	} {
		d.lookAt(field+"."+f.field, f.path)
	}
	remote, err := gitstore.ParseRemote(s, in.PollInterval)
	if err != nil {
		d.wrong(field, "%v", err)
	}
	return remote
}

// parseWrite reports whether a tenant's writes are proposals.
func (d *document) parseWrite(field string, in repositoryFile) bool {
	switch in.Write {
	case "", "direct":
		return false
	case "propose":
		if in.URL == "" || in.Forge == nil {
			d.wrong(field, "needs repository.url and repository.forge: a pull request is opened there")
		}
		return true
	}
	d.wrong(field, "%.80q is neither direct nor propose", in.Write)
	return false
}
