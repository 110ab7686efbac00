package config

import "bytes"

// What stands in a repository's configuration about pushes that drop commits. It
// is a block of our own at the end of the file, known by its text, so that what
// people wrote around it stays as it is.
//
// To delete the branch that HEAD is refused by denyDeleteCurrent; other branches
// may be deleted, which denyDeletes would forbid. A push that is no fast-forward
// can be refused for all branches only: Git has nothing finer.
const (
	forcePushRefused = `# From here on written by secretsync, as allowForcePush of the tenant says.
[receive]
	denyNonFastForwards = true
	denyDeleteCurrent = refuse
[secretsync]
	forcePush = refused
`
	forcePushAllowed = `# From here on written by secretsync, as allowForcePush of the tenant says.
[receive]
	denyNonFastForwards = false
	denyDeleteCurrent = ignore
[secretsync]
	forcePush = allowed
`
)

// AllowForcePush has Git take, or refuse, pushes that drop commits of a branch,
// and those that delete the one that HEAD is. What somebody set by hand stays:
// in a repository that was never told, where allow is false, and in one that was
// told the same before.
func (c *Files) AllowForcePush(allow bool) error {
	if err := c.Check(); err != nil {
		return err
	}
	wanted, block, other := "refused", forcePushRefused, forcePushAllowed
	if allow {
		wanted, block, other = "allowed", forcePushAllowed, forcePushRefused
	}
	now := c.Get()
	if now.forcePush == wanted || now.forcePush == "" && now.receives && !allow {
		return nil
	}
	return c.edit(func(content []byte) []byte {
		for _, old := range []string{block, other} {
			content = bytes.ReplaceAll(content, []byte(old), nil)
		}
		if len(content) > 0 && !bytes.HasSuffix(content, []byte("\n")) {
			content = append(content, '\n')
		}
		return append(content, block...)
	})
}
