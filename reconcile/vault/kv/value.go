package kv

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/vault/access"
)

// Value is one version of a value, in the form a Secret holds it. It is shared:
// nobody changes it.
type Value struct {
	Version
	Data map[string][]byte
	Size int               // of all values under Data
	Span trace.SpanContext // that of its read; zero if it was not traced

	// text names the keys under which no JSON string lies: Data holds their
	// JSON as it is, or nothing for null. Mostly there are none.
	text map[string]bool
}

// Format keeps values out of anything that is formatted, with any verb.
func (Value) Format(to fmt.State, _ rune) { io.WriteString(to, "(value)") }

// LogValue keeps them out of logs.
func (Value) LogValue() slog.Value { return slog.StringValue("(value)") }

// JSON returns what the vault holds under a key as JSON: compact, its objects'
// keys sorted, numbers as they were written.
func (v *Value) JSON(key string) (json.RawMessage, bool) {
	data, ok := v.Data[key]
	switch {
	case !ok:
		return nil, false
	case v.text[key] && len(data) == 0:
		return json.RawMessage("null"), true
	case v.text[key]:
		return json.RawMessage(data), true
	}
	quoted, err := encode(string(data))
	return quoted, err == nil
}

// kvVersion is how KV v2 describes a version, in answers for data and for
// metadata alike.
type kvVersion struct {
	Created   string `json:"created_time"`
	Deletion  string `json:"deletion_time"`
	Destroyed bool   `json:"destroyed"`
	Version   int    `json:"version"`
}

func (v kvVersion) version() Version { return Version{Number: v.Version, Created: v.Created} }

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
// body that looks like a value; the version is that of the newest one. An answer 200 without data is no empty value:
// an empty one has an empty object.
func parseData(body []byte, found bool, at string) (*Value, Version, *access.Failure) {
	var answer struct {
		Data *struct {
			Data     map[string]json.RawMessage `json:"data"`
			Metadata *kvVersion                 `json:"metadata"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil && found {
		return nil, Version{}, access.Unavailable("no JSON", "Vault's answer for %s is cut short or no JSON; it is asked again", at)
	}
	if answer.Data == nil || answer.Data.Metadata == nil {
		if found {
			return nil, Version{}, access.Forbidden("", "what lies at %s is not a KV version 2 secret: secretsync reads version 2 only; check the mount", at)
		}
		return nil, Version{}, access.NotFound(at)
	}
	newest := *answer.Data.Metadata
	switch {
	case !found, answer.Data.Data == nil && (newest.Deletion != "" || newest.Destroyed):
		return nil, newest.version(), deleted(at, newest)
	case answer.Data.Data == nil, newest.Version <= 0:
		return nil, Version{}, access.Unavailable("no data or no version", "Vault's answer for %s is not understood; it is asked again", at)
	}
	v := &Value{Version: newest.version(), Data: make(map[string][]byte, len(answer.Data.Data))}
	for key, raw := range answer.Data.Data {
		data, isText, err := secretBytes(raw)
		if err != nil {
			return nil, Version{}, access.Unavailable("not well-formed", "Vault's answer for %s is not well-formed; it is asked again", at)
		}
		if !isText {
			if v.text == nil {
				v.text = make(map[string]bool)
			}
			v.text[key] = true
		}
		v.Data[key] = data
		v.Size += len(data)
	}
	return v, v.Version, nil
}

// parseMetadata reads the answer to a read of a KV v2 secret's metadata. It is
// made for every poll of every path, so it takes the few members that count out
// of the text instead of decoding it all.
func parseMetadata(body []byte, at string, now time.Time) (Version, *access.Failure) {
	if !json.Valid(body) {
		return Version{}, access.Unavailable("no JSON", "Vault's answer for the metadata of %s is cut short or no JSON; it is asked again", at)
	}
	data := member(body, "data")
	number := member(data, "current_version")
	if data == nil || number == nil || data[0] != '{' {
		return Version{}, access.Unavailable("no data or no version", "Vault's answer for the metadata of %s is not understood; it is asked again", at)
	}
	newest := member(member(data, "versions"), string(number))
	if newest == nil {
		return Version{}, access.NotFound(at) // such as 0: metadata without any version
	}
	var v kvVersion
	if json.Unmarshal(newest, &v) != nil || json.Unmarshal(number, &v.Version) != nil || v.Version <= 0 {
		return Version{}, access.Unavailable("no version", "Vault's answer for the metadata of %s is not understood; it is asked again", at)
	}
	if v.gone(now) {
		return v.version(), deleted(at, v)
	}
	return v.version(), nil
}

// secretBytes turns a JSON value into what stands under a key of a Secret: a
// string as it is, null as nothing, anything else as compact JSON with numbers
// as they were written.
func secretBytes(raw json.RawMessage) (data []byte, isText bool, err error) {
	switch raw = bytes.TrimSpace(raw); {
	case len(raw) == 0 || string(raw) == "null":
		return []byte{}, false, nil
	case raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return []byte(s), true, err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var nested any
	if err := decoder.Decode(&nested); err != nil {
		return nil, false, err
	}
	// Decoded and encoded again, not just compacted: the order of keys and the
	// escapes are Vault's choice and must not look like a change.
	data, err = encode(nested)
	return data, false, err
}

// encode writes JSON without the escapes that are meant for HTML.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

func deleted(at string, v kvVersion) *access.Failure {
	what, remedy := "deleted", "undelete it or write a new version"
	if v.Destroyed {
		what, remedy = "destroyed", "write a new version"
	}
	return access.Failed(access.Answered, fault.New(fault.Error, fault.ReasonValueDeleted, "the newest version (%d) at %s was %s in the vault; copies stay as they are: %s", v.Version, at, what, remedy), "")
}
