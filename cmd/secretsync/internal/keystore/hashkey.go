package keystore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"secretsync/cmd/secretsync/internal/datafolder"
	"secretsync/gitstore/durable"
)

// hashKeySize is the size of the keys we make, and the least we accept.
const hashKeySize = 32

const (
	hashKeyName  = "secretsync-hash-key"
	hashKeyEntry = "hash.key"
)

// ReadHashKey reads the key of the hash that copies carry from a file.
func ReadHashKey(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the hash key: %w", err)
	}
	key, err := parseHashKey(content)
	if err != nil {
		return nil, fmt.Errorf("the hash key in %s %w", path, err)
	}
	return key, nil
}

// FolderHashKey is the hash key in a data folder. It is made at the first start. Losing
// it costs nothing but an update of the hash at the next write of each copy.
func FolderHashKey(dataDir string) ([]byte, error) {
	path := datafolder.HashKey(dataDir)
	key, err := ReadHashKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		key = newHashKey()
		err = writeHashKey(path, key)
	}
	return key, err
}

// ClusterHashKey is the hash key in the home namespace. It is made by the first server
// that asks for it: of several one makes it, and the others read it. It fails with
// [gitstore.ErrUnavailable] while the cluster can't be asked.
func ClusterHashKey(ctx context.Context, secrets Secrets) ([]byte, error) {
	key, err := readClusterHashKey(ctx, secrets)
	if key != nil || err != nil {
		return key, err
	}
	return createClusterHashKey(ctx, secrets, newHashKey())
}

// readClusterHashKey returns nil if there is none.
func readClusterHashKey(ctx context.Context, secrets Secrets) ([]byte, error) {
	s, err := bounded{secrets, requestLimit}.Get(ctx, hashKeyName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, unavailable("get", err)
	}
	if err := checkForm(s, typeOfHashKey); err != nil {
		return nil, err
	}
	key, err := parseHashKey(s.Data[hashKeyEntry])
	if err != nil {
		return nil, damaged(s.Name, fmt.Sprintf("has an entry %s that %v", hashKeyEntry, err))
	}
	return key, nil
}

// createClusterHashKey returns the key that stands there afterwards: that of whoever was
// first.
func createClusterHashKey(ctx context.Context, secrets Secrets, key []byte) ([]byte, error) {
	s := newSecret(hashKeyName, typeOfHashKey)
	s.Data = map[string][]byte{hashKeyEntry: formatHashKey(key)}
	s.Immutable = ptr.To(true)
	_, err := bounded{secrets, requestLimit}.Create(ctx, s, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, unavailable("create", err)
	}
	stands, err := readClusterHashKey(ctx, secrets)
	if err == nil && stands == nil {
		err = fmt.Errorf("the Secret %s was deleted while it was made; start again", hashKeyName)
	}
	return stands, err
}

// parseHashKey reads a key: hexadecimal digits, or whatever it is.
func parseHashKey(content []byte) ([]byte, error) {
	key := []byte(strings.TrimSpace(string(content)))
	if decoded, err := hex.DecodeString(string(key)); err == nil {
		key = decoded
	}
	if len(key) < hashKeySize {
		return nil, fmt.Errorf("has %d bytes; it needs at least %d, such as the output of: openssl rand -hex 32", len(key), hashKeySize)
	}
	return key, nil
}

func newHashKey() []byte {
	key := make([]byte, hashKeySize)
	rand.Read(key)
	return key
}

func formatHashKey(key []byte) []byte { return fmt.Appendf(nil, "%x\n", key) }

// writeHashKey writes a key. It appears under its name only when it is complete and on
// disk, so that a crash can't leave half a key behind.
func writeHashKey(path string, key []byte) error {
	err := durable.Replace(path, formatHashKey(key))
	if err == nil {
		err = durable.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("make a hash key: %w", err)
	}
	return nil
}
