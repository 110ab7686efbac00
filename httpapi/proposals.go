package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"secretsync/gitstore"
	"secretsync/gitstore/forge"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/render"
	"secretsync/reconcile/proposal"
)

// Proposer has changes be pull requests, and tells what became of them. It is a
// *[proposal.Keeper].
type Proposer interface {
	Propose(context.Context, gitstore.Attribution, gitstore.Handling, ...gitstore.Operation) (*proposal.Proposal, []gitstore.Written, error)
	List(context.Context) (list []proposal.Proposal, failing, err error)
}

// proposes reports whether a write is to become a pull request: if the request asks
// for it, or the tenant's repository is written to in no other way.
func (x *exchange) proposes() (bool, error) {
	t := x.tenant
	asked := false
	if x.r.URL.RawQuery != "" {
		query, err := x.query()
		if err != nil {
			return false, err
		}
		if values, ok := query["propose"]; ok {
			switch {
			case len(values) == 1 && values[0] == "true":
				asked = true
			case len(values) != 1 || values[0] != "false":
				return false, badRequest("propose", "must be true or false, once")
			case t.ProposeOnly:
				return false, &problem{status: http.StatusConflict, sentence: fmt.Sprintf("the writes of tenant %s are proposals: leave propose=false out, or have the operator set repository.write to direct", t.Name)}
			}
		}
	}
	if !asked && !t.ProposeOnly {
		return false, nil
	}
	if t.Proposals == nil {
		return false, &problem{status: http.StatusConflict, sentence: fmt.Sprintf("the repository of tenant %s is on no forge where a pull request could be opened: write without propose, or have the operator set repository.url and repository.forge", t.Name)}
	}
	return true, nil
}

// propose has a write be a pull request, and answers with that; nil where nothing had
// to be changed.
func (x *exchange) propose(how gitstore.Handling, operations []gitstore.Operation) ([]gitstore.Written, *answer, error) {
	p, written, err := x.tenant.Proposals.Propose(x.r.Context(), x.commit(), how, operations...)
	if err != nil || p == nil {
		return written, nil, err
	}
	x.branch, x.did = p.Branch, audit.Proposed
	var warnings []string
	for _, w := range written {
		for _, claim := range w.Held {
			warnings = append(warnings, fmt.Sprintf("target %s of %s: definition %s holds this target", claim.Place, w.Name, claim.Holder))
		}
	}
	b := append(appendProposal([]byte(`{"proposal":`), p), "}\n"...)
	return nil, &answer{status: http.StatusAccepted, warnings: warn(warnings), body: b}, nil
}

func (s *Server) listProposals(x *exchange) (*answer, error) {
	b := []byte(`{"items":[`)
	if x.tenant.Proposals == nil {
		return &answer{status: http.StatusOK, body: append(b, "]}\n"...)}, nil
	}
	list, failing, err := x.tenant.Proposals.List(x.r.Context())
	if err != nil {
		return nil, err
	}
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendProposal(b, &list[i])
	}
	b = append(b, ']')
	if failing != nil {
		b = render.String(append(b, `,"problem":`...), problemWithForge(failing))
	}
	return &answer{status: http.StatusOK, body: append(b, "}\n"...)}, nil
}

// problemWithForge says in words of ours why it is not known what became of proposals:
// the error's own name the operator's network.
func problemWithForge(err error) string {
	for _, kind := range []error{forge.ErrDenied, forge.ErrNotFound, forge.ErrRefused, forge.ErrThrottled, forge.ErrUnavailable} {
		if errors.Is(err, kind) {
			return kind.Error() + "; what is told is as of before"
		}
	}
	return "branches of proposals that have ended can't be removed now"
}

func appendProposal(b []byte, p *proposal.Proposal) []byte {
	b = strconv.AppendInt(append(b, `{"number":`...), int64(p.Number), 10)
	b = render.String(append(b, `,"title":`...), p.Title)
	b = render.String(append(b, `,"url":`...), p.URL)
	b = render.String(append(b, `,"state":`...), string(p.State))
	b = render.String(append(b, `,"branch":`...), p.Branch)
	b = render.String(append(b, `,"commit":`...), p.Commit)
	b = append(b, `,"mergedAs":`...)
	if p.Merged == "" {
		b = append(b, "null"...)
	} else {
		b = render.String(b, p.Merged)
	}
	b = append(b, `,"proposedBy":`...)
	if p.Author == (gitstore.Author{}) {
		b = append(b, "null"...) // by another server
	} else {
		b = render.String(append(b, `{"name":`...), p.Author.Name)
		b = append(render.String(append(b, `,"id":`...), p.Author.ID), '}')
	}
	b = append(b, `,"proposedAt":`...)
	if p.At.IsZero() {
		b = append(b, "null"...)
	} else {
		b = render.Time(b, p.At)
	}
	return append(b, '}')
}
