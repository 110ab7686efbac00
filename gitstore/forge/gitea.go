package forge

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// gitea is the REST API of Gitea and Forgejo, which is told at /swagger.v1.json
// of each. Much of it has the form of GitHub's.
type gitea struct {
	*api
	repo string
}

func newGitea(a *api, at project) (*gitea, error) {
	owner, name, err := at.ownerAndName()
	if err != nil {
		return nil, err
	}
	a.authorize = func(h http.Header, token string) { h.Set("Authorization", "token "+token) }
	return &gitea{a, "/repos/" + segment(owner) + "/" + segment(name)}, nil
}

func (*gitea) limits() limits { return limits{description: 255, body: 65536} }

func (*gitea) mark(marker string) string { return htmlMark(marker) }

func (g *gitea) setStatus(ctx context.Context, commit string, _ *Pull, s Status) error {
	return g.send(ctx, whatStatus, http.MethodPost, g.repo+"/statuses/"+commit, nil,
		hubStatus{s.State, s.Context, s.Description, s.URL}, nil)
}

func (g *gitea) pulls(ctx context.Context, number int) ([]Pull, bool, error) {
	list, more, err := page[[]hubPull](ctx, g.api, whatPulls, g.repo+"/pulls", url.Values{
		"state": {"open"}, "sort": {"recentupdate"}, "limit": {"50"}, "page": {strconv.Itoa(number)},
	})
	return hubPulls(list), more, err
}

func (g *gitea) pull(ctx context.Context, number int) (Pull, error) {
	var p hubPull
	err := g.send(ctx, whatPull, http.MethodGet, g.repo+"/pulls/"+strconv.Itoa(number), nil, nil, &p)
	if err != nil {
		return Pull{}, err
	}
	return p.pull(), nil
}

// proposed looks through all that is open: what Gitea has for a pair of branches
// finds closed ones too, and any one of several.
func (g *gitea) proposed(ctx context.Context, branch, base string) (Pull, bool, error) {
	for at := 1; at <= maxPulls/50; at++ {
		list, more, err := g.pulls(ctx, at)
		if found, ok, err := find(list, branch, base, err); ok || err != nil || !more {
			return found, ok, err
		}
	}
	return Pull{}, false, nil
}

func (g *gitea) propose(ctx context.Context, p Proposal) (Pull, error) {
	var made hubPull
	err := g.send(ctx, whatPropose, http.MethodPost, g.repo+"/pulls", nil, hubProposal{p.Title, p.Body, p.Branch, p.Base}, &made)
	if err != nil {
		return Pull{}, err
	}
	return made.pull(), nil
}

func (g *gitea) close(ctx context.Context, number int) error {
	return g.send(ctx, whatClose, http.MethodPatch, g.repo+"/pulls/"+strconv.Itoa(number), nil, stateChange{"closed"}, nil)
}

// comments come all at once.
func (g *gitea) comments(ctx context.Context, number, _ int) ([]comment, bool, error) {
	var list []hubComment
	err := g.send(ctx, whatComments, http.MethodGet, g.repo+"/issues/"+strconv.Itoa(number)+"/comments", nil, nil, &list)
	return hubComments(list), false, err
}

func (g *gitea) comment(ctx context.Context, number int, body string) (string, error) {
	var made hubComment
	err := g.send(ctx, whatComment, http.MethodPost, g.repo+"/issues/"+strconv.Itoa(number)+"/comments", nil, bodyOnly{body}, &made)
	return strconv.FormatInt(made.ID, 10), err
}

func (g *gitea) edit(ctx context.Context, _ int, id, body string) error {
	return g.send(ctx, whatComment, http.MethodPatch, g.repo+"/issues/comments/"+id, nil, bodyOnly{body}, nil)
}

func (g *gitea) self(ctx context.Context) (string, error) {
	var user struct {
		Login string `json:"login"`
	}
	err := g.send(ctx, whatSelf, http.MethodGet, "/user", nil, nil, &user)
	return user.Login, err
}
