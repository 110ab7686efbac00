package reconcile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// maxSecretData is what Kubernetes allows a Secret's values to sum up to.
const maxSecretData = 1 << 20

// version names one version of a vault value. Both parts together tell apart a
// path that was removed and began again at 1.
type version struct {
	number  int
	created string // created_time, as Vault wrote it
}

// value is a vault value in the form a Secret holds it.
type value struct {
	version
	data map[string][]byte
	size int
}

// String keeps values out of anything that is formatted.
func (value) String() string { return "(value)" }

// kvVersion is how KV v2 describes a version, in answers for data and for
// metadata alike.
type kvVersion struct {
	Created   string `json:"created_time"`
	Deletion  string `json:"deletion_time"`
	Destroyed bool   `json:"destroyed"`
	Version   int    `json:"version"`
}

// gone reports whether the version was deleted or destroyed. A deletion time
// that lies ahead (delete_version_after) has not come yet.
func (v kvVersion) gone(now time.Time) bool {
	if v.Destroyed {
		return true
	}
	if v.Deletion == "" {
		return false
	}
	at, err := time.Parse(time.RFC3339Nano, v.Deletion)
	return err != nil || !at.After(now)
}

// parseData reads the answer to a read of a KV v2 secret's data. found tells an
// answer 200 from a 404: Vault answers a deleted newest version with 404 and a
// body that looks like a value.
func parseData(body []byte, found bool, path string) (*value, *fault) {
	var answer struct {
		Data *struct {
			Data     map[string]json.RawMessage `json:"data"`
			Metadata *kvVersion                 `json:"metadata"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil && found {
		return nil, unavailable("Vault's answer for %s is cut short or no JSON; it is asked again", path)
	}
	switch {
	case answer.Data == nil || answer.Data.Metadata == nil:
		if found {
			return nil, vaultForbidden("what lies at %s is not a KV version 2 secret: secretsync reads version 2 only; check the mount", path)
		}
		return nil, notFound(path)
	case !found:
		return nil, deleted(path, *answer.Data.Metadata)
	}
	v := &value{
		version: version{number: answer.Data.Metadata.Version, created: answer.Data.Metadata.Created},
		data:    make(map[string][]byte, len(answer.Data.Data)),
	}
	for key, raw := range answer.Data.Data {
		if problems := validation.IsConfigMapKey(key); len(problems) > 0 {
			return v, &fault{state: Error, reason: ReasonInvalidKey, message: fmt.Sprintf("the value at %s (version %d) has a key that Kubernetes does not allow in a Secret: %s; use letters, digits, '-', '_' and '.' only, at most 253, and no '..' at the beginning", path, v.number, quoteKey(key))}
		}
		text, err := secretBytes(raw)
		if err != nil {
			return nil, unavailable("Vault's answer for %s is not well-formed; it is asked again", path)
		}
		v.data[key] = text
		v.size += len(text)
	}
	if v.size > maxSecretData {
		return v, &fault{state: Error, reason: ReasonValueTooLarge, message: fmt.Sprintf("the value at %s (version %d) is %d bytes; a Kubernetes Secret holds at most %d: split it over several paths", path, v.number, v.size, maxSecretData)}
	}
	return v, nil
}

// parseMetadata reads the answer to a read of a KV v2 secret's metadata.
func parseMetadata(body []byte, path string, now time.Time) (version, *fault) {
	var answer struct {
		Data *struct {
			Current  int                  `json:"current_version"`
			Versions map[string]kvVersion `json:"versions"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Data == nil {
		return version{}, unavailable("Vault's answer for the metadata of %s is cut short or no JSON; it is asked again", path)
	}
	current, ok := answer.Data.Versions[fmt.Sprint(answer.Data.Current)]
	if !ok {
		return version{}, notFound(path)
	}
	current.Version = answer.Data.Current
	if current.gone(now) {
		return version{}, deleted(path, current)
	}
	return version{number: current.Version, created: current.Created}, nil
}

// secretBytes turns a JSON value into what stands under a key of a Secret: a
// string as it is, null as nothing, anything else as compact JSON with numbers
// as they were written.
func secretBytes(raw json.RawMessage) ([]byte, error) {
	switch raw = bytes.TrimSpace(raw); {
	case len(raw) == 0 || string(raw) == "null":
		return []byte{}, nil
	case raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return []byte(s), err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var nested any
	if err := decoder.Decode(&nested); err != nil {
		return nil, err
	}
	// Decoded and encoded again, not just compacted: the order of keys and the
	// escapes are Vault's choice and must not look like a change.
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(nested); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

func notFound(path string) *fault {
	return &fault{state: Pending, reason: ReasonValueNotFound, message: fmt.Sprintf("no value at %s in the vault yet; write one, or mend secretPath", path)}
}

func deleted(path string, v kvVersion) *fault {
	what := "deleted"
	remedy := "undelete it or write a new version"
	if v.Destroyed {
		what, remedy = "destroyed", "write a new version"
	}
	return &fault{state: Error, reason: ReasonValueDeleted, message: fmt.Sprintf("the newest version (%d) at %s was %s in the vault; copies stay as they are: %s", v.Version, path, what, remedy)}
}

// quoteKey shows a key of a value: shortened and escaped. Keys are names, not
// values, but people do put values where names belong, so only a little of a
// long one is shown.
func quoteKey(key string) string {
	const most = 24
	if len(key) > most {
		return fmt.Sprintf("%q… (%d bytes)", strings.ToValidUTF8(key[:most], ""), len(key))
	}
	return fmt.Sprintf("%q", key)
}
