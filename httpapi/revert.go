package httpapi

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/body"
	"secretsync/httpapi/header"
	"secretsync/httpapi/render"
)

// Reverter tells what undoes a commit, as [gitstore.Repository.Revert] does.
type Reverter interface {
	Revert(context.Context, gitstore.Revision, definition.Name, gitstore.Precondition) (gitstore.Reversal, error)
}

// revertSecret puts a definition back as it stood before a commit: the newest that
// changed it, unless the body names one. It is there then (200), or it is not (204).
func (s *Server) revertSecret(x *exchange) (*answer, error) {
	name, err := x.definitionName()
	if err != nil {
		return nil, err
	}
	precondition, err := header.Presence(x.r.Header)
	if err != nil {
		return nil, err
	}
	text, err := x.body()
	if err != nil {
		return nil, err
	}
	sha, err := parseRevert(text)
	if err != nil {
		return nil, err
	}
	_, written, proposed, err := x.revert(sha, name, precondition)
	if err != nil || proposed != nil {
		return proposed, err
	}
	if written[0].Entry == nil {
		return &answer{status: http.StatusNoContent}, nil
	}
	return s.left(x, http.StatusOK, &written[0]), nil
}

// revertCommit puts all definitions back that a commit changed, as one commit.
func (s *Server) revertCommit(x *exchange) (*answer, error) {
	undone, written, proposed, err := x.revert(x.params.ByName("sha"), definition.Name{}, gitstore.Unconditional())
	if failed, ok := errors.AsType[*gitstore.OperationError](err); ok {
		err = failed.Err // its words name the definition
	}
	if err != nil || proposed != nil {
		return proposed, err
	}
	b := render.Name([]byte(`{"reverted":`), undone)
	b = append(b, `,"commit":`...)
	if made := written[0].Commit; made.IsZero() {
		b = append(b, "null"...)
	} else {
		b = render.Name(b, made)
	}
	b = append(b, `,"items":[`...)
	var warnings []string
	for i := range written {
		if i > 0 {
			b = append(b, ',')
		}
		w, success := &written[i], http.StatusNoContent
		if w.Entry != nil {
			success = http.StatusOK
		}
		b = render.Name(append(b, `{"name":`...), w.Name)
		b = strconv.AppendInt(append(b, `,"status":`...), int64(success), 10)
		if w.Entry != nil {
			status, more := s.standing(x.tenant.Name, w)
			warnings = append(warnings, more...)
			b = render.String(append(b, `,"etag":`...), header.ETag(w.Entry.Revision))
			b = render.Secret(append(b, `,"secret":`...), w.Entry, &status)
		}
		b = append(b, '}')
	}
	return &answer{status: http.StatusOK, warnings: warn(warnings), body: append(b, "]}\n"...)}, nil
}

// revert undoes a commit that is named by its SHA or the first digits of it, or else
// is the newest that changed the definition.
func (x *exchange) revert(sha string, name definition.Name, precondition gitstore.Precondition) (undone gitstore.Revision, written []gitstore.Written, proposed *answer, err error) {
	if _, err := x.snapshot(); err != nil {
		return undone, nil, nil, err
	}
	var commit gitstore.Revision
	ctx, repository := x.r.Context(), x.tenant.Repository
	if sha != "" {
		if commit, err = repository.Lengthen(ctx, sha); err != nil {
			return undone, nil, nil, err
		}
	}
	reversal, err := repository.Revert(ctx, commit, name, precondition)
	if err != nil {
		return undone, nil, nil, err
	}
	x.operations = len(reversal.Operations)
	written, proposed, err = x.apply(reversal.Operations...)
	return reversal.Commit.Revision, written, proposed, err
}

// parseRevert reads the body of POST …/revert, which may be empty.
func parseRevert(text []byte) (sha string, err error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return "", nil
	}
	o, err := body.Parse(text)
	if err != nil {
		return "", err
	}
	if err := o.Only("commit"); err != nil {
		return "", err
	}
	return body.Optional(o, "commit", func(s string) (string, error) {
		if s == "" {
			return "", &definition.FieldError{Field: "commit", Reason: "is empty; leave it out to undo the newest change"}
		}
		return s, nil
	})
}
