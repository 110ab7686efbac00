package definitions

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/kept"
	"secretsync/httpapi/problem"
	"secretsync/httpapi/render"
)

// listing is what ?summary=, &limit= and &continue= ask for.
type listing struct {
	summary bool // without the statuses of the targets
	paged   bool
	limit   int             // 0: no limit
	after   definition.Name // zero: from the beginning
}

// maxListed is the most that can be asked for at once; without a limit all come.
const maxListed = 1000

func parseListing(query url.Values) (l listing, err error) {
	if query.Has("summary") {
		switch query.Get("summary") {
		case "true":
			l.summary = true
		case "false":
		default:
			return l, problem.BadRequest("summary", "must be true or false")
		}
	}
	if query.Has("limit") {
		l.paged = true
		if l.limit, err = strconv.Atoi(query.Get("limit")); err != nil || l.limit < 1 || l.limit > maxListed {
			return l, problem.BadRequest("limit", fmt.Sprintf("must be a number from 1 to %d", maxListed))
		}
	}
	if token := query.Get("continue"); token != "" {
		l.paged = true
		if l.after, err = parseContinue(token); err != nil {
			return l, problem.BadRequest("continue", `must be the "continue" of the page before; begin again without it`)
		}
	}
	return l, nil
}

// continueForm is what a token begins with, so that it can be told what another
// version of this server made.
const continueForm = "1:"

// continueAfter makes the token that goes on after a definition. Pages go by
// name: what is added and removed meanwhile makes no other one come twice, or
// not at all.
func continueAfter(name definition.Name) string {
	return base64.RawURLEncoding.EncodeToString([]byte(continueForm + name.String()))
}

func parseContinue(token string) (definition.Name, error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return definition.Name{}, err
	}
	name, ok := strings.CutPrefix(string(text), continueForm)
	if !ok {
		return definition.Name{}, fmt.Errorf("no token of ours: %q", text)
	}
	return definition.ParseName(name)
}

// page cuts the entries to one page; next is zero on the last.
func (l listing) page(entries []*catalog.Entry) (page []*catalog.Entry, next definition.Name) {
	if !l.after.IsZero() {
		after := l.after.String()
		begin, found := slices.BinarySearchFunc(entries, after, func(e *catalog.Entry, name string) int {
			return strings.Compare(e.Name.String(), name)
		})
		if found {
			begin++
		}
		entries = entries[begin:]
	}
	if l.limit > 0 && len(entries) > l.limit {
		return entries[:l.limit], entries[l.limit-1].Name
	}
	return entries, definition.Name{}
}

// List answers with all definitions, or a page of them.
func (d *Definitions) List(x *exchange.Exchange) (*exchange.Answer, error) {
	var wanted listing
	if x.Request.URL.RawQuery != "" {
		query, err := x.Query()
		if err != nil {
			return nil, err
		}
		if wanted, err = parseListing(query); err != nil {
			return nil, err
		}
	}
	// The version first: what changes after it makes the list one of the past,
	// never one that stays.
	version := d.Reconciler.Version(x.Tenant.Name)
	snapshot, err := x.Snapshot()
	if err != nil {
		return nil, err
	}
	if wanted.paged {
		return &exchange.Answer{Status: http.StatusOK, Body: d.renderList(x.Tenant.Name, wanted, snapshot.Entries())}, nil
	}
	about := kept.Subject{Tenant: x.Tenant.Name, Summary: wanted.summary}
	r := d.kept.Get(about, snapshot, version, d.Now())
	if r == nil {
		r = kept.New(snapshot, version, d.Now(), d.renderList(x.Tenant.Name, wanted, snapshot.Entries()))
		d.kept.Put(about, r)
	}
	return &exchange.Answer{Status: http.StatusOK, Kept: r, Body: r.Body}, nil
}

func (d *Definitions) renderList(tenant gitstore.TenantName, wanted listing, entries []*catalog.Entry) []byte {
	entries, next := wanted.page(entries)
	body := make([]byte, 0, 64+768*len(entries))
	body = append(body, `{"items":[`...)
	for i, e := range entries {
		if i > 0 {
			body = append(body, ',')
		}
		status := d.Reconciler.Status(tenant, e)
		if wanted.summary {
			body = render.Summary(body, e, &status)
		} else {
			body = render.Secret(body, e, &status)
		}
	}
	body = append(body, ']')
	switch {
	case !wanted.paged:
	case next.IsZero():
		body = append(body, `,"continue":null`...)
	default:
		body = render.String(append(body, `,"continue":`...), continueAfter(next))
	}
	return append(body, "}\n"...)
}
