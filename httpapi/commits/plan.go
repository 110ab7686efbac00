package commits

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/folder"
	"secretsync/httpapi/body"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/problem"
	"secretsync/reconcile/plan"
)

// Planner says what a change of a tenant's definitions does, and with look what it
// would meet; see [reconcile.Reconciler.Plan].
type Planner interface {
	Plan(ctx context.Context, tenant gitstore.TenantName, from, to definition.Set, look bool) (*plan.Plan, error)
}

// planRequest is the body of POST …/plan.
type planRequest struct {
	from, to string // revisions; no to: files
	files    []folder.File
	removed  []string // paths, of a partial request
	partial  bool
}

// Plan says what a change would do. It changes nothing, so that a readonly
// key may ask.
func (c *Commits) Plan(x *exchange.Exchange) (*exchange.Answer, error) {
	text, err := x.Body()
	if err != nil {
		return nil, err
	}
	request, err := parsePlan(text)
	if err != nil {
		return nil, err
	}
	if _, err := x.Snapshot(); err != nil {
		return nil, err
	}
	release, ok := c.Shares.Of(x.Tenant.Name).Plan()
	if !ok {
		return nil, problem.TooMany(time.Second, "too many plans of your tenant at once")
	}
	defer release()
	ctx, cancel := context.WithTimeout(x.Request.Context(), planTime)
	defer cancel()
	from, err := at(x, ctx, request.from)
	if err != nil {
		return nil, err
	}
	before := from.Set()
	to, head, err := request.proposed(ctx, x, before, c.Limit())
	if err != nil {
		return nil, err
	}
	p, err := c.Reconciler.Plan(ctx, x.Tenant.Name, before, to, true)
	if err != nil {
		return nil, err
	}
	p.From, p.To = from.Head().String(), head
	encoded, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return &exchange.Answer{Status: http.StatusOK, Body: append(encoded, '\n')}, nil
}

// planTime bounds one plan: reading two revisions, and looking.
const planTime = 30 * time.Second

// at reads a revision. Where it can't be read that is told of reading: the table of
// errors speaks of writes.
func at(x *exchange.Exchange, ctx context.Context, rev string) (*catalog.Snapshot, error) {
	s, err := x.Tenant.Repository.At(ctx, rev)
	if errors.Is(err, gitstore.ErrUnavailable) {
		return nil, problem.Unreadable(err)
	}
	return s, err
}

// proposed is what the definitions would be, and the commit if they are one's.
func (p *planRequest) proposed(ctx context.Context, x *exchange.Exchange, before definition.Set, limit int) (definition.Set, string, error) {
	if p.to != "" {
		to, err := at(x, ctx, p.to)
		if err != nil {
			return definition.Set{}, "", err
		}
		return to.Set(), to.Head().String(), nil
	}
	set, err := folder.Read(p.files, limit)
	if err == nil && p.partial {
		set = before.With(set, p.removed)
	}
	return set, "", err
}

func parsePlan(text []byte) (p planRequest, err error) {
	o, err := body.Parse(text)
	if err != nil {
		return p, err
	}
	if err := o.Only("from", "to", "files", "partial"); err != nil {
		return p, err
	}
	asItIs := func(s string) (string, error) { return s, nil }
	if p.from, err = body.Optional(o, "from", asItIs); err != nil {
		return p, err
	}
	if p.from == "" {
		p.from = "HEAD"
	}
	if p.to, err = body.Optional(o, "to", asItIs); err != nil {
		return p, err
	}
	switch partial, _ := o.Get("partial"); partial := partial.(type) {
	case nil:
	case bool:
		p.partial = partial
	default:
		return p, o.WrongType("partial", partial, "true or false")
	}
	v, given := o.Get("files")
	files, ok := o.Inner("files")
	switch {
	case given && v != nil && !ok:
		return p, o.WrongType("files", v, "an object of paths, such as secrets/db.yaml, and what the files hold")
	case ok == (p.to != ""):
		return p, o.Refuse("to", "send either to, a revision, or files, what the definitions are to be")
	case p.partial && !ok:
		return p, o.Refuse("partial", "is of files; send those that change")
	}
	return p, p.parseFiles(files)
}

func (p *planRequest) parseFiles(files body.Object) error {
	for path, text := range files.All() {
		at := body.Shown(path)
		name, ok := strings.CutPrefix(path, definition.Folder+"/")
		if !ok || name == "" {
			return files.Refuse(at, fmt.Sprintf("is not below %s/; send the files there and no others", definition.Folder))
		}
		switch text := text.(type) {
		case string:
			p.files = append(p.files, folder.File{Name: name, Mode: filemode.Regular, Read: func(limit int64) ([]byte, error) {
				return []byte(text[:min(int64(len(text)), limit)]), nil
			}})
		case nil:
			if !p.partial {
				return files.Refuse(at, "is null, which takes a file away, with partial: true; leave it out")
			}
			p.removed = append(p.removed, path)
		default:
			return files.WrongType(at, text, "what the file holds, a string")
		}
	}
	return nil
}
