package config

import (
	"fmt"
	"time"
)

// What a new repository is set up with, besides what Git itself would say:
// pushed objects are checked, are on disk before the branch moves, and garbage
// is left to us and to the operator; pushes that drop commits are refused.
const initial = `[core]
	repositoryformatversion = 0
	filemode = true
	bare = true
	fsync = committed,loose-object
[receive]
	fsckObjects = true
	autogc = false
[gc]
	auto = 0
[secretsync]
	created = %s
` + forcePushRefused

// New returns the configuration of a repository that is made now.
func New(now time.Time) string {
	return fmt.Sprintf(initial, now.UTC().Format(time.RFC3339))
}
