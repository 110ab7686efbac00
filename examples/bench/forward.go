package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"secretsync/examples/devstack"
	"secretsync/gitstore"
	"secretsync/httpapi"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/forward/forwardtest"
	"secretsync/reconcile"
)

func init() { register("forward", forwardedGet) }

// forwardedGet measures what it costs to ask a replica that does not hold the tenant, against asking the one that does: the
// same GET of one definition of 1,000, by the same client, in the same way. Between the replicas there is mutual TLS.
//
//	figure              client     the two replicas                 the client speaks
//	forward             a process  two processes of the server,     HTTPS, as where replicas are
//	                               Leases and all                     asked directly
//	forward-plain       the same   the same                         HTTP, as behind a proxy on
//	                                                                  their machine
//	forward-in-process  in this one process, all three, without     HTTP
//	                    Leases; a reconciler that is idle
//	forward-bare        a process  two processes that only pass     bare TCP
//	                               bytes on
//
// All but the last have a second one, -rate: of 64 connections at once. In one process only goroutines are woken, so that a
// request costs about half of what it does between processes. Between processes each way to another one waits till a
// processor takes that up: a direct request wakes two threads that sleep, one that is passed on four. What that alone takes
// forward-bare shows. On two virtual processors at rest that was 49 µs directly and 115 µs through another process. A direct
// request took 65 µs, of which some 16 were the server's; 115 and 16 are twice those 65 already, with nothing left for what
// the replica between has to do. Passed on it took 163 µs. So 2.0 is out of reach where a wake costs as much as that.
//
// Measure it on a machine at rest. Where others use the processors these never sleep, which makes a direct request cheaper
// and has three processes wait for each other, and the ratio says little.
func forwardedGet(ctx context.Context, env *Env) ([]Result, error) {
	results, err := forwardProcesses(ctx, env)
	if err != nil {
		return results, err
	}
	inProcess, err := forwardInProcess(ctx, env)
	results = append(results, inProcess...)
	if err != nil {
		return results, err
	}
	bare, err := forwardBare(ctx)
	if err != nil {
		return results, err
	}
	return append(results, bare), nil
}

// forwardProcesses measures with real processes.
func forwardProcesses(ctx context.Context, env *Env) (results []Result, err error) {
	f, err := newFleet(ctx, env, fleetOptions{definitions: apiDefinitions, targets: 1, namespaces: 10, clusters: []string{"production"}})
	if err != nil {
		return nil, err
	}
	defer f.empty(context.WithoutCancel(ctx))
	pair := &forwardPair{fleet: f}
	if pair.authority, err = forwardtest.NewAuthority(); err != nil {
		return nil, err
	}
	if err := f.stack.Cluster("production").CreateNamespace(ctx, pair.home()); err != nil {
		return nil, err
	}
	for _, front := range []struct {
		name, speaks string
		tls          bool
	}{{"forward", "HTTPS", true}, {"forward-plain", "HTTP", false}} {
		found, err := pair.measure(ctx, front.name, front.speaks, front.tls)
		if err != nil {
			return results, err
		}
		results = append(results, found...)
	}
	return results, nil
}

// forwardPair is a tenant with two replicas: one has its repository, and holds it for good.
type forwardPair struct {
	*fleet
	authority *forwardtest.Authority
}

func (p *forwardPair) home() string { return "home-" + p.name }

func (p *forwardPair) measure(ctx context.Context, name, speaks string, secured bool) (_ []Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	var client *tls.Config
	var servers [2]*server // who holds the tenant, and who does not
	for i := range servers {
		if servers[i], client, err = p.start(ctx, i, secured); err != nil {
			return nil, err
		}
		defer servers[i].stop()
	}
	if err := servers[0].untilSynced(ctx, p.copies()); err != nil {
		return nil, err
	}
	to := func(i int) func() *apiClient {
		return func() *apiClient { return &apiClient{addr: servers[i].address, tls: client} }
	}
	request := (&running{key: p.key}).request(http.MethodGet, "/api/v1/tenants/"+p.name+"/secrets/"+p.names[500], "")
	for { // the other one learns who holds it
		c := to(1)()
		_, err := c.do(request, http.StatusOK)
		c.close()
		if err == nil {
			break
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return nil, fmt.Errorf("the other replica does not pass requests on: %w", err)
		}
	}
	results, err := forwardResults(ctx, name, to(0), to(1), request, "by "+speaks+"; the client and both replicas are processes on this machine")
	if err != nil {
		return nil, err
	}
	forwards, err := servers[1].metric(ctx, `secretsync_forwards_total{outcome="answered"}`)
	if err == nil && forwards < 1000 {
		err = fmt.Errorf("only %v requests were passed on", forwards)
	}
	return results, err
}

// start starts one of the two, and returns how its clients speak TLS; nil: not at all.
func (p *forwardPair) start(ctx context.Context, i int, secured bool) (*server, *tls.Config, error) {
	dir := p.dir
	if i > 0 {
		dir = filepath.Join(p.dir, fmt.Sprintf("other-%v", secured))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, nil, err
		}
		token, err := os.ReadFile(filepath.Join(p.dir, "token"))
		if err != nil {
			return nil, nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, "token"), token, 0o600); err != nil {
			return nil, nil, err
		}
	}
	config, err := os.ReadFile(filepath.Join(p.dir, "config.yaml"))
	if err != nil {
		return nil, nil, err
	}
	files, err := p.authority.Issue(dir)
	if err != nil {
		return nil, nil, err
	}
	metrics := fmt.Sprintf("127.0.0.1:%d", devstack.FreePort())
	var b strings.Builder
	fmt.Fprintf(&b, "metricsListen: %s\nhome: {kubeconfig: %q, namespace: %s}\nkeys: {store: kubernetes}\n", metrics, p.stack.Cluster("production").AdminKubeconfig, p.home())
	fmt.Fprintf(&b, "replicas: {id: r-%d, listen: \"127.0.0.1:%d\", certFile: tls.crt, keyFile: tls.key, caFile: ca.crt}\n", i, devstack.FreePort())
	var client *tls.Config
	if secured {
		b.WriteString("tls: {certFile: tls.crt, keyFile: tls.key}\n")
		pem, err := os.ReadFile(files.CA)
		if err != nil {
			return nil, nil, err
		}
		// Its certificate has no name; that it is the replicas' own is enough here.
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		client = &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots})
			return err
		}}
	}
	tenant := "tenants:\n  " + p.name + ":\n"
	text := strings.Replace(string(config), tenant, tenant+"    onReplica: r-0\n", 1)
	text = strings.Replace(text, "log: {level: warn}", "log: {level: info}", 1) // a line for each request, as by default
	// Not beside the configuration: that folder is watched, so that each line would wake the server once more.
	log, err := os.Create(filepath.Join(filepath.Dir(p.dir), fmt.Sprintf("%s-%d-%v.log", p.name, i, secured)))
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	s, err := startServerLogging(ctx, p.binary, dir, b.String()+text, log)
	if err != nil {
		return nil, nil, err
	}
	s.url = "http://" + metrics
	return s, client, nil
}

// held is a tenant's holder, as the replicas in this process know it.
type held struct {
	address string
	mine    bool
}

func (h *held) Holder(gitstore.TenantName) (string, bool) { return h.address, h.mine }
func (h *held) Err() error                                { return nil }

// forwardInProcess measures with both replicas and the client in this process.
func forwardInProcess(ctx context.Context, env *Env) ([]Result, error) {
	a := &api{
		dir: filepath.Join(env.Dir, "in-process"), tenant: "acme",
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
	if err := a.newReconciler(); err != nil {
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

	to := func(s *httpapi.Server) func() *apiClient {
		return func() *apiClient { return newAPIClient(s.Addr().String()) }
	}
	request := (&running{key: plaintext}).request(http.MethodGet, "/api/v1/tenants/acme/secrets/secret-0500", "")
	return forwardResults(ctx, "forward-in-process", to(holder), to(other), request, "by HTTP; the client and both replicas share one process")
}

// forwardResults asks directly and through the other in turn: one request at a time, and from many connections.
func forwardResults(ctx context.Context, name string, direct, through func() *apiClient, request []byte, how string) ([]Result, error) {
	one := func(newClient func() *apiClient) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			client := newClient()
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
	many := func(newClient func() *apiClient) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			rate, _, err := loadBy(ctx, newClient, apiRound, func(int) ([]byte, int) { return request, http.StatusOK })
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
		{Name: name, Value: ours, Floor: floor, Unit: "ms", Note: "p50 of a GET of one definition asked of a replica that has it answered by another, one at a time, " + how + "; floor: the same asked of that other one"},
		{Name: name + "-rate", Value: rate, Floor: floorRate, Unit: "req/s", Note: fmt.Sprintf("of the same requests, %d connections", apiConnections)},
	}, nil
}
