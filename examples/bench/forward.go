package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/forward/forwardtest"
	"secretsync/reconcile"
)

func init() { register("forward", forwardedGet) }

// held is a tenant's holder, as the replicas of the benchmark know it.
type held struct {
	address string
	mine    bool
}

func (h *held) Holder(gitstore.TenantName) (string, bool) { return h.address, h.mine }
func (h *held) Err() error                                { return nil }

// forwardedGet: GET of one definition of 1,000, asked of a replica that does not hold the tenant, over mutual TLS to the one
// that does. Both replicas and the client share this process.
func forwardedGet(ctx context.Context, env *Env) ([]Result, error) {
	a := &api{
		dir: env.Dir, tenant: "acme",
		vault:   reconcile.Vault{Address: "http://127.0.0.1:1", Mount: "secret", Token: "none"},
		cluster: &rest.Config{Host: "https://127.0.0.1:1"},
	}
	if err := a.open(ctx); err != nil {
		return nil, err
	}
	defer a.store.Close()
	if err := addDefinitions(ctx, a.repository, a.production); err != nil {
		return nil, err
	}
	var err error
	a.reconciler, err = reconcile.New(reconcile.Config{
		HashKey:  bytes.Repeat([]byte("k"), 32),
		Clusters: []reconcile.Cluster{{Name: "production", REST: a.cluster}},
		Tenants: []reconcile.Tenant{{
			Name: a.name, Repository: a.repository, Vault: a.vault,
			Clusters: map[definition.ClusterName]reconcile.Grant{a.production: {Cluster: "production", Namespaces: []string{"*"}}},
		}},
	})
	if err != nil {
		return nil, err
	}
	authority, err := forwardtest.NewAuthority()
	if err != nil {
		return nil, err
	}
	files, err := authority.Issue(env.Dir)
	if err != nil {
		return nil, err
	}
	replica := func(h *held) *httpapi.Replicas {
		return &httpapi.Replicas{Holders: h, Listen: "127.0.0.1:0", CertFile: files.Cert, KeyFile: files.Key, CAFile: files.CA}
	}
	key, plaintext := apikey.New(a.name, apikey.Admin, "bench")
	holder, err := a.listen(key, func(c *httpapi.Config) { c.Replicas = replica(&held{mine: true}) })
	if err != nil {
		return nil, err
	}
	other, err := a.listen(key, func(c *httpapi.Config) {
		c.Replicas = replica(&held{address: holder.PeerAddr().String()})
		c.Tenants, c.Elsewhere = nil, []gitstore.TenantName{a.name}
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var ended sync.WaitGroup
	for _, server := range []*httpapi.Server{holder, other} {
		ended.Go(func() { _ = server.Run(ctx) })
	}
	defer ended.Wait()
	defer cancel()

	request := (&running{key: plaintext}).request(http.MethodGet, "/api/v1/tenants/acme/secrets/secret-0500", "")
	return forwardResults(ctx, holder.Addr().String(), other.Addr().String(), request)
}

// forwardResults asks directly and through the other in turn: one request at a time, and from many connections.
func forwardResults(ctx context.Context, direct, through string, request []byte) ([]Result, error) {
	one := func(addr string) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			client := newAPIClient(addr)
			defer client.close()
			var took []float64
			for began := time.Now(); time.Since(began) < apiRound/2; {
				if err := ctx.Err(); err != nil {
					return 0, err
				}
				sent := time.Now()
				if _, err := client.do(request, http.StatusOK); err != nil {
					return 0, err
				}
				took = append(took, float64(time.Since(sent).Nanoseconds())/1e6)
			}
			return median(took), nil
		}
	}
	many := func(addr string) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			rate, _, err := load(ctx, addr, apiRound, func(int) ([]byte, int) { return request, http.StatusOK })
			return rate, err
		}
	}
	floor, ours, err := alternate(ctx, 15, one(direct), one(through))
	if err != nil {
		return nil, err
	}
	floorRate, rate, err := alternate(ctx, 7, many(direct), many(through))
	if err != nil {
		return nil, err
	}
	return []Result{
		{Name: "forward", Value: ours, Floor: floor, Unit: "ms", Note: "p50 of a GET of one definition asked of a replica that has it answered by another, one at a time; floor: the same asked of that one"},
		{Name: "forward-rate", Value: rate, Floor: floorRate, Unit: "req/s", Note: fmt.Sprintf("of the same requests, %d connections, both replicas and the clients on one machine", apiConnections)},
	}, nil
}
