package forward

import (
	"strings"

	"secretsync/gitstore"
)

// Below these a path's next segment is a tenant.
const (
	tenantsPath = "/api/v1/tenants/"
	gitPath     = "/git/"
	hooksPath   = "/hooks/git/"
)

// Segment returns what stands in a path where a tenant's name does. Forwarding and the
// check of keys both go by it, so that none takes a path for another tenant's than the
// other does.
func Segment(path string) (segment string, ok bool) {
	for _, prefix := range []string{tenantsPath, gitPath, hooksPath} {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			segment, _, _ = strings.Cut(rest, "/")
			if prefix == gitPath {
				segment = strings.TrimSuffix(segment, ".git")
			}
			return segment, true
		}
	}
	return "", false
}

// TenantOf returns the tenant whose path it is. What stands there may be no name at all;
// then it is nobody's.
func TenantOf(path string) (gitstore.TenantName, bool) {
	segment, ok := Segment(path)
	if !ok {
		return gitstore.TenantName{}, false
	}
	name, err := gitstore.ParseTenantName(segment)
	return name, err == nil
}
