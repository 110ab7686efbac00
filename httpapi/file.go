package httpapi

import (
	"context"
	"errors"
	"net/http"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/render"
)

// FileReader reads the text of a definition at any commit; see
// [gitstore.Repository.File] for the errors.
type FileReader interface {
	File(ctx context.Context, name definition.Name, rev string) (gitstore.File, error)
}

// getFile answers with a definition as people write it, comments and all: at HEAD, or
// with ?at= as any commit has it, also where it is no definition any more.
func (s *Server) getFile(x *exchange) (*answer, error) {
	name, err := x.definitionName()
	if err != nil {
		return nil, err
	}
	query, err := x.query()
	if err != nil {
		return nil, err
	}
	rev := "HEAD"
	if query.Has("at") {
		rev = query.Get("at")
	}
	if _, err := x.snapshot(); err != nil {
		return nil, err
	}
	file, err := x.tenant.Repository.File(x.r.Context(), name, rev)
	if errors.Is(err, gitstore.ErrUnavailable) {
		return nil, unreadable(err)
	}
	if err != nil {
		return nil, err
	}
	b := render.String([]byte(`{"path":`), file.Path)
	b = render.Name(append(b, `,"commit":`...), file.Commit)
	b = render.String(append(b, `,"content":`...), string(file.Text))
	return &answer{status: http.StatusOK, body: append(b, "}\n"...)}, nil
}
