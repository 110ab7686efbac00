package httpapi

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/kept"
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
			return l, badRequest("summary", "must be true or false")
		}
	}
	if query.Has("limit") {
		l.paged = true
		if l.limit, err = strconv.Atoi(query.Get("limit")); err != nil || l.limit < 1 || l.limit > maxListed {
			return l, badRequest("limit", fmt.Sprintf("must be a number from 1 to %d", maxListed))
		}
	}
	if token := query.Get("continue"); token != "" {
		l.paged = true
		if l.after, err = parseContinue(token); err != nil {
			return l, badRequest("continue", `must be the "continue" of the page before; begin again without it`)
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
func (l listing) page(entries []*gitstore.Entry) (page []*gitstore.Entry, next definition.Name) {
	if !l.after.IsZero() {
		after := l.after.String()
		begin, found := slices.BinarySearchFunc(entries, after, func(e *gitstore.Entry, name string) int {
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

func (s *Server) listSecrets(x *exchange) (*answer, error) {
	var wanted listing
	if x.r.URL.RawQuery != "" {
		query, err := x.query()
		if err != nil {
			return nil, err
		}
		if wanted, err = parseListing(query); err != nil {
			return nil, err
		}
	}
	// The version first: what changes after it makes the list one of the past,
	// never one that stays.
	version := s.cfg.Reconciler.Version(x.tenant.Name)
	snapshot, err := x.snapshot()
	if err != nil {
		return nil, err
	}
	if wanted.paged {
		return &answer{status: http.StatusOK, body: s.renderList(x.tenant.Name, wanted, snapshot.Entries())}, nil
	}
	about := kept.Subject{Tenant: x.tenant.Name, Summary: wanted.summary}
	r := s.kept.Get(about, snapshot, version, s.now())
	if r == nil {
		r = kept.New(snapshot, version, s.now(), s.renderList(x.tenant.Name, wanted, snapshot.Entries()))
		s.kept.Put(about, r)
	}
	return &answer{status: http.StatusOK, kept: r, body: r.Body}, nil
}

func (s *Server) renderList(tenant gitstore.TenantName, wanted listing, entries []*gitstore.Entry) []byte {
	entries, next := wanted.page(entries)
	body := make([]byte, 0, 64+768*len(entries))
	body = append(body, `{"items":[`...)
	for i, e := range entries {
		if i > 0 {
			body = append(body, ',')
		}
		status := s.cfg.Reconciler.Status(tenant, e)
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
