package definition

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"secretsync/gitstore/definition/internal/spelling"
)

// The names of the fields of a definition beside its name and secretPath, as in its
// file.
const (
	FieldType            = "type"
	FieldMode            = "mode"
	FieldData            = "data"
	FieldLabels          = "labels"
	FieldAnnotations     = "annotations"
	FieldDeletionPolicy  = "deletionPolicy"
	FieldSuspend         = "suspend"
	FieldRefreshInterval = "refreshInterval"
	FieldSync            = "sync"
)

// ParseMode parses a mode. A failure matches [ErrInvalid].
func ParseMode(s string) (Mode, error) { return oneOf(FieldMode, s, ModeOwn, ModeMerge) }

// ParseDeletionPolicy parses a deletion policy. A failure matches [ErrInvalid].
func ParseDeletionPolicy(s string) (DeletionPolicy, error) {
	return oneOf(FieldDeletionPolicy, s, Retain, Delete)
}

// ParseDecoding parses a decoding. A failure matches [ErrInvalid].
func ParseDecoding(s string) (Decoding, error) {
	return oneOf("decode", s, Base64, Base64URL, Hex)
}

// oneOf parses a word that has to be one of a few.
func oneOf[T ~string](field, text string, words ...T) (T, error) {
	if slices.Contains(words, T(text)) {
		return T(text), nil
	}
	names := make([]string, len(words))
	for i, w := range words {
		names[i] = string(w)
	}
	meant := spelling.Meant(text, names)
	if i := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, text) }); i >= 0 {
		meant = names[i]
	}
	if meant != "" {
		return "", invalid(field, fmt.Sprintf("%s is none of %s; did you mean %q?", Quote(text), spelling.List(names), meant))
	}
	return "", invalid(field, fmt.Sprintf("%s is none of %s", Quote(text), spelling.List(names)))
}

// What a definition may hold at most.
const (
	MaxDataKeys        = 200
	MaxMarks           = 64       // labels, or annotations
	MaxAnnotationsSize = 32 << 10 // names and texts of all annotations, in bytes
)

const (
	leastInterval  = time.Second
	longestField   = 256
	longestDataKey = 1024 // of a key of a value
)

// ParseInterval parses a time span such as 90s or 5m, of at least a second. A
// failure matches [ErrInvalid].
func ParseInterval(s string) (Interval, error) {
	d, err := time.ParseDuration(s)
	if err != nil || len(s) > 32 {
		return Interval{}, invalid(FieldRefreshInterval, fmt.Sprintf("%s is no time span; write one such as 30s, 5m or 1h", Quote(s)))
	}
	if d < leastInterval {
		return Interval{}, invalid(FieldRefreshInterval, fmt.Sprintf("%s is less than a second", Quote(s)))
	}
	return Interval{text{s}, d}, nil
}

// ParseValueKey parses a key of a value. A failure matches [ErrInvalid].
func ParseValueKey(s string) (string, error) {
	if s == "" || len(s) > longestDataKey {
		return "", invalid("key", fmt.Sprintf("names a key of the value, of 1 to %d bytes", longestDataKey))
	}
	return s, nil
}

// ParseField parses a field within a value, such as server.port. A failure matches
// [ErrInvalid].
func ParseField(s string) (string, error) {
	if len(s) > longestField || slices.Contains(strings.Split(s, "."), "") {
		return "", invalid("field", fmt.Sprintf("%s is no field such as server.port: names with a '.' between them, at most %d bytes", Quote(s), longestField))
	}
	return s, nil
}

// CheckMark checks the name of a label or an annotation. A failure matches [ErrInvalid].
func CheckMark(name string) error {
	switch {
	case len(validation.IsQualifiedName(name)) > 0:
		return invalid("name", fmt.Sprintf("%s is no name that Kubernetes allows: at most 63 letters, digits, '-', '_' and '.', after a domain and a '/' where one is given", Quote(name)))
	case reserved(name):
		return invalid("name", fmt.Sprintf("%s is set by secretsync itself; choose another", Quote(name)))
	}
	return nil
}

// reserved are the names of labels and annotations that are ours or the cluster's
// to set.
func reserved(name string) bool {
	prefix, _, _ := strings.Cut(name, "/")
	return name == "app.kubernetes.io/managed-by" || prefix == "secretsync.dev" || strings.HasSuffix(prefix, ".secretsync.dev")
}

// CheckLabelValue checks the value of a label. A failure matches [ErrInvalid].
func CheckLabelValue(s string) error {
	if len(validation.IsValidLabelValue(s)) > 0 {
		return invalid("label", fmt.Sprintf("%s is no value that Kubernetes allows for a label: at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit", Quote(s)))
	}
	return nil
}
