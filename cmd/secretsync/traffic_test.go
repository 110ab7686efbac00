package main

import (
	"context"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Clients of replicas.
var (
	connections = &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 5 * time.Second}
	// brisk gives up on a replica that was stopped.
	brisk = &http.Client{Timeout: 5 * time.Second, Transport: connections}
	// patient waits for an answer that must come, however busy the machine is.
	patient = &http.Client{Timeout: patience, Transport: connections}
)

func (f *fleet) call(r *process, t *fleetTenant, method, path, body, id string) (status int, answer string, err error) {
	return f.callBy(patient, r, t, method, path, body, id)
}

func (f *fleet) callBy(client *http.Client, r *process, t *fleetTenant, method, path, body, id string) (status int, answer string, err error) {
	request, err := http.NewRequest(method, r.url+"/api/v1/tenants/"+t.Name+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Authorization", "Bearer "+t.Secret)
	request.Header.Set("X-Request-Id", id)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// served reports whether a replica answers for a tenant, itself or by way of the one who works for it.
func (f *fleet) served(r *process, t *fleetTenant) bool { return f.refusal(r, t) == "" }

// refusal is what a replica says that does not answer for a tenant; empty: it answers.
func (f *fleet) refusal(r *process, t *fleetTenant) string {
	switch status, answer, err := f.callBy(brisk, r, t, "GET", "", "", "look"); {
	case err != nil:
		return "no answer"
	case status != http.StatusOK:
		return fmt.Sprintf("%d %s", status, strings.TrimSpace(answer))
	}
	return ""
}

// answers waits until each of these replicas answers for all tenants.
func (f *fleet) answers(replicas ...*process) {
	f.Helper()
	for _, r := range replicas {
		left := make([]*fleetTenant, len(f.tenants))
		for i := range f.tenants {
			left[i] = &f.tenants[i]
		}
		f.await(r.name+" answers for all", func() bool {
			left = slices.DeleteFunc(left, func(t *fleetTenant) bool { return f.served(r, t) })
			return len(left) == 0
		})
	}
}

// glance is how often each tenant is asked for while it changes hands. What is measured is too long by that at
// most. With half of it, to ask for 375 tenants took a third of two processors, which were missed elsewhere.
const glance = 500 * time.Millisecond

// outage is how long tenants were without an answer, the longest time of each. Bare is what they are
// held against: how long stock git took meanwhile for one question, each time it was asked.
type outage struct {
	tenants, bare []time.Duration
	asked         int            // requests
	refused       map[string]int // those of them that came to nothing, by what was said
}

func (o outage) String() string {
	refused := 0
	for _, n := range o.refused {
		refused += n
	}
	return fmt.Sprintf("%d tenants: %s; %d of %d requests came to nothing %v; one answer of stock git meanwhile: %s", len(o.tenants), spread(o.tenants), refused, o.asked, o.refused, spread(o.bare))
}

func (o outage) longest() time.Duration { return slices.Max(o.tenants) }

func spread(times []time.Duration) string {
	slices.Sort(times)
	return fmt.Sprintf("half of them at most %v, all at most %v", times[len(times)/2].Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond))
}

// askGit asks stock git where a branch is, twice a second till it is over: what it says first, which
// takes two processes, of one tenant and not out of the server's cache.
func (f *fleet) askGit(over <-chan struct{}) (took []time.Duration) {
	f.Helper()
	for i := 0; ; i++ {
		began := time.Now()
		answer, err := patient.Get(fmt.Sprintf("%s/%s.git/info/refs?service=git-upload-pack&look=%d-%d", f.forge, f.tenants[0].Name, began.UnixNano(), i))
		if err == nil {
			_, err = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
		if err != nil {
			f.Errorf("stock git: %v", err)
		}
		took = append(took, time.Since(began))
		select {
		case <-over:
			return took
		case <-time.After(glance):
		}
	}
}

// during asks for tenants through these replicas in turn while something befalls them, and on until
// each was answered for when it was over.
func (f *fleet) during(befalls func(), tenants []*fleetTenant, through ...*process) outage {
	f.Helper()
	over := make(chan struct{})
	var mu sync.Mutex
	o := outage{refused: make(map[string]int)}
	var asking sync.WaitGroup
	asking.Go(func() {
		each(tenants, func(t *fleetTenant) {
			longest, asked, refused := f.longestWithout(t, over, through)
			mu.Lock()
			defer mu.Unlock()
			o.tenants, o.asked = append(o.tenants, longest), o.asked+asked
			for _, why := range refused {
				o.refused[why]++
			}
		})
	})
	asking.Go(func() { o.bare = f.askGit(over) })
	func() {
		defer close(over)
		befalls()
	}()
	asking.Wait()
	return o
}

// longestWithout asks for one tenant. It tells the longest time without an answer, how many requests it
// made and what it was told by those that came to nothing.
func (f *fleet) longestWithout(t *fleetTenant, over <-chan struct{}, through []*process) (longest time.Duration, asked int, refused []string) {
	began := time.Now()
	answered := began
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for i := mathrand.IntN(len(through)); time.Since(began) < f.patience(); i++ {
		var last bool
		select {
		case <-over:
			last = true
		default:
		}
		asked++
		if why := f.refusal(through[i%len(through)], t); why != "" {
			refused = append(refused, why)
		} else {
			longest, answered = max(longest, time.Since(answered)), time.Now()
			if last {
				return longest, asked, refused
			}
		}
		<-tick.C
	}
	f.Errorf("nobody answers for %s", t.Name)
	return max(longest, time.Since(answered)), asked, refused
}

// post makes a definition with a copy in each cluster.
func (f *fleet) post(r *process, t *fleetTenant, name string) (status int, answer string, err error) {
	return f.postBy(patient, r, t, name)
}

func (f *fleet) postBy(client *http.Client, r *process, t *fleetTenant, name string) (status int, answer string, err error) {
	var targets []string
	for _, cluster := range f.stack.Clusters() {
		targets = append(targets, fmt.Sprintf(`{"cluster":%q,"namespace":%q,"secretName":"%s-%s"}`, cluster.Name, f.namespace, t.Name, name))
	}
	body := fmt.Sprintf(`{"name":%q,"secretPath":"value","sync":[%s]}`, name, strings.Join(targets, ","))
	return f.callBy(client, r, t, "POST", "/secrets", body, "write-"+name)
}

// load writes through one replica, and reads what was written through another, till ctx ends.
func (f *fleet) load(ctx context.Context, r *process, random *mathrand.Rand) {
	for i := 0; ctx.Err() == nil; i++ {
		t := &f.tenants[random.IntN(len(f.tenants))]
		name := fmt.Sprintf("%s-%d", r.name, i)
		status, answer, err := f.postBy(brisk, r, t, name)
		switch {
		case err != nil, status == http.StatusServiceUnavailable:
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
			continue // not known, or not done
		case status != http.StatusCreated:
			f.ledger.wrong("POST by %s: %d %s", r.name, status, answer)
			continue
		}
		f.ledger.answer(name, t.Name)
		other := f.replicas[random.IntN(len(f.replicas))]
		status, answer, err = f.callBy(brisk, other, t, "GET", "/secrets/"+name, "", "read-"+name)
		if err == nil && status != http.StatusOK && status != http.StatusServiceUnavailable {
			f.ledger.wrong("%s of %s was answered by %s, and by %s it is %d %s", name, t.Name, r.name, other.name, status, answer)
		}
	}
}
