package keystore

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
)

const keysPrefix = "secretsync-keys-"

// nameOf is the name of the Secret that holds a tenant's keys.
func nameOf(tenant gitstore.TenantName) string { return keysPrefix + tenant.String() }

// tenantOf is the tenant whose keys a Secret of that name holds.
func tenantOf(name string) (gitstore.TenantName, bool) {
	label, ok := strings.CutPrefix(name, keysPrefix)
	if !ok {
		return gitstore.TenantName{}, false
	}
	tenant, err := gitstore.ParseTenantName(label)
	return tenant, err == nil
}

// maxSize is what Kubernetes lets the values of a Secret take together. A key takes some
// 350 bytes, and at most 1,300: with names of a hundred characters of four bytes each. So
// there is room for [apikey.MaxStored], but for the strangest of names.
const maxSize = corev1.MaxSecretSize

// parse reads a tenant's Secret, and returns how many bytes its values take. What is not
// wholly understood is an error: to leave a part out would be to revoke it in silence.
// No error repeats what an entry holds.
func parse(tenant gitstore.TenantName, s *corev1.Secret) (keys map[string]*apikey.Key, size int, err error) {
	if err := checkForm(s, typeOfKeys); err != nil {
		return nil, 0, err
	}
	keys = make(map[string]*apikey.Key, len(s.Data))
	for _, name := range slices.Sorted(maps.Keys(s.Data)) {
		size += len(s.Data[name])
		key, err := apikey.Decode(name, s.Data[name])
		if err != nil {
			return nil, 0, damaged(s.Name, fmt.Sprintf("has an entry %.80q that is no key: %v", name, err))
		}
		if key.Tenant != tenant {
			return nil, 0, damaged(s.Name, fmt.Sprintf("has an entry %s that is a key of tenant %s", name, key.Tenant))
		}
		keys[key.ID] = key
	}
	return keys, size, nil
}

// markName is that of the Secret which says that the keys were moved away. It is of the
// type that is followed, so that servers which run are told.
const (
	markName        = "secretsync-moved"
	annotationMoved = "secretsync.dev/moved-to-folder"
)

// movedBy reads the mark; nil: they were not moved, or moved back. One that is not understood is
// an error: where the keys are is not known then.
func movedBy(s *corev1.Secret) (*apikey.MovedError, error) {
	if err := checkForm(s, typeOfKeys); err != nil {
		return nil, fmt.Errorf("whether the API keys were moved is not known: %w", err)
	}
	text := s.Annotations[annotationMoved]
	if text == "" {
		return nil, nil
	}
	at, _ := time.Parse(time.RFC3339, text) // a time that is none is not told
	return &apikey.MovedError{
		From: "the Secrets of namespace " + s.Namespace, To: "the data folder", At: at,
		Undo: "If there is nothing worth keeping there: kubectl delete secret " + markName + " -n " + s.Namespace,
	}, nil
}
