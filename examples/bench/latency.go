package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func init() {
	register("commit-to-copy", commitToCopy)
	register("value-to-copy", valueToCopy)
	register("drift-repair", driftRepair)
}

const latencySamples = 300

// latencies runs a server with a few definitions, measures samples one after the other, and the floor with it: a bare Vault
// read plus Secret write until the same watch shows it.
func latencies(ctx context.Context, env *Env, name, what string, sample func(context.Context, *fleet, *server, *counter, int) (time.Duration, error)) ([]Result, error) {
	options := fleetOptions{definitions: 100, targets: 1, namespaces: 10, clusters: []string{"production"}}
	return withServer(ctx, env, 5*time.Minute, options, func(ctx context.Context, f *fleet, server *server) ([]Result, error) {
		counter, err := f.count(ctx)
		if err != nil {
			return nil, err
		}
		defer counter.close()
		var floors, ours []float64
		for i := range latencySamples {
			floor, err := f.bareWrite(ctx, counter, i)
			if err != nil {
				return nil, fmt.Errorf("the floor: %w", err)
			}
			took, err := sample(ctx, f, server, counter, i)
			if err != nil {
				return nil, err
			}
			floors, ours = append(floors, floor.Seconds()*1000), append(ours, took.Seconds()*1000)
		}
		note := what + "; floor: the same quantile of a bare Vault read plus Secret write until the same watch shows it"
		return []Result{
			{Name: name, Value: quantile(ours, 0.99), Floor: quantile(floors, 0.99), Unit: "ms", Note: "p99, " + note},
			{Name: name + "-p50", Value: median(ours), Floor: median(floors), Unit: "ms", Note: "p50, " + note},
		}, nil
	})
}

// bareWrite reads a value and creates a Secret of it.
func (f *fleet) bareWrite(ctx context.Context, c *counter, i int) (time.Duration, error) {
	name := fmt.Sprintf("bare-%d", i)
	started := time.Now()
	value, err := f.reader.Get(ctx, f.names[i%len(f.names)])
	if err != nil {
		return 0, err
	}
	secret := &core.Secret{ObjectMeta: meta.ObjectMeta{Name: name}, Data: map[string][]byte{}}
	for key, v := range value.Data {
		secret.Data[key] = []byte(v.(string))
	}
	if _, err := f.writer["production"].CoreV1().Secrets(f.namespace(0)).Create(ctx, secret, meta.CreateOptions{}); err != nil {
		return 0, err
	}
	return c.since(ctx, started, "production/"+f.namespace(0)+"/"+name)
}

// since waits until a Secret has changed after started, and returns how long that took.
func (c *counter) since(ctx context.Context, started time.Time, key string) (time.Duration, error) {
	var at time.Time
	err := c.when(ctx, func() bool { at = c.seen[key]; return at.After(started) })
	return at.Sub(started), err
}

// other waits until a Secret is there in another version than these, and returns how long that took.
func (c *counter) other(ctx context.Context, started time.Time, key string, versions ...string) (time.Duration, error) {
	var at time.Time
	err := c.when(ctx, func() bool {
		at = c.seen[key]
		return c.at[key] != "" && !slices.Contains(versions, c.at[key])
	})
	return max(0, at.Sub(started)), err
}

func (f *fleet) watched(i int) string {
	t := f.places(i)[0]
	return f.options.clusters[t.cluster] + "/" + f.namespace(t.namespace) + "/" + f.names[i]
}

// call makes one request of the API.
func (f *fleet) call(ctx context.Context, s *server, method, path string, body any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, s.url+"/api/v1/tenants/"+f.name+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+f.key)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	return err
}

func commitToCopy(ctx context.Context, env *Env) ([]Result, error) {
	return latencies(ctx, env, "commit-to-copy", "from the API's answer to a new definition until a watch shows the Secret",
		func(ctx context.Context, f *fleet, s *server, c *counter, i int) (time.Duration, error) {
			name := fmt.Sprintf("new-%d", i)
			body := map[string]any{"name": name, "secretPath": f.names[i%len(f.names)], "sync": []map[string]string{{"cluster": "production", "namespace": f.namespace(1)}}}
			asked := time.Now()
			if err := f.call(ctx, s, http.MethodPost, "/secrets", body); err != nil {
				return 0, err
			}
			answered := time.Since(asked)
			took, err := c.since(ctx, asked, "production/"+f.namespace(1)+"/"+name)
			return max(0, took-answered), err // it may be there before the answer is
		})
}

func valueToCopy(ctx context.Context, env *Env) ([]Result, error) {
	return latencies(ctx, env, "value-to-copy", "from POST …/sync after a new value until a watch shows the Secret changed",
		func(ctx context.Context, f *fleet, s *server, c *counter, i int) (time.Duration, error) {
			i %= len(f.names)
			if err := f.put(ctx, i, fmt.Sprint("next ", time.Now())); err != nil {
				return 0, err
			}
			started := time.Now()
			if err := f.call(ctx, s, http.MethodPost, "/secrets/"+f.names[i]+"/sync", struct{}{}); err != nil {
				return 0, err
			}
			return c.since(ctx, started, f.watched(i))
		})
}

func driftRepair(ctx context.Context, env *Env) ([]Result, error) {
	return latencies(ctx, env, "drift-repair", "from the answer to an edit or a deletion by hand until a watch shows the Secret as it was",
		func(ctx context.Context, f *fleet, _ *server, c *counter, i int) (time.Duration, error) {
			n := i % len(f.names)
			s, err := f.secret(ctx, n)
			if err != nil {
				return 0, err
			}
			secrets := f.stack.Cluster("production").Admin.CoreV1().Secrets(s.Namespace)
			before := s.ResourceVersion
			if i%2 == 0 {
				s.Data["password"] = []byte("by hand")
				now, err := secrets.Update(ctx, s, meta.UpdateOptions{})
				if err != nil {
					return 0, err
				}
				started := time.Now()
				return c.other(ctx, started, f.watched(n), before, now.ResourceVersion)
			}
			if err := secrets.Delete(ctx, s.Name, meta.DeleteOptions{}); err != nil {
				return 0, err
			}
			return c.other(ctx, time.Now(), f.watched(n), before)
		})
}
