package definitions

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/operation"
	"secretsync/httpapi/body"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/header"
	"secretsync/httpapi/render"
)

// Revert puts a definition back as it stood before a commit: the newest that
// changed it, unless the body names one. It is there then (200), or it is not (204).
func (d *Definitions) Revert(x *exchange.Exchange) (*exchange.Answer, error) {
	name, precondition, err := addressed(x, header.Presence)
	if err != nil {
		return nil, err
	}
	text, err := x.Body()
	if err != nil {
		return nil, err
	}
	sha, err := parseRevert(text)
	if err != nil {
		return nil, err
	}
	_, written, proposed, err := revert(x, sha, name, precondition)
	if err != nil || proposed != nil {
		return proposed, err
	}
	if written[0].Entry == nil {
		return &exchange.Answer{Status: http.StatusNoContent}, nil
	}
	return d.left(x, http.StatusOK, &written[0]), nil
}

// RevertCommit puts all definitions back that a commit changed, as one commit.
func (d *Definitions) RevertCommit(x *exchange.Exchange) (*exchange.Answer, error) {
	undone, written, proposed, err := revert(x, x.Params.ByName("sha"), definition.Name{}, operation.Unconditional())
	if failed, ok := errors.AsType[*operation.Error](err); ok {
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
			status, more := d.standing(x.Tenant.Name, w)
			warnings = append(warnings, more...)
			b = render.String(append(b, `,"etag":`...), header.ETag(w.Entry.Revision))
			b = render.Secret(append(b, `,"secret":`...), w.Entry, &status)
		}
		b = append(b, '}')
	}
	return &exchange.Answer{Status: http.StatusOK, Warnings: warnings, Body: append(b, "]}\n"...)}, nil
}

// revert undoes a commit that is named by its SHA or the first digits of it, or else
// is the newest that changed the definition.
func revert(x *exchange.Exchange, sha string, name definition.Name, precondition operation.Precondition) (undone catalog.Revision, written []operation.Written, proposed *exchange.Answer, err error) {
	if _, err := x.Snapshot(); err != nil {
		return undone, nil, nil, err
	}
	var commit catalog.Revision
	ctx, repository := x.Request.Context(), x.Tenant.Repository
	if sha != "" {
		if commit, err = repository.Lengthen(ctx, sha); err != nil {
			return undone, nil, nil, err
		}
	}
	reversal, err := repository.Revert(ctx, commit, name, precondition)
	if err != nil {
		return undone, nil, nil, err
	}
	x.Operations = len(reversal.Operations)
	written, proposed, err = apply(x, reversal.Operations...)
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
