package verify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
)

// VaultReader reads a tenant's values from a KV version 2 engine. It is a
// [Vault].
type VaultReader struct {
	client        *api.Client
	mount, prefix string
	logIn         func(context.Context) error
}

// NewVaultReader prepares to read. With a login the client logs in at the first
// read and gives its token back in Close; without one it has its token.
func NewVaultReader(client *api.Client, login api.AuthMethod, mount, prefix string) *VaultReader {
	v := &VaultReader{client: client, mount: strings.Trim(mount, "/"), prefix: strings.Trim(prefix, "/")}
	if login == nil {
		return v
	}
	var once sync.Mutex
	var done bool
	var failed error
	v.logIn = func(ctx context.Context) error {
		once.Lock()
		defer once.Unlock()
		if !done {
			_, failed = client.Auth().Login(ctx, login)
			// What was cut off is tried again; a refusal stands.
			done = failed == nil || ctx.Err() == nil
		}
		if failed != nil {
			return fmt.Errorf("login: %w", plain(failed))
		}
		return nil
	}
	return v
}

// Close gives a token back that was logged in for.
func (v *VaultReader) Close(ctx context.Context) error {
	if v.logIn == nil || v.client.Token() == "" {
		return nil
	}
	return v.client.Auth().Token().RevokeSelfWithContext(ctx, "")
}

const (
	maxAnswer = 16 << 20
	// What Kubernetes allows.
	maxKey  = 253
	maxData = 1 << 20
	// requestTime bounds one request to a vault, a cluster or the server.
	requestTime = 20 * time.Second
)

// Value implements [Vault].
func (v *VaultReader) Value(ctx context.Context, secretPath string) (Value, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	if v.logIn != nil {
		if err := v.logIn(ctx); err != nil {
			return Value{}, err
		}
	}
	response, err := v.client.Logical().ReadRawWithContext(ctx, path.Join(v.mount, "data", v.prefix, secretPath))
	if response != nil {
		defer response.Body.Close()
	}
	status := http.StatusOK
	if refusal := (*api.ResponseError)(nil); response != nil && errors.As(err, &refusal) && refusal.StatusCode == http.StatusNotFound && len(refusal.Errors) == 0 {
		status = http.StatusNotFound
	} else if err != nil {
		return Value{}, plain(err)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return Value{}, plain(err)
	case len(body) == maxAnswer:
		return Value{Found: true, Unfit: "ValueTooLarge"}, nil
	}
	return parseValue(status, body, time.Now())
}

// plain keeps of an error what can't hold a value: the library's errors may
// quote what they could not parse.
func plain(err error) error {
	if refusal := (*api.ResponseError)(nil); errors.As(err, &refusal) {
		return fmt.Errorf("the vault answers %d", refusal.StatusCode)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return errors.New("no answer in time")
	}
	return fmt.Errorf("no answer that is understood (%T)", err)
}

// parseValue reads the answer to a read of a value. Vault answers 404 with a
// body where the newest version is deleted or destroyed.
func parseValue(status int, body []byte, now time.Time) (Value, error) {
	var answer struct {
		Data *struct {
			Data     map[string]json.RawMessage
			Metadata *struct {
				Version      int
				CreatedTime  time.Time `json:"created_time"`
				DeletionTime string    `json:"deletion_time"`
				Destroyed    bool
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil && status == http.StatusOK {
		return Value{}, errors.New("the vault's answer is no JSON, or not a value's")
	}
	if answer.Data == nil || answer.Data.Metadata == nil {
		if status == http.StatusOK {
			return Value{}, errors.New("the vault's answer is not that of a KV version 2 engine")
		}
		return Value{}, nil
	}
	metadata := answer.Data.Metadata
	v := Value{Found: true, Version: metadata.Version, Created: metadata.CreatedTime}
	deleted, err := time.Parse(time.RFC3339Nano, metadata.DeletionTime)
	v.Gone = status != http.StatusOK || metadata.Destroyed || err == nil && !deleted.After(now)
	if v.Gone {
		return v, nil
	}
	values := make(map[string][]byte, len(answer.Data.Data))
	size := 0
	for key, raw := range answer.Data.Data {
		if len(key) > maxKey || !keyPattern.MatchString(key) || key == "." || strings.HasPrefix(key, "..") {
			v.Unfit = "InvalidKey"
		}
		text, err := secretText(raw)
		if err != nil {
			return Value{}, errors.New("the vault's answer holds a value that is no JSON")
		}
		values[key] = text
		size += len(text)
	}
	if size > maxData {
		v.Unfit = cmp.Or(v.Unfit, "ValueTooLarge")
	}
	v.Data, v.Parts = Digest(values), answer.Data.Data
	return v, nil
}

var keyPattern = regexp.MustCompile(`^[-._a-zA-Z0-9]+$`)

// secretText is what a Secret holds for one member of a value: a string as it
// is, null as nothing, all else as compact JSON with its numbers as they were.
func secretText(raw json.RawMessage) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var member any
	if err := decoder.Decode(&member); err != nil {
		return nil, err
	}
	switch member := member.(type) {
	case nil:
		return nil, nil
	case string:
		return []byte(member), nil
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(member)
	return bytes.TrimRight(text.Bytes(), "\n"), err
}
