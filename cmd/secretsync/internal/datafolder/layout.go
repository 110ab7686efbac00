package datafolder

import (
	"path/filepath"

	"secretsync/gitstore"
)

// Repositories is the folder of a [gitstore.Store].
func Repositories(dir string) string { return filepath.Join(dir, "repositories") }

// Repository is the bare repository of one tenant, unless a store is there to be asked.
func Repository(dir string, tenant gitstore.TenantName) string {
	return filepath.Join(Repositories(dir), tenant.String()+".git")
}

// Keys is the folder of the API keys that were made through the API, an apikey.Store.
func Keys(dir string) string { return filepath.Join(dir, "keys") }

// HashKey is the file of the key of the hash that copies carry.
func HashKey(dir string) string { return filepath.Join(dir, "hash.key") }

// KeysUsed is the file that says when each API key was used last.
func KeysUsed(dir string) string { return filepath.Join(dir, "keys-used.json") }

// Reports is the folder in which it is remembered what forges were told.
func Reports(dir string) string { return filepath.Join(dir, "reports") }

// Proposals is the file of what a tenant's forge was asked to merge.
func Proposals(dir string, tenant gitstore.TenantName) string {
	return filepath.Join(dir, "proposals", tenant.String()+".json")
}

// Format is the file that says the folder's format.
func Format(dir string) string { return filepath.Join(dir, "format") }

// Git is the folder in which repositories are served to stock git from.
func Git(dir string) string { return filepath.Join(dir, "git") }
