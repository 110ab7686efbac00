package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/julienschmidt/httprouter"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/limit"
	"secretsync/httpapi/tenants"
	"secretsync/reconcile"
	"secretsync/reconcile/status"
)

func init() {
	register("api-get", apiGet)
	register("api-list-1000", apiList)
	register("api-mixed", apiMixed)
}

const (
	apiDefinitions = 1000
	apiConnections = 64
	apiRound       = time.Second
	apiMixedTime   = time.Minute
)

// apiGet: GET of one definition of 1,000.
func apiGet(ctx context.Context, env *Env) ([]Result, error) {
	return againstConstant(ctx, env, "api-get", "/secret-00500", "GET of one definition")
}

// apiList: GET of the list of 1,000 definitions.
func apiList(ctx context.Context, env *Env) ([]Result, error) {
	return againstConstant(ctx, env, "api-list-1000", "", "GET of the list of 1,000")
}

// againstConstant measures requests a second and p99 of one path below a tenant's secrets, while its values are polled once a
// minute, against the same router that answers a constant of the
// same size. Server, floor and clients share this process.
func againstConstant(ctx context.Context, env *Env, name, path, what string) ([]Result, error) {
	api, err := newPollingAPI(ctx, env)
	if err != nil {
		return nil, err
	}
	defer api.close()
	request := api.request(http.MethodGet, "/api/v1/tenants/"+api.tenant+"/secrets"+path, "")
	body, err := newAPIClient(api.addr).do(request, http.StatusOK)
	if err != nil {
		return nil, err
	}
	floor, err := serveConstant(len(body))
	if err != nil {
		return nil, err
	}
	defer floor.close()

	var p99 [2][]float64
	round := func(addr string, of int) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			rate, latencies, err := load(ctx, addr, apiRound, func(int) ([]byte, int) { return request, http.StatusOK })
			p99[of] = append(p99[of], percentile(latencies, 99))
			return rate, err
		}
	}
	floorRate, rate, err := alternate(ctx, 15, round(floor.addr, 0), round(api.addr, 1))
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("%s (%d bytes), %d connections, with all values polled once a minute; floor: the router, with the same timeouts, answering a constant of that size", what, len(body), apiConnections)
	return []Result{
		{Name: name, Value: rate, Floor: floorRate, Unit: "req/s", Note: note},
		{Name: name + "-p99", Value: median(p99[1]), Floor: median(p99[0]), Unit: "ms", Note: "of the same requests"},
	}, nil
}

// apiMixed: 90 % reads and 10 % writes for a minute. Any answer that is not the one expected is an error.
func apiMixed(ctx context.Context, env *Env) ([]Result, error) {
	api, err := newAPI(ctx, env.Dir)
	if err != nil {
		return nil, err
	}
	defer api.close()
	reads := make([][]byte, apiDefinitions)
	writes := make([][2][]byte, apiDefinitions)
	for i := range reads {
		path := fmt.Sprintf("/api/v1/tenants/acme/secrets/secret-%04d", i)
		reads[i] = api.request(http.MethodGet, path, "")
		for j := range writes[i] {
			writes[i][j] = api.request(http.MethodPatch, path, fmt.Sprintf(`{"sync":[{"cluster":"production","namespace":"ns-%d"}]}`, j))
		}
	}
	var count, written atomic.Int64
	mixed := func(int) ([]byte, int) {
		n := count.Add(1)
		if n%10 != 0 {
			return reads[n*7919%apiDefinitions], http.StatusOK
		}
		w := written.Add(1)
		return writes[w%apiDefinitions][w/apiDefinitions%2], http.StatusOK
	}
	if _, _, err := load(ctx, api.addr, apiRound, mixed); err != nil { // what grows once has grown
		return nil, err
	}
	before := written.Load()
	var rate, p99, inUse [2]float64
	for half := range 2 {
		var latencies []float64
		var err error
		if rate[half], latencies, err = load(ctx, api.addr, apiMixedTime/2, mixed); err != nil {
			return nil, err
		}
		p99[half] = percentile(latencies, 99)
		inUse[half] = memory()
	}
	return []Result{
		{Name: "api-mixed", Value: (rate[0] + rate[1]) / 2, Unit: "req/s", Note: fmt.Sprintf("90 %% GET, 10 %% PATCH (%d commits) for a minute over %d connections; no error", written.Load()-before, apiConnections)},
		{Name: "api-mixed-p99", Value: max(p99[0], p99[1]), Unit: "ms", Note: "of the same requests, the worse half"},
		{Name: "api-mixed-memory", Value: inUse[1], Floor: inUse[0], Unit: "MiB", Note: "in use after the minute; floor: after half of it"},
	}, nil
}

// memory returns the MiB in use after a collection.
func memory() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse+m.StackInuse) / (1 << 20)
}

// running is a server on a port of its own.
type running struct {
	addr   string
	tenant string
	key    string
	close  func()
}

// newAPI starts the API over a real repository of 1,000 definitions and a reconciler that does nothing.
func newAPI(ctx context.Context, dir string) (*running, error) {
	a := &api{
		dir: dir, tenant: "acme",
		vault:   reconcile.Vault{Address: "http://127.0.0.1:1", Mount: "secret", Token: "none"},
		cluster: &rest.Config{Host: "https://127.0.0.1:1"},
	}
	if err := a.open(ctx); err != nil {
		return nil, err
	}
	if err := addDefinitions(ctx, a.repository, a.production); err != nil {
		return nil, errors.Join(err, a.store.Close())
	}
	return a.run(ctx, false)
}

// newPollingAPI starts the API over 1,000 definitions whose copies stand, with a reconciler that polls their values as often
// as it does where nothing else is configured.
func newPollingAPI(ctx context.Context, env *Env) (*running, error) {
	f, err := newFleet(ctx, env, fleetOptions{definitions: apiDefinitions, targets: 1, namespaces: 10, clusters: []string{"production"}})
	if err != nil {
		return nil, err
	}
	a := &api{
		dir: filepath.Join(f.dir, "data", "repositories"), tenant: f.name,
		vault:   reconcile.Vault{Address: f.stack.Vault.Address, Mount: f.name, TokenFile: filepath.Join(f.dir, "token")},
		cluster: f.stack.Cluster("production").Config,
	}
	if err := a.open(ctx); err != nil {
		return nil, err
	}
	r, err := a.run(ctx, true)
	if err != nil {
		return nil, err
	}
	stop := r.close
	r.close = func() {
		stop()
		_ = f.empty(context.WithoutCancel(ctx)) // what is left is in nobody's way
	}
	if err := a.untilActive(ctx); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// api is what an API server is put together from, in this process.
type api struct {
	dir     string // of the repositories
	tenant  string
	vault   reconcile.Vault
	cluster *rest.Config

	name       gitstore.TenantName
	production definition.ClusterName
	store      *gitstore.Store
	repository *gitstore.Repository
	reconciler *reconcile.Reconciler
}

func (a *api) open(ctx context.Context) (err error) {
	if a.name, err = gitstore.ParseTenantName(a.tenant); err != nil {
		return err
	}
	if a.production, err = definition.ParseClusterName("production"); err != nil {
		return err
	}
	if a.store, err = gitstore.Open(gitstore.Config{Dir: a.dir, MaxDefinitions: apiDefinitions}); err != nil {
		return err
	}
	if a.repository, err = openRepository(ctx, a.store, a.name); err != nil {
		return errors.Join(err, a.store.Close())
	}
	return nil
}

func (a *api) newReconciler() (err error) {
	a.reconciler, err = reconcile.New(reconcile.Config{
		HashKey:  bytes.Repeat([]byte("k"), 32),
		Clusters: []reconcile.Cluster{{Name: "production", REST: a.cluster}},
		Tenants: []reconcile.Tenant{{
			Name: a.name, Repository: a.repository, Vault: a.vault,
			Clusters: map[definition.ClusterName]reconcile.Grant{a.production: {Cluster: "production", Namespaces: []string{"*"}}},
		}},
	})
	return err
}

// run starts the server, with access log, metrics and limits as in earnest, and the reconciler if it is to work.
func (a *api) run(ctx context.Context, work bool) (_ *running, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, a.store.Close())
		}
	}()
	if err = a.newReconciler(); err != nil {
		return nil, err
	}
	key, plaintext := apikey.New(a.name, apikey.Admin, "bench")
	server, err := a.listen(key, nil)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var ended sync.WaitGroup
	ended.Go(func() { _ = server.Run(ctx) })
	if work {
		ended.Go(func() { _ = a.reconciler.Run(ctx) })
	}
	return &running{addr: server.Addr().String(), tenant: a.tenant, key: plaintext, close: func() {
		cancel()
		ended.Wait()
		_ = a.store.Close()
	}}, nil
}

// listen makes a server that listens: of the tenant's holder, or, with others, of one of the replicas.
func (a *api) listen(key apikey.Key, change func(*httpapi.Config)) (*httpapi.Server, error) {
	cfg := httpapi.Config{
		Settings: httpapi.Settings{
			Tenants: []tenants.Tenant{{Name: a.name, Repository: a.repository}},
			Keys:    []apikey.Key{key},
			Limits:  limit.Limits{Rate: 1e9, Burst: 1e9},
		},
		Reconciler: a.reconciler,
		Listen:     "127.0.0.1:0",
		Log:        slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	server, err := httpapi.New(cfg)
	if err != nil {
		return nil, err
	}
	return server, server.Listen()
}

// untilActive waits until every definition is.
func (a *api) untilActive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for _, e := range a.repository.Snapshot().Entries() {
		_, status, err := a.reconciler.Wait(ctx, a.name, e.Name, status.Active)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("definition %s is %s: %w", e.Name, status.Phase, err)
		}
	}
	return nil
}

func addDefinitions(ctx context.Context, repository *gitstore.Repository, cluster definition.ClusterName) error {
	namespace, err := definition.ParseNamespace("default")
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(apiConnections)
	for i := range apiDefinitions {
		group.Go(func() error {
			name, err := definition.ParseName(fmt.Sprintf("secret-%04d", i))
			if err != nil {
				return err
			}
			path, err := definition.ParseSecretPath("production/" + name.String())
			if err != nil {
				return err
			}
			d, err := definition.New(name, path, []definition.Target{{Cluster: cluster, Namespace: namespace}})
			if err != nil {
				return err
			}
			_, err = repository.Create(ctx, gitstore.Attribution{Author: gitstore.Author{Name: "bench", ID: "ak-bench"}}, d)
			return err
		})
	}
	return group.Wait()
}

// serveConstant is the floor: the router, and an answer that is there already, for slow clients within the same times.
func serveConstant(size int) (*running, error) {
	body := bytes.Repeat([]byte("x"), size)
	router := httprouter.New()
	answer := func(w http.ResponseWriter, _ *http.Request, _ httprouter.Params) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(body) // a client that went away shows at the client
	}
	router.GET("/api/v1/tenants/:tenant/secrets", answer)
	router.GET("/api/v1/tenants/:tenant/secrets/:name", answer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler:           router,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
	}
	var ended sync.WaitGroup
	ended.Go(func() { _ = server.Serve(listener) })
	return &running{addr: listener.Addr().String(), close: func() {
		_ = server.Close()
		ended.Wait()
	}}, nil
}

func (r *running) request(method, path, body string) []byte {
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n", method, path, r.key)
	if body != "" {
		head += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return []byte(head + "\r\n" + body)
}

// load makes requests over 64 connections for a time and returns how many a second were answered, and what each took in ms.
// next gives a request and the status it must have.
func load(ctx context.Context, addr string, d time.Duration, next func(connection int) ([]byte, int)) (rate float64, latencies []float64, err error) {
	return loadBy(ctx, func() *apiClient { return newAPIClient(addr) }, d, next)
}

// loadBy is load with clients that are made so.
func loadBy(ctx context.Context, newClient func() *apiClient, d time.Duration, next func(connection int) ([]byte, int)) (rate float64, latencies []float64, err error) {
	began := time.Now()
	each := make([][]float64, apiConnections)
	group, ctx := errgroup.WithContext(ctx)
	for c := range apiConnections {
		group.Go(func() error {
			client := newClient()
			defer client.close()
			for time.Since(began) < d {
				if err := ctx.Err(); err != nil {
					return err
				}
				request, status := next(c)
				sent := time.Now()
				if _, err := client.do(request, status); err != nil {
					return err
				}
				each[c] = append(each[c], float64(time.Since(sent).Microseconds())/1000)
			}
			return nil
		})
	}
	err = group.Wait()
	latencies = slices.Concat(each...)
	return float64(len(latencies)) / time.Since(began).Seconds(), latencies, err
}

func percentile(values []float64, p int) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(len(values)-1, len(values)*p/100)]
}

// apiClient speaks as little HTTP as will do, so that what is measured is the server and not net/http's client.
type apiClient struct {
	addr string
	tls  *tls.Config // nil: plain HTTP
	conn net.Conn
	in   *bufio.Reader
	body []byte
}

func newAPIClient(addr string) *apiClient { return &apiClient{addr: addr} }

func (c *apiClient) close() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
}

func (c *apiClient) dial() (net.Conn, error) {
	if c.tls != nil {
		return tls.Dial("tcp", c.addr, c.tls)
	}
	return net.Dial("tcp", c.addr)
}

// do sends a request as it stands and returns the body of its answer, good until the next call.
func (c *apiClient) do(request []byte, status int) ([]byte, error) {
	if c.conn == nil {
		var err error
		if c.conn, err = c.dial(); err != nil {
			return nil, err
		}
		c.in = bufio.NewReaderSize(c.conn, 64<<10)
	}
	if _, err := c.conn.Write(request); err != nil {
		return nil, err
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	got := string(line)
	length := 0
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(": ")); bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return nil, err
			}
		}
	}
	c.body = slices.Grow(c.body[:0], length)[:length]
	if _, err := io.ReadFull(c.in, c.body); err != nil {
		return nil, err
	}
	if want := strconv.Itoa(status); len(got) < 12 || got[9:12] != want {
		return nil, fmt.Errorf("answered %q %s; want %s", got, c.body, want)
	}
	return c.body, nil
}
