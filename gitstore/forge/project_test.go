package forge

import (
	"strings"
	"testing"
)

func TestWhereARepositoryLies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind            Kind
		repository, url string
		base, path      string // path within it, "" for an error
	}{
		{GitHub, "https://github.com/acme/secrets.git", "", "https://api.github.com", "acme/secrets"},
		{GitHub, "git@github.com:acme/secrets.git", "", "https://api.github.com", "acme/secrets"},
		{GitHub, "ssh://git@ssh.github.com:443/acme/secrets", "", "https://api.github.com", "acme/secrets"},
		{GitHub, "https://ghe.example.org/acme/secrets", "", "https://ghe.example.org/api/v3", "acme/secrets"},
		{GitHub, "https://acme.ghe.com/acme/secrets", "https://api.acme.ghe.com", "https://api.acme.ghe.com", "acme/secrets"},
		{GitLab, "https://gitlab.com/a/b/c/d.git/", "", "https://gitlab.com/api/v4", "a/b/c/d"},
		{GitLab, "ssh://git@altssh.gitlab.com:443/a/b", "", "https://gitlab.com/api/v4", "a/b"},
		{GitLab, "https://example.org/gitlab/a/b", "https://example.org/gitlab/", "https://example.org/gitlab/api/v4", "a/b"},
		{GitLab, "https://example.org/gitlab/a/b", "https://example.org/gitlab/api/v4", "https://example.org/gitlab/api/v4", "a/b"},
		{Gitea, "ssh://git@forge.example.org:2222/acme/secrets.git", "", "https://forge.example.org/api/v1", "acme/secrets"},
		{Gitea, "http://127.0.0.1:3000/acme/secrets.git", "", "http://127.0.0.1:3000/api/v1", "acme/secrets"},
		{Gitea, "http://[::1]:3000/acme/secrets.git", "", "http://[::1]:3000/api/v1", "acme/secrets"},
		{Forgejo, "codeberg.org:acme/secrets", "", "https://codeberg.org/api/v1", "acme/secrets"},
		{Bitbucket, "git@bitbucket.org:acme/secrets.git", "", "https://api.bitbucket.org/2.0", "acme/secrets"},
		{Azure, "https://acme@dev.azure.com/acme/Platform%20Team/_git/secrets", "", "https://dev.azure.com", "acme/Platform Team/_git/secrets"},
		{Gitea, "http://forge.example.org/acme/secrets.git", "", "", ""},
		{Gitea, "https://forge.example.org/acme/secrets.git", "https://user:pass@forge.example.org", "", ""},
		{Gitea, "https://forge.example.org/acme/secrets.git", "forge.example.org", "", ""},
		{Gitea, "https://forge.example.org/", "", "", ""},
		{Gitea, "https://forge.example.org/acme/../secrets", "", "", ""},
		{Gitea, "/srv/git/secrets.git", "", "", ""},
		{Gitea, "file:///srv/git/secrets.git", "", "", ""},
		{Gitea, "https://user:hunter2@forge.example.org:x/acme", "", "", ""},
	} {
		at, err := parseProject(c.repository)
		base := ""
		if err == nil {
			base, at, err = apiBase(Config{Kind: c.kind, URL: c.url}, at)
		}
		if err != nil {
			if c.path != "" || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "pass@") {
				t.Errorf("%s: %v", c.repository, err)
			}
			continue
		}
		if base != c.base || at.path != c.path {
			t.Errorf("%s: %s and %s", c.repository, base, at.path)
		}
	}
}

func TestWhereARepositoryOfAzureLies(t *testing.T) {
	t.Parallel()
	for repository, want := range map[string]string{
		"https://dev.azure.com/acme/Platform/_git/secrets":                      "acme Platform secrets",
		"https://acme@dev.azure.com/acme/_git/secrets":                          "acme secrets secrets",
		"https://acme.visualstudio.com/Platform/_git/secrets":                   "acme Platform secrets",
		"https://acme.visualstudio.com/DefaultCollection/Platform/_git/secrets": "acme Platform secrets",
		"https://acme.visualstudio.com/_git/secrets":                            "acme secrets secrets",
		"git@ssh.dev.azure.com:v3/acme/Platform/secrets":                        "acme Platform secrets",
		"acme@vs-ssh.visualstudio.com:v3/acme/Platform/secrets":                 "acme Platform secrets",
		"https://tfs.example.org/tfs/DefaultCollection/Platform/_git/secrets":   "tfs/DefaultCollection Platform secrets",
		"https://dev.azure.com/acme/secrets":                                    "",
		"https://dev.azure.com/acme/Platform/_git/secrets/pullrequest/7":        "",
	} {
		at, err := parseProject(repository)
		if err != nil {
			t.Fatal(err)
		}
		organization, project, name, err := at.azure()
		if got := strings.TrimSpace(organization + " " + project + " " + name); got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v", repository, got, err)
		}
	}
}

func FuzzParseProject(f *testing.F) {
	for _, seed := range []string{"https://github.com/acme/secrets.git", "git@host:a/b", "ssh://git@[::1]:22/a/b", "host:", ":", "https://h//"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := parseProject(s)
		if err != nil {
			return
		}
		if at.host == "" || at.path == "" || strings.HasPrefix(at.path, "/") {
			t.Errorf("%q: %+v", s, at)
		}
		for _, kind := range kinds {
			if base, _, err := apiBase(Config{Kind: kind}, at); err == nil && !strings.HasPrefix(base, "http") {
				t.Errorf("%q: %q", s, base)
			}
		}
	})
}
