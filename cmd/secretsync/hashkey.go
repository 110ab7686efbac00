package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"secretsync/gitstore/durable"
)

// hashKeySize is the size of the keys we make, and the least we accept.
const hashKeySize = 32

// hashKey returns the key of the hash that copies carry. It is read from the
// configured file, or else from hash.key in the data folder, which is made at
// the first start. Losing it costs nothing but an update of the hash at the
// next write of each copy.
func hashKey(configured, dataDir string) ([]byte, error) {
	path := configured
	if path == "" {
		path = filepath.Join(dataDir, "hash.key")
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && configured == "" {
		return makeHashKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the hash key: %w", err)
	}
	key := []byte(strings.TrimSpace(string(content)))
	if decoded, err := hex.DecodeString(string(key)); err == nil {
		key = decoded
	}
	if len(key) < hashKeySize {
		return nil, fmt.Errorf("the hash key in %s has %d bytes; it needs at least %d, such as the output of: openssl rand -hex 32", path, len(key), hashKeySize)
	}
	return key, nil
}

// makeHashKey writes a new key. It appears under its name only when it is
// complete and on disk, so that a crash can't leave half a key behind.
func makeHashKey(path string) ([]byte, error) {
	key := make([]byte, hashKeySize)
	rand.Read(key)
	err := durable.Replace(path, fmt.Appendf(nil, "%x\n", key))
	if err == nil {
		err = durable.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, fmt.Errorf("make a hash key: %w", err)
	}
	return key, nil
}
