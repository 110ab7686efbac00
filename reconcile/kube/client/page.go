package client

import (
	"bytes"
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/runtime"
)

// Pages of listings are sized by what they bring: Secrets may be a megabyte
// each or a few hundred bytes.
const (
	pageFirst = 10       // Secrets of the first page
	pageMost  = 500      // of any
	pageAim   = 8 << 20  // bytes
	pageLimit = 32 << 20 // bytes; a page that would be larger is asked for again, smaller
)

// Pager decides how much to ask for next.
type Pager struct {
	limit  int64         // how many of the next page; 0: the first
	buffer *bytes.Buffer // of the page that was read last
}

// ErrPageTooLarge says that the same page is to be asked for again: with a smaller one
// to come.
var ErrPageTooLarge = errors.New("the page is too large")

// body is what a page is read into.
func (p *Pager) body() *bytes.Buffer {
	if p.buffer == nil {
		p.buffer = new(bytes.Buffer)
	}
	return p.buffer
}

// Size is how many bytes the page that was read last had.
func (p *Pager) Size() int { return p.buffer.Len() }

// Took learns from a page of so many items and bytes.
func (p *Pager) Took(items, size int) {
	if items == 0 {
		return
	}
	fits := int64(pageAim) * int64(items) / int64(max(size, 1))
	p.limit = max(1, min(fits, 4*p.limit, pageMost))
}

// Page reads one page into a list, and learns from it.
func (k *Client) Page(ctx context.Context, of Resource, p *Pager, next string, into runtime.Object) error {
	if p.limit == 0 {
		p.limit = pageFirst
	}
	if err := k.limiter.Wait(ctx); err != nil {
		return err
	}
	tooLarge := false
	err := k.timed(ctx, "list", k.limits().Page, func(ctx context.Context) error {
		if err := k.fetch(ctx, of, p, next); err != nil {
			return err
		}
		if p.buffer.Len() > pageLimit && p.limit > 1 {
			p.limit = max(1, p.limit/8)
			tooLarge = true
			return nil
		}
		_, _, err := codecs.UniversalDeserializer().Decode(p.buffer.Bytes(), nil, into)
		return err
	})
	if tooLarge {
		return ErrPageTooLarge
	}
	return err
}
