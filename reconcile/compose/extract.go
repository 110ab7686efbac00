package compose

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"secretsync/gitstore/definition"
)

// fields parses a value that is JSON, or a text that holds JSON.
func fields(raw json.RawMessage) (any, error) {
	at, err := parseJSON(raw)
	if err != nil {
		return nil, errors.New("no JSON")
	}
	if text, ok := at.(string); ok {
		if at, err = parseJSON([]byte(text)); err != nil {
			return nil, errors.New("no JSON that has fields")
		}
	}
	return at, nil
}

// field finds what lies at a path of names and list indices, such as servers.0.port, in
// parsed JSON. A text is returned as it is, null as nothing, anything else as compact
// JSON. The error says where the path ends, in names alone.
func field(at any, path string) ([]byte, error) {
	names := strings.Split(path, ".")
	for i, name := range names {
		where := "at its top"
		if i > 0 {
			where = "at " + definition.Quote(strings.Join(names[:i], "."))
		}
		switch inner := at.(type) {
		case map[string]any:
			next, ok := inner[name]
			if !ok {
				return nil, fmt.Errorf("no field %s: there is no %s %s", definition.Quote(path), definition.Quote(name), where)
			}
			at = next
		case []any:
			index, err := strconv.Atoi(name)
			if err != nil || index < 0 || index >= len(inner) {
				return nil, fmt.Errorf("no field %s: %s is a list of %d, and %s is none of its indices", definition.Quote(path), where, len(inner), definition.Quote(name))
			}
			at = inner[index]
		default:
			return nil, fmt.Errorf("no field %s: %s stands no object and no list", definition.Quote(path), where)
		}
	}
	return textOf(at)
}

// parseJSON reads one JSON value, whose numbers keep their digits.
func parseJSON(raw []byte) (v any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON value")
	}
	return v, nil
}

// textOf is how a JSON value stands in a Secret.
func textOf(v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return []byte{}, nil
	case string:
		return []byte(v), nil
	}
	return encodeJSON(v)
}

// encodeJSON writes JSON without the escapes that are meant for HTML.
func encodeJSON(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// decode turns a text into the bytes that it stands for. Blanks and line breaks
// round it and in it count for nothing, and base64 may lack its padding: so it
// comes out of many programs.
func decode(d definition.Decoding, content []byte) ([]byte, bool) {
	if d == "" {
		return content, true
	}
	text := strings.Join(strings.Fields(string(content)), "")
	var out []byte
	var err error
	switch unpadded := strings.TrimRight(text, "="); {
	case d == definition.Hex:
		out, err = hex.DecodeString(text)
	case len(text) != len(unpadded) && len(text)%4 != 0:
		return nil, false // its padding is there, and wrong
	case d == definition.Base64:
		out, err = base64.RawStdEncoding.DecodeString(unpadded)
	case d == definition.Base64URL:
		out, err = base64.RawURLEncoding.DecodeString(unpadded)
	default:
		return nil, false
	}
	return out, err == nil
}
