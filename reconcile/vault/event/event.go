// Package event owns the event notifications of a vault (https://developer.hashicorp.com/vault/docs/concepts/events):
// the connection over which they come, and what one says. Whatever the bytes are, a
// [Notice] names at most a path of the very tenant it is held against.
package event

import (
	"encoding/json"
	"strings"

	"secretsync/reconcile/vault/access"
)

// Notice is what an event notification of the vault says that concerns us: where
// in which namespace something was changed.
//
// Its form is that of CloudEvents with the vault's EventReceived as data, as in
// https://developer.hashicorp.com/vault/docs/concepts/events: data_path is
// where a value lies, and is absent where none was written; path is what the
// request was made to. Both begin with the mount.
type Notice struct {
	namespace string
	mount     string // empty: not said
	path      string
}

// Parse reads one. It is false for what is none, or tells of no change.
func Parse(text []byte) (Notice, bool) {
	var cloud struct {
		Data struct {
			Event struct {
				Metadata struct {
					Modified string `json:"modified"`
					Path     string `json:"path"`
					DataPath string `json:"data_path"`
				} `json:"metadata"`
			} `json:"event"`
			Namespace string `json:"namespace"`
			Plugin    struct {
				Mount string `json:"mount_path"`
			} `json:"plugin_info"`
		} `json:"data"`
	}
	if err := json.Unmarshal(text, &cloud); err != nil {
		return Notice{}, false
	}
	about := &cloud.Data.Event.Metadata
	e := Notice{
		namespace: strings.Trim(cloud.Data.Namespace, "/"), mount: strings.Trim(cloud.Data.Plugin.Mount, "/"),
		path: about.DataPath,
	}
	if e.path == "" {
		e.path = about.Path
	}
	return e, e.path != "" && about.Modified != "false"
}

// In returns which path of a tenant it is about, if it is.
func (e Notice) In(c access.Config) (secretPath string, ok bool) {
	mount, prefix := strings.Trim(c.Mount, "/"), strings.Trim(c.Prefix, "/")
	if e.namespace != "" && e.namespace != strings.Trim(c.Namespace, "/") || e.mount != "" && e.mount != mount {
		return "", false
	}
	rest, ok := strings.CutPrefix(strings.TrimPrefix(e.path, "/"), mount+"/")
	if !ok {
		return "", false
	}
	// The engine's own word for what was done to the path.
	what, rest, _ := strings.Cut(rest, "/")
	switch what {
	case "data", "metadata", "delete", "undelete", "destroy":
	default:
		return "", false
	}
	if prefix != "" {
		if rest, ok = strings.CutPrefix(rest, prefix+"/"); !ok {
			return "", false
		}
	}
	return rest, rest != ""
}
