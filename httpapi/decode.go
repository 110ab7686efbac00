package httpapi

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"secretsync/gitstore/definition"
	"secretsync/httpapi/apikey"
)

// MaxBody is the greatest length of a request's body in bytes.
const MaxBody = 1 << 20

// body reads the request's JSON body whole. A Content-Type that says something else is
// refused; without one the content decides.
func (x *exchange) body() ([]byte, error) {
	r := x.r
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, errEncoding
	}
	types := r.Header.Values("Content-Type")
	if len(types) > 1 || len(types) == 1 && !isJSON(types[0]) {
		return nil, errMediaType
	}
	size := r.ContentLength
	if size < 0 || size > MaxBody {
		size = MaxBody
	}
	release, ok := x.s.shares.Of(x.tenant.Name).Body(size)
	if !ok {
		return nil, tooMany(time.Second, "too many request bodies of your tenant at once")
	}
	defer release()
	body, err := io.ReadAll(http.MaxBytesReader(x.ResponseWriter, r.Body, MaxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, errBody
	}
	return body, nil
}

func isJSON(contentType string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	return media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}

// parseCreate reads the body of POST …/secrets. Other members may be those of
// whoever calls.
func parseCreate(o object, others ...string) (definition.Definition, error) {
	if err := o.only(append(others, "name", "secretPath", "sync")...); err != nil {
		return definition.Definition{}, err
	}
	name, err := field(o, "name", definition.ParseName)
	if err != nil {
		return definition.Definition{}, err
	}
	path, err := field(o, "secretPath", definition.ParseSecretPath)
	if err != nil {
		return definition.Definition{}, err
	}
	sync, err := parseSync(o)
	if err != nil {
		return definition.Definition{}, err
	}
	return o.joined(name, path, sync)
}

// joined checks what parts of a definition have to keep jointly.
func (o object) joined(name definition.Name, path definition.SecretPath, sync []definition.Target) (definition.Definition, error) {
	d, err := definition.New(name, path, sync)
	if f, ok := errors.AsType[*definition.FieldError](err); ok {
		return d, badRequest(o.at+f.Field, f.Reason)
	}
	return d, err
}

// parsePatch reads the body of PATCH …/secrets/{name} for the definition of
// that name. Other members may be those of whoever calls.
func parsePatch(o object, name definition.Name, others ...string) ([]definition.Target, error) {
	for _, fixed := range []string{"name", "secretPath"} {
		if o.has(fixed) && !slices.Contains(others, fixed) {
			return nil, badRequest(o.at+fixed, "is fixed after creation; PATCH takes sync alone")
		}
	}
	if err := o.only(append(others, "sync")...); err != nil {
		return nil, err
	}
	if !o.has("sync") {
		return nil, badRequest(o.at+"sync", "is missing; send the whole new list, or [] to stop syncing")
	}
	sync, err := parseSync(o)
	if err != nil {
		return nil, err
	}
	// What targets have to keep jointly does not depend on the path.
	definition, err := o.joined(name, definition.SecretPath{}, sync)
	return definition.Sync, err
}

// parseSync reads the list of targets; absent and null are the empty list.
func parseSync(o object) ([]definition.Target, error) {
	v, ok := o.get("sync")
	if !ok || v == nil {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, o.wrongType(o.at+"sync", v, "a list of targets")
	}
	if len(list) > definition.MaxTargets {
		return nil, badRequest(o.at+"sync", fmt.Sprintf("has %d targets; at most %d are allowed", len(list), definition.MaxTargets))
	}
	targets := make([]definition.Target, len(list))
	for i, item := range list {
		at := fmt.Sprintf("%ssync[%d]", o.at, i)
		t, ok := item.(object)
		if !ok {
			return nil, o.wrongType(at, item, "an object with cluster, namespace and, optionally, secretName")
		}
		t.at = at + "."
		target, err := parseTarget(t)
		if err != nil {
			return nil, err
		}
		targets[i] = target
	}
	return targets, nil
}

func parseTarget(o object) (t definition.Target, err error) {
	if err := o.only("cluster", "namespace", "secretName"); err != nil {
		return t, err
	}
	if t.Cluster, err = field(o, "cluster", definition.ParseClusterName); err != nil {
		return t, err
	}
	if t.Namespace, err = field(o, "namespace", definition.ParseNamespace); err != nil {
		return t, err
	}
	t.SecretName, err = optional(o, "secretName", definition.ParseSecretName)
	return t, err
}

// keyRequest is the body of POST …/apikeys.
type keyRequest struct {
	displayName string
	role        apikey.Role
	expiresAt   time.Time // zero: never
	expiresText string    // as it was sent
}

func parseKeyRequest(body []byte, now time.Time) (k keyRequest, err error) {
	o, err := parseObject(body)
	if err != nil {
		return k, err
	}
	if err := o.only("displayName", "role", "expiresAt"); err != nil {
		return k, err
	}
	if k.displayName, err = field(o, "displayName", apikey.ParseDisplayName); err != nil {
		return k, err
	}
	if k.role, err = field(o, "role", apikey.ParseRole); err != nil {
		return k, err
	}
	k.expiresAt, err = optional(o, "expiresAt", func(s string) (time.Time, error) {
		t, err := apikey.ParseExpiry(s)
		if err == nil && !t.After(now) {
			err = &definition.FieldError{Field: "expiresAt", Reason: "must lie in the future"}
		}
		k.expiresText = s
		return t, err
	})
	return k, err
}
