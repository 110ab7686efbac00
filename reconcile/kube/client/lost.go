package client

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"secretsync/reconcile/kube/refusal"
)

// A request that reaches a server, or something before it, in the moment in which
// that goes away may never be answered, while each that follows is. How long a
// request may take says nothing of how soon a lost one is noticed, and until then
// the cluster is told to be unreachable although it answers. So what keeps a
// cluster from being used is asked more than once:
//
//	what               while nothing comes of it
//	a small question   is asked again each second
//	a page of a list   a small question is put beside it each second; see fetch
//	a watch            is begun again, if a small question is answered; by whoever began it
const (
	insistEvery = time.Second
	// LostAfter: what has come to nothing for so long, while small questions
	// are answered, may be lost. A second time it has twice as long.
	LostAfter = 2 * time.Second
)

// insist makes a request until one is answered, and then gives the others up.
func insist(ctx context.Context, request func(context.Context) rest.Result) rest.Result {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	answers := make(chan rest.Result, 1) // the first counts
	tick := time.NewTicker(insistEvery)
	defer tick.Stop()
	for {
		wg.Go(func() {
			r := request(ctx)
			select {
			case answers <- r:
			default:
			}
		})
		select {
		case r := <-answers:
			return r
		case <-tick.C:
		}
	}
}

// attempt is one request for a page.
type attempt struct {
	body   *bytes.Buffer
	came   atomic.Int64 // bytes of it so far
	began  time.Time
	cancel context.CancelFunc
}

// read takes the answer in, up to a little more than pageLimit.
func (a *attempt) read(body io.Reader) error {
	a.body.Reset()
	_, err := a.body.ReadFrom(io.LimitReader(io.TeeReader(body, a), pageLimit+1))
	return err
}

// Write counts what came.
func (a *attempt) Write(b []byte) (int, error) {
	a.came.Add(int64(len(b)))
	return len(b), nil
}

// fetch reads a page into the pager's buffer. A server may need long for that, or
// have lost the request: which of the two is not to be seen. So the request is
// left to wait, and another is made beside it if a small question is answered
// after one was not, or if nothing comes for some seconds. The first answer
// counts; there are never more than two such requests.
func (k *Client) fetch(ctx context.Context, of Resource, p *Pager, next string) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	type answer struct {
		a   *attempt
		err error
	}
	answers := make(chan answer)
	begin := func(body *bytes.Buffer) *attempt {
		a := &attempt{body: body, began: time.Now()}
		mine, cancel := context.WithCancel(ctx)
		a.cancel = cancel
		wg.Go(func() {
			defer cancel()
			err := k.stream(mine, of, p.limit, next, a)
			select {
			case answers <- answer{a, err}:
			case <-mine.Done():
			}
		})
		return a
	}
	first := begin(p.body())
	var second *attempt
	newest, patience := first, LostAfter
	var came int64
	quiet := time.Now() // since then nothing came
	away, asking := false, false
	told := make(chan bool) // whether a small question was answered
	tick := time.NewTicker(insistEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case got := <-answers:
			if got.a != first && got.a != second {
				continue // it was given up
			}
			p.buffer = got.a.body
			return got.err
		case <-tick.C:
			now := first.came.Load()
			if second != nil {
				now += second.came.Load()
			}
			if now != came {
				came, quiet, away = now, time.Now(), false
				continue
			}
			if asking {
				continue
			}
			asking = true
			wg.Go(func() {
				answered := k.Answers(ctx, of.Namespace)
				select {
				case told <- answered:
				case <-ctx.Done():
				}
			})
		case answered := <-told:
			asking = false
			since := newest.began
			if quiet.After(since) {
				since = quiet
			}
			if !answered || !away && time.Since(since) < patience {
				away = away || !answered
				continue
			}
			if second != nil {
				came -= second.came.Load()
				second.cancel()
			}
			second = begin(new(bytes.Buffer))
			newest, away, patience = second, false, 2*patience
		}
	}
}

// Answers reports whether the server answers a small question, whatever it says.
func (k *Client) Answers(ctx context.Context, namespace string) bool {
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	_, err := k.Probe(ctx, namespace)
	kind := refusal.KindOf(err)
	return kind != refusal.Unavailable && kind != refusal.Throttled
}

// stream reads one page.
func (k *Client) stream(ctx context.Context, of Resource, limit int64, next string, a *attempt) error {
	body, err := k.rest.Get().Namespace(of.Namespace).Resource(of.Kind).MaxRetries(0).VersionedParams(
		&metav1.ListOptions{LabelSelector: of.Selector, Limit: limit, Continue: next}, parameterCodec).Stream(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	return a.read(body)
}
