package apikey

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"secretsync/gitstore"
)

// storedFormat is the newest format of a stored key that this program knows, and the
// one it writes. It is raised only by a change that an older program would get wrong,
// such as a bound on what a key may do: fields that it may overlook are added without.
const storedFormat = 1

// storedKey is how a key is kept, in a file or elsewhere.
type storedKey struct {
	Format      int       `json:"format,omitempty"` // absent: 1
	ID          string    `json:"id"`
	Tenant      string    `json:"tenant"`
	Role        string    `json:"role"`
	DisplayName string    `json:"displayName"`
	Hash        string    `json:"hash"`
	CreatedBy   string    `json:"createdBy"`
	CreatorName string    `json:"creatorName,omitempty"`
	CreatedAt   time.Time `json:"createdAt"`
	ExpiresAt   time.Time `json:"expiresAt,omitzero"`
	ExpiresText string    `json:"expiresText,omitempty"`
}

const storedSuffix = ".json"

// StoredName is the name under which a key of that id is kept.
func StoredName(id string) string { return id + storedSuffix }

// Encode returns what is kept of a key: all but its secret.
func Encode(key Key) ([]byte, error) {
	content, err := json.MarshalIndent(storedKey{
		ID: key.ID, Tenant: key.Tenant.String(), Role: string(key.Role), DisplayName: key.DisplayName,
		Hash: key.Hash.String(), CreatedBy: key.CreatedBy, CreatorName: key.CreatorName, CreatedAt: key.CreatedAt,
		ExpiresAt: key.ExpiresAt, ExpiresText: key.ExpiresText,
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(content, '\n'), nil
}

// Decode reads what is kept under a name. What [Encode] did not write, or wrote for
// another name, is an error.
func Decode(name string, content []byte) (*Key, error) {
	var stored storedKey
	if err := json.Unmarshal(content, &stored); err != nil {
		return nil, err
	}
	if stored.Format < 0 || stored.Format > storedFormat {
		return nil, fmt.Errorf("it is of format %d, and this version of secretsync knows format %d at most: start the version that wrote it, or a newer one", stored.Format, storedFormat)
	}
	key := Key{
		CreatedBy: stored.CreatedBy, CreatorName: stored.CreatorName, CreatedAt: stored.CreatedAt,
		ExpiresAt: stored.ExpiresAt, ExpiresText: stored.ExpiresText,
	}
	var errs [5]error
	key.ID, errs[0] = ParseID(stored.ID)
	key.Tenant, errs[1] = gitstore.ParseTenantName(stored.Tenant)
	key.Role, errs[2] = ParseRole(stored.Role)
	key.DisplayName, errs[3] = ParseDisplayName(stored.DisplayName)
	key.Hash, errs[4] = ParseHash(stored.Hash)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	if name != StoredName(key.ID) {
		return nil, fmt.Errorf("holds the key %s, which belongs into %s", key.ID, StoredName(key.ID))
	}
	return &key, nil
}
