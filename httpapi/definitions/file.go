package definitions

import (
	"errors"
	"net/http"

	"secretsync/gitstore"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/problem"
	"secretsync/httpapi/render"
)

// File answers with a definition as people write it, comments and all: at HEAD, or
// with ?at= as any commit has it, also where it is no definition any more.
func (d *Definitions) File(x *exchange.Exchange) (*exchange.Answer, error) {
	name, err := x.DefinitionName()
	if err != nil {
		return nil, err
	}
	query, err := x.Query()
	if err != nil {
		return nil, err
	}
	rev := "HEAD"
	if query.Has("at") {
		rev = query.Get("at")
	}
	if _, err := x.Snapshot(); err != nil {
		return nil, err
	}
	file, err := x.Tenant.Repository.File(x.Request.Context(), name, rev)
	if errors.Is(err, gitstore.ErrUnavailable) {
		return nil, problem.Unreadable(err)
	}
	if err != nil {
		return nil, err
	}
	b := render.String([]byte(`{"path":`), file.Path)
	b = render.Name(append(b, `,"commit":`...), file.Commit)
	b = render.String(append(b, `,"content":`...), string(file.Text))
	return &exchange.Answer{Status: http.StatusOK, Body: append(b, "}\n"...)}, nil
}
