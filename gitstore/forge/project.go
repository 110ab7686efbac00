package forge

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

const (
	azureHost      = "dev.azure.com"
	azureSSHHost   = "ssh.dev.azure.com"
	azureOldSuffix = ".visualstudio.com"
)

// project is where a repository lies on its forge.
type project struct {
	scheme string // http, https or ssh
	host   string // without a port
	port   string // of an http or https address, "" if it is the usual one
	path   string // without slashes around it and without .git
}

// KindOfRepository is [KindOf] of a repository's address, in any form that Git
// takes.
func KindOfRepository(address string) (Kind, bool) {
	p, err := parseProject(address)
	if err != nil {
		return "", false
	}
	return KindOf(p.host)
}

// parseProject takes an address apart as Git does: a URL, or host:path.
func parseProject(address string) (project, error) {
	if !strings.Contains(address, "://") {
		host, path, ok := strings.Cut(address, ":")
		if !ok || strings.Contains(host, "/") {
			return project{}, errors.New("is no address of a repository; write one such as https://forge.example.org/team/secrets.git")
		}
		_, host, at := strings.Cut(host, "@")
		if !at {
			host, _, _ = strings.Cut(address, ":")
		}
		return project{scheme: "ssh", host: host}.at(path)
	}
	u, err := url.Parse(address)
	if err != nil {
		return project{}, errors.New("is no URL") // its own text repeats the URL, which may hold a password
	}
	p := project{scheme: u.Scheme, host: u.Hostname()}
	switch u.Scheme {
	case "http", "https":
		p.port = u.Port()
	case "ssh":
	default:
		return project{}, fmt.Errorf("has the scheme %.20q; use https or ssh", u.Scheme)
	}
	return p.at(u.Path)
}

func (p project) at(path string) (project, error) {
	p.path = strings.TrimSuffix(strings.Trim(path, "/"), ".git")
	for segment := range strings.SplitSeq(p.path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return project{}, errors.New("has no path of a repository, such as team/secrets.git")
		}
	}
	if p.host == "" {
		return project{}, errors.New("has no host")
	}
	return p, nil
}

// ownerAndName are the two parts of a repository's path on a forge that has
// always two.
func (p project) ownerAndName() (owner, name string, err error) {
	owner, name, ok := strings.Cut(p.path, "/")
	if !ok || strings.Contains(name, "/") {
		return "", "", fmt.Errorf("the repository's path %q is not owner/name", p.path)
	}
	return owner, name, nil
}

// azure are the three parts of a repository of Azure DevOps:
//
//	https://dev.azure.com/ORGANIZATION/PROJECT/_git/NAME
//	https://dev.azure.com/ORGANIZATION/_git/NAME                       the project has the same name
//	https://ORGANIZATION.visualstudio.com/[DefaultCollection/]PROJECT/_git/NAME
//	git@ssh.dev.azure.com:v3/ORGANIZATION/PROJECT/NAME
//	https://HOST/COLLECTION/PROJECT/_git/NAME                          Azure DevOps Server
func (p project) azure() (organization, projectName, name string, err error) {
	parts := strings.Split(p.path, "/")
	if old, ok := strings.CutSuffix(p.host, azureOldSuffix); ok && old != "vs-ssh" {
		if parts[0] == "DefaultCollection" {
			parts = parts[1:]
		}
		parts = append([]string{old}, parts...)
	}
	switch {
	case len(parts) == 4 && parts[0] == "v3":
		return parts[1], parts[2], parts[3], nil
	case len(parts) >= 4 && parts[len(parts)-2] == "_git":
		n := len(parts)
		return strings.Join(parts[:n-3], "/"), parts[n-3], parts[n-1], nil
	case len(parts) == 3 && parts[1] == "_git":
		return parts[0], parts[2], parts[2], nil
	}
	return "", "", "", fmt.Errorf("the repository's path %q is not organization/project/_git/name", p.path)
}
