package forge

import (
	"fmt"
	"slices"
	"strings"
)

// A Kind is a kind of forge.
type Kind string

// The kinds there are. Forgejo is what Gitea is, but for the names of headers.
const (
	GitHub    Kind = "github"
	GitLab    Kind = "gitlab"
	Gitea     Kind = "gitea"
	Forgejo   Kind = "forgejo"
	Bitbucket Kind = "bitbucket" // Bitbucket Cloud; of Bitbucket Data Center the deliveries alone
	Azure     Kind = "azure"     // Azure DevOps
	Generic   Kind = "generic"   // anything that can send a delivery; it has no API
)

var (
	kinds     = []Kind{GitHub, GitLab, Gitea, Forgejo, Bitbucket, Azure}
	hookKinds = append(slices.Clip(kinds), Generic)
)

// ParseKind parses the kind of a forge that has an API.
func ParseKind(s string) (Kind, error) { return parseKind(s, kinds) }

// ParseHookKind parses the kind of a forge, or of another sender of deliveries.
func ParseHookKind(s string) (Kind, error) { return parseKind(s, hookKinds) }

func parseKind(s string, among []Kind) (Kind, error) {
	if kind := Kind(s); slices.Contains(among, kind) {
		return kind, nil
	}
	names := make([]string, len(among))
	for i, kind := range among {
		names[i] = string(kind)
	}
	return "", fmt.Errorf("%.40q is no kind of forge; use one of %s", s, strings.Join(names, ", "))
}

// KindOf tells the kind of a forge by the host of a repository; false: the host
// is none that is known.
func KindOf(host string) (Kind, bool) {
	switch host = strings.ToLower(host); host {
	case "github.com", "ssh.github.com":
		return GitHub, true
	case "gitlab.com", "altssh.gitlab.com":
		return GitLab, true
	case "gitea.com":
		return Gitea, true
	case "codeberg.org":
		return Forgejo, true
	case "bitbucket.org", "altssh.bitbucket.org":
		return Bitbucket, true
	case azureHost, azureSSHHost:
		return Azure, true
	}
	if strings.HasSuffix(host, azureOldSuffix) {
		return Azure, true
	}
	return "", false
}
