package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"secretsync/gitstore"
	"secretsync/httpapi/render"
)

const (
	defaultPage = 50
	maxPage     = 500
)

// page is what ?limit= and &cursor= ask for.
type page struct {
	after gitstore.Revision // zero: from the newest
	limit int
}

func parsePage(query url.Values) (p page, err error) {
	p.limit = defaultPage
	if query.Has("limit") {
		p.limit, err = strconv.Atoi(query.Get("limit"))
		if err != nil || p.limit < 1 || p.limit > maxPage {
			return p, badRequest("limit", fmt.Sprintf("must be a number from 1 to %d", maxPage))
		}
	}
	if query.Has("cursor") {
		if p.after, err = gitstore.ParseRevision(query.Get("cursor")); err != nil {
			return p, errCursor
		}
	}
	return p, nil
}

var errCursor = badRequest("cursor", `must be the "next" of the page before; begin again without it`)

// getHistory reads Git, other than the reads that clients repeat.
func (s *Server) getHistory(x *exchange) (*answer, error) {
	e, err := x.entry()
	if err != nil {
		return nil, err
	}
	query, err := x.query()
	if err != nil {
		return nil, err
	}
	page, err := parsePage(query)
	if err != nil {
		return nil, err
	}
	events, next, err := x.tenant.Repository.History(x.r.Context(), e.Name, page.after, page.limit)
	if errors.Is(err, gitstore.ErrNotFound) {
		return nil, errCursor // the branch may have been rewritten meanwhile
	}
	if errors.Is(err, gitstore.ErrUnavailable) {
		return nil, unreadable(err)
	}
	if err != nil {
		return nil, err
	}
	body := []byte(`{"items":[`)
	for i := range events {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendEvent(body, &events[i])
	}
	body = append(body, `],"next":`...)
	if next.IsZero() {
		body = append(body, "null"...)
	} else {
		body = render.Name(body, next)
	}
	return &answer{status: http.StatusOK, body: append(body, "}\n"...)}, nil
}

func appendEvent(b []byte, e *gitstore.Event) []byte {
	b = render.Name(append(b, `{"sha":`...), e.Revision)
	b = render.Time(append(b, `,"time":`...), e.Time)
	b = render.String(append(b, `,"author":`...), e.Author)
	b = render.String(append(b, `,"message":`...), e.Message)
	b = render.String(append(b, `,"via":`...), string(e.Via))
	return append(b, '}')
}
