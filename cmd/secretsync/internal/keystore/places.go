package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"secretsync/cmd/secretsync/internal/datafolder"
	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
)

// folder is the data folder as a place of keys.
type folder struct{ dir string }

func (f *folder) String() string  { return "the data folder " + f.dir }
func (f *folder) keys() string    { return datafolder.Keys(f.dir) }
func (f *folder) hashKey() string { return datafolder.HashKey(f.dir) }

func (f *folder) read(context.Context) (contents, error) {
	store, err := apikey.OpenMoved(f.keys())
	if err != nil {
		return contents{}, err
	}
	c := contents{keys: make(map[string]*apikey.Key), moved: store.Moved()}
	for _, key := range store.All() {
		c.keys[key.ID] = key
	}
	if c.hash, err = ReadHashKey(f.hashKey()); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return c, err
}

func (f *folder) write(ctx context.Context, hash []byte, keys []*apikey.Key) error {
	if hash != nil {
		if err := writeHashKey(f.hashKey(), hash); err != nil {
			return err
		}
	}
	store, err := apikey.OpenMoved(f.keys())
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := store.Add(ctx, *key); err != nil {
			return err
		}
	}
	return nil
}

func (f *folder) mark(_ context.Context, to string, at time.Time) error {
	store, err := apikey.OpenMoved(f.keys())
	if err != nil {
		return err
	}
	return store.SetMoved(to, at)
}

func (f *folder) removal(keys []*apikey.Key) []string {
	if keys == nil {
		return []string{"rm -r " + f.keys()}
	}
	var commands []string
	for _, key := range keys {
		commands = append(commands, "rm "+filepath.Join(f.keys(), apikey.StoredName(key.ID)))
	}
	return commands
}

func (f *folder) hashRemoval() string { return "rm " + f.hashKey() }

// namespace is the home namespace as a place of keys.
type namespace struct {
	secrets Secrets
	name    string
}

func (n *namespace) String() string { return "the Secrets of namespace " + n.name }

func (n *namespace) open(ctx context.Context) (*Cluster, error) {
	c, err := open(ctx, Config{Secrets: n.secrets})
	if err == nil {
		c.moving = true
		err = c.Unread()
	}
	return c, err
}

func (n *namespace) read(ctx context.Context) (contents, error) {
	c, err := n.open(ctx)
	if err != nil {
		return contents{}, err
	}
	if _, err := n.marked(ctx); err != nil { // before anything is moved that could not be noted
		return contents{}, err
	}
	hash, err := readClusterHashKey(ctx, n.secrets)
	return contents{keys: maps.Clone(c.byID), hash: hash, moved: c.moved}, err
}

func (n *namespace) write(ctx context.Context, hash []byte, keys []*apikey.Key) error {
	if hash != nil {
		stands, err := createClusterHashKey(ctx, n.secrets, hash)
		if err != nil {
			return err
		}
		if !bytes.Equal(stands, hash) {
			return fmt.Errorf("a server has made a hash key in %s meanwhile: stop it, and remove that: %s", n, n.hashRemoval())
		}
	}
	c, err := n.open(ctx)
	if err != nil {
		return err
	}
	byTenant := make(map[gitstore.TenantName][]apikey.Key)
	for _, key := range keys {
		byTenant[key.Tenant] = append(byTenant[key.Tenant], *key)
	}
	for _, tenant := range slices.SortedFunc(maps.Keys(byTenant), func(a, b gitstore.TenantName) int {
		return bytes.Compare([]byte(a.String()), []byte(b.String()))
	}) {
		if err := c.add(ctx, tenant, byTenant[tenant]...); err != nil {
			return err
		}
	}
	return nil
}

// marked returns the mark, nil where there is none. One that is not understood is an
// error: what it says is not to be overwritten.
func (n *namespace) marked(ctx context.Context) (*corev1.Secret, error) {
	s, err := bounded{n.secrets, requestLimit}.Get(ctx, markName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, unavailable("get", err)
	}
	return s, checkForm(s, typeOfKeys)
}

func (n *namespace) mark(ctx context.Context, to string, at time.Time) error {
	secrets := bounded{n.secrets, requestLimit}
	value := at.UTC().Format(time.RFC3339)
	if to == "" {
		value = "" // who reads it takes it for none; to delete it takes a right that nothing else does
	}
	s, err := n.marked(ctx)
	if err != nil {
		return err
	}
	if s == nil {
		s = newSecret(markName, typeOfKeys)
		s.Annotations[annotationMoved] = value
		_, err = secrets.Create(ctx, s, metav1.CreateOptions{FieldManager: fieldManager})
	} else {
		patch := fmt.Appendf(nil, `{"metadata":{"resourceVersion":%q,"annotations":{%q:%q}}}`, s.ResourceVersion, annotationMoved, value)
		_, err = secrets.Patch(ctx, markName, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	}
	if err != nil {
		return unavailable("patch", err)
	}
	return nil
}

func (n *namespace) removal(keys []*apikey.Key) []string {
	if keys == nil {
		return []string{"kubectl delete secrets -n " + n.name + " --field-selector " + selector}
	}
	var commands []string
	for _, key := range keys {
		commands = append(commands, fmt.Sprintf(`kubectl patch secret %s -n %s --type merge -p '{"data":{"%s":null}}'`, nameOf(key.Tenant), n.name, apikey.StoredName(key.ID)))
	}
	return commands
}

func (n *namespace) hashRemoval() string {
	return "kubectl delete secret -n " + n.name + " " + hashKeyName
}
