package definitions

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/problem"
	"secretsync/httpapi/render"
)

const (
	defaultPage = 50
	maxPage     = 500
)

// page is what ?limit= and &cursor= ask for.
type page struct {
	after catalog.Revision // zero: from the newest
	limit int
}

func parsePage(query url.Values) (p page, err error) {
	p.limit = defaultPage
	if query.Has("limit") {
		p.limit, err = strconv.Atoi(query.Get("limit"))
		if err != nil || p.limit < 1 || p.limit > maxPage {
			return p, problem.BadRequest("limit", fmt.Sprintf("must be a number from 1 to %d", maxPage))
		}
	}
	if query.Has("cursor") {
		if p.after, err = catalog.ParseRevision(query.Get("cursor")); err != nil {
			return p, errCursor
		}
	}
	return p, nil
}

var errCursor = problem.BadRequest("cursor", `must be the "next" of the page before; begin again without it`)

// History reads Git, other than the reads that clients repeat.
func (d *Definitions) History(x *exchange.Exchange) (*exchange.Answer, error) {
	e, err := x.Entry()
	if err != nil {
		return nil, err
	}
	query, err := x.Query()
	if err != nil {
		return nil, err
	}
	page, err := parsePage(query)
	if err != nil {
		return nil, err
	}
	events, next, err := x.Tenant.Repository.History(x.Request.Context(), e.Name, page.after, page.limit)
	if errors.Is(err, gitstore.ErrNotFound) {
		return nil, errCursor // the branch may have been rewritten meanwhile
	}
	if errors.Is(err, gitstore.ErrUnavailable) {
		return nil, problem.Unreadable(err)
	}
	if err != nil {
		return nil, err
	}
	body := []byte(`{"items":[`)
	for i := range events {
		if i > 0 {
			body = append(body, ',')
		}
		body = render.Event(body, &events[i])
	}
	body = append(body, `],"next":`...)
	if next.IsZero() {
		body = append(body, "null"...)
	} else {
		body = render.Name(body, next)
	}
	return &exchange.Answer{Status: http.StatusOK, Body: append(body, "}\n"...)}, nil
}
