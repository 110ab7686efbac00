package event

import (
	"strings"
	"testing"

	"secretsync/reconcile/vault/access"
)

func FuzzEvent(f *testing.F) {
	f.Add([]byte(`{"data":{"event":{"metadata":{"modified":"true","path":"secret/data/acme/db","data_path":"secret/data/acme/db"}},"event_type":"kv-v2/data-write","namespace":"ns/","plugin_info":{"mount_path":"secret/"}}}`))
	f.Add([]byte(`{"data":{"event":{"metadata":{"modified":"true","path":"secret/destroy/acme/db"}},"event_type":"kv-v2/destroy","namespace":"","plugin_info":{"mount_path":"secret/"}}}`))
	f.Add([]byte(`{"data":{"event":{"metadata":{"path":"secret/data/acme/../x"}}}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, ok := Parse(text)
		if !ok {
			return
		}
		path, ok := e.In(access.Config{Mount: "secret", Prefix: "acme"})
		if ok && (path == "" || !strings.HasSuffix(e.path, "/acme/"+path)) {
			t.Errorf("%q is about %q", e.path, path)
		}
	})
}
