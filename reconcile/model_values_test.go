package reconcile

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"secretsync/reconcile/fault"

	corev1 "k8s.io/api/core/v1"
)

// What the model makes of values.

// copyOf makes the data of a copy, or says why there is none.
func (m *model) copyOf(s *spec) (kind string, data map[string]string, faults []fault.Reason) {
	if kind = s.kind; kind == "" {
		kind = "Opaque"
	}
	for _, path := range s.paths() {
		switch v := m.values[path]; {
		case v == nil:
			faults = append(faults, fault.ReasonValueNotFound)
		case v.deleted:
			faults = append(faults, fault.ReasonValueDeleted)
		}
	}
	if len(faults) > 0 {
		return kind, nil, faults
	}
	data = make(map[string]string)
	if s.data == nil {
		for key, v := range m.values[s.path].data {
			if data[key] = textOf(v); strings.ContainsAny(key, " !") {
				return kind, nil, []fault.Reason{fault.ReasonInvalidKey}
			}
		}
	}
	for key, from := range s.data {
		path := from.path
		if path == "" {
			path = s.path
		}
		text, fault := from.text(m.values[path].data)
		if data[key] = text; fault != "" {
			faults = append(faults, fault)
		}
	}
	if len(faults) > 0 {
		return kind, nil, faults
	}
	if s.mode == "Merge" {
		return kind, data, nil // what the type needs is for whose Secret it is
	}
	if data = m.fit(kind, data); data == nil {
		return kind, nil, []fault.Reason{fault.ReasonInvalidKey}
	}
	return kind, data, nil
}

func (s *spec) paths() []string {
	paths := []string{s.path}
	for _, from := range s.data {
		if from.path != "" && !slices.Contains(paths, from.path) {
			paths = append(paths, from.path)
		}
	}
	return paths
}

func (from *source) text(value map[string]any) (string, fault.Reason) {
	if from.template != nil {
		var out strings.Builder
		for _, p := range from.template {
			v, there := value[p.key]
			text := textOf(v)
			switch {
			case p.key == "":
				text = p.text
			case p.function == "get" && (!there || text == ""):
				text = "none"
			case !there:
				return "", fault.ReasonTemplateFailed
			case p.function == "urlquery":
				text = url.QueryEscape(text)
			case p.function == "b64enc":
				text = base64.StdEncoding.EncodeToString([]byte(text))
			case p.function == "upper":
				text = strings.ToUpper(text)
			}
			out.WriteString(text)
		}
		return out.String(), ""
	}
	v, there := value[from.key]
	if !there {
		return "", fault.ReasonKeyNotFound
	}
	if from.field != "" {
		if text, ok := v.(string); ok {
			decoder := json.NewDecoder(strings.NewReader(text))
			if decoder.UseNumber(); decoder.Decode(&v) != nil {
				return "", fault.ReasonKeyNotFound
			}
		}
		for name := range strings.SplitSeq(from.field, ".") {
			switch at := v.(type) {
			case map[string]any:
				if v, there = at[name]; !there {
					return "", fault.ReasonKeyNotFound
				}
			case []any:
				i, err := strconv.Atoi(name)
				if err != nil || i < 0 || i >= len(at) {
					return "", fault.ReasonKeyNotFound
				}
				v = at[i]
			default:
				return "", fault.ReasonKeyNotFound
			}
		}
	}
	text := textOf(v)
	if from.decode == "" {
		return text, ""
	}
	var out []byte
	var err error
	switch text = strings.TrimRight(strings.Join(strings.Fields(text), ""), "="); from.decode {
	case "base64":
		out, err = base64.RawStdEncoding.DecodeString(text)
	case "base64url":
		out, err = base64.RawURLEncoding.DecodeString(text)
	case "hex":
		out, err = hex.DecodeString(text)
	}
	if err != nil {
		return "", fault.ReasonInvalidKey
	}
	return string(out), ""
}

// textOf is how a member of a value stands in a Secret.
func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// fit makes data those of a type; nil: they can't be.
func (m *model) fit(kind string, data map[string]string) map[string]string {
	has := func(keys ...string) bool {
		return !slices.ContainsFunc(keys, func(key string) bool { _, ok := data[key]; return !ok })
	}
	switch corev1.SecretType(kind) {
	case corev1.SecretTypeTLS:
		if !slices.Contains(m.pairs, [2]string{data["tls.crt"], data["tls.key"]}) {
			return nil
		}
	case corev1.SecretTypeBasicAuth:
		if !has("username") && !has("password") {
			return nil
		}
	case corev1.SecretTypeSSHAuth:
		if data["ssh-privatekey"] == "" {
			return nil
		}
	case corev1.SecretTypeDockerConfigJson:
		if !has("server", "username", "password") {
			return nil
		}
		entry := map[string]string{
			"username": data["username"], "password": data["password"], "email": data["email"],
			"auth": base64.StdEncoding.EncodeToString([]byte(data["username"] + ":" + data["password"])),
		}
		maps.DeleteFunc(entry, func(_, text string) bool { return text == "" })
		composed := maps.Clone(data)
		composed[corev1.DockerConfigJsonKey] = textOf(map[string]any{"auths": map[string]any{data["server"]: entry}})
		for _, part := range []string{"server", "username", "password", "email"} {
			delete(composed, part)
		}
		return composed
	}
	return data
}
