package kv

import (
	"context"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"secretsync/reconcile/vault/access"
)

// Data reads a path's value. The version is that of the newest one, also where the
// failure says that it is gone.
func Data(ctx context.Context, c *access.Client, secretPath, token string, active bool) (*Value, Version, *access.Failure) {
	at := c.Full(secretPath)
	answer, f := read(ctx, c, "data", secretPath, at, token, active)
	if f != nil {
		return nil, Version{}, f
	}
	defer answer.Release()
	return parseData(answer.Body.Bytes(), answer.Status != http.StatusNotFound, at)
}

// Metadata reads the newest version of a path's value, also where the failure says
// that it is gone.
func Metadata(ctx context.Context, c *access.Client, secretPath, token string, active bool, now time.Time) (Version, *access.Failure) {
	at := c.Full(secretPath)
	answer, f := read(ctx, c, "metadata", secretPath, at, token, active)
	if f != nil {
		return Version{}, f
	}
	defer answer.Release()
	if answer.Status == http.StatusNotFound {
		return Version{}, access.NotFound(at)
	}
	return parseMetadata(answer.Body.Bytes(), at, now)
}

func read(ctx context.Context, c *access.Client, kind, secretPath, at, token string, active bool) (*access.Reply, *access.Failure) {
	answer, f := c.Do(ctx, access.Request{
		Kind: kind, What: at, Method: http.MethodGet, Path: path.Join(c.Config.Mount, kind, c.Config.Prefix, secretPath),
		Token: token, Namespace: strings.Trim(c.Config.Namespace, "/"), Active: active,
	})
	if f != nil {
		if f.TooLong {
			return nil, access.TooLarge("Vault's answer for %s is over %d bytes; split the value over several paths", at, access.MaxAnswer)
		}
		return nil, f
	}
	if answer.Status != http.StatusNotFound {
		return answer, nil
	}
	// The vault says 404 of a path without a value, of a deleted one (with a
	// body like a value's), and of a mount that is not there. A page that is no
	// JSON is not the vault's: something before it does not find it.
	switch said, vaults := access.SaidIn(answer); {
	case strings.Contains(said, "no handler for route"):
		f = access.Forbidden(said, "no secrets engine is mounted at %s in Vault; mount a KV version 2 engine there or mend the tenant's mount", strings.Trim(c.Config.Mount, "/"))
	case !vaults:
		f = access.Unavailable("a 404 that is no answer of Vault's", "something before Vault answered 404 for %s; it is asked again", at)
	default:
		return answer, nil
	}
	answer.Release()
	return nil, f
}

// IsVersion1 asks whether the mount is a KV version 1 engine: its paths answer
// 404 to every request of ours, as if no value were there.
func IsVersion1(ctx context.Context, c *access.Client, token string) (bool, *access.Failure) {
	answer, f := c.Do(ctx, access.Request{
		Kind: "mount", What: "the mount", Method: http.MethodGet, Path: "sys/internal/ui/mounts/" + strings.Trim(c.Config.Mount, "/"),
		Token: token, Namespace: strings.Trim(c.Config.Namespace, "/"),
	})
	if f != nil {
		return false, f
	}
	defer answer.Release()
	mount, err := api.ParseSecret(answer.Body)
	if err != nil || mount == nil || mount.Data["type"] != "kv" {
		return false, nil
	}
	options, _ := mount.Data["options"].(map[string]any)
	return options["version"] != "2", nil
}
