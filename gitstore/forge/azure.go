package forge

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// azure is the REST API of Azure DevOps, version 7.1, which Azure DevOps Server
// 2022.1 and later have as well:
// https://learn.microsoft.com/en-us/rest/api/azure/devops/git/
type azure struct {
	*api
	organization string // path of the organization
	repo         string // path of the repository
	web          string // address of the repository's pages
}

func newAzure(a *api, at project) (*azure, error) {
	organization, projectName, name, err := at.azure()
	if err != nil {
		return nil, err
	}
	a.authorize = func(h http.Header, token string) {
		switch {
		case strings.HasPrefix(token, "eyJ") && strings.Count(token, ".") == 2: // of Entra ID: a JSON web token
			bearer(h, token)
		case strings.Contains(token, ":"):
			h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(token)))
		default: // a personal access token
			h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(":"+token)))
		}
	}
	g := &azure{api: a}
	for part := range strings.SplitSeq(organization, "/") {
		if part != "" {
			g.organization += "/" + segment(part)
		}
	}
	inProject := g.organization + "/" + segment(projectName)
	g.repo = inProject + "/_apis/git/repositories/" + segment(name)
	g.web = a.base + inProject + "/_git/" + segment(name)
	return g, nil
}

func (*azure) limits() limits { return limits{description: 255, body: 100_000} }

func (*azure) mark(marker string) string { return htmlMark(marker) }

// version is the query that each request needs, with more of it.
func (*azure) version(more ...string) url.Values {
	q := url.Values{"api-version": {"7.1"}}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return q
}

type azureStatus struct {
	State       string       `json:"state"` // pending, succeeded, failed, error
	Description string       `json:"description"`
	TargetURL   string       `json:"targetUrl,omitempty"`
	Context     azureContext `json:"context"`
}

type azureContext struct {
	Genre string `json:"genre,omitempty"`
	Name  string `json:"name"`
}

var azureStates = map[State]string{Pending: "pending", Success: "succeeded", Failure: "failed", Broken: "error"}

func (g *azure) setStatus(ctx context.Context, commit string, pull *Pull, s Status) error {
	status := azureStatus{azureStates[s.State], s.Description, s.URL, azureContext{Name: s.Context}}
	if genre, name, ok := strings.Cut(s.Context, "/"); ok { // a policy demands genre/name
		status.Context = azureContext{genre, name}
	}
	path := g.repo + "/commits/" + commit + "/statuses"
	if pull != nil {
		path = g.repo + "/pullRequests/" + strconv.Itoa(pull.Number) + "/statuses"
	}
	return g.send(ctx, whatStatus, http.MethodPost, path, g.version(), status, nil)
}

type azurePull struct {
	ID     int    `json:"pullRequestId"`
	Title  string `json:"title"`
	Status string `json:"status"` // active, completed, abandoned
	Source string `json:"sourceRefName"`
	Target string `json:"targetRefName"`
	Head   struct {
		ID string `json:"commitId"`
	} `json:"lastMergeSourceCommit"`
	Merge struct {
		ID string `json:"commitId"`
	} `json:"lastMergeCommit"`
	Fork *struct{} `json:"forkSource"`
}

const azureBranches = "refs/heads/"

func (g *azure) pullOf(p *azurePull) Pull {
	pull := Pull{
		Number: p.ID, Title: p.Title, URL: g.web + "/pullrequest/" + strconv.Itoa(p.ID), State: Open,
		Head: Branch{strings.TrimPrefix(p.Source, azureBranches), p.Head.ID},
		Base: strings.TrimPrefix(p.Target, azureBranches),
		Fork: p.Fork != nil,
		// Of a fork there is the merge that was tried, whose second parent is the head.
		FetchRef: p.Source,
	}
	if pull.Fork {
		pull.FetchRef = "refs/pull/" + strconv.Itoa(p.ID) + "/merge"
	}
	switch p.Status {
	case "completed":
		pull.State, pull.Merged = Merged, p.Merge.ID
	case "abandoned":
		pull.State = Closed
	}
	return pull
}

type azureList[T any] struct {
	Value []T `json:"value"`
}

func (g *azure) pullsOf(list azureList[azurePull]) []Pull {
	pulls := make([]Pull, len(list.Value))
	for i := range list.Value {
		pulls[i] = g.pullOf(&list.Value[i])
	}
	return pulls
}

func (g *azure) pulls(ctx context.Context, number int) ([]Pull, bool, error) {
	const size = 50
	list, _, err := page[azureList[azurePull]](ctx, g.api, whatPulls, g.repo+"/pullrequests", g.version(
		"searchCriteria.status", "active", "$top", strconv.Itoa(size), "$skip", strconv.Itoa((number-1)*size)))
	return g.pullsOf(list), len(list.Value) == size, err
}

func (g *azure) pull(ctx context.Context, number int) (Pull, error) {
	var p azurePull
	err := g.send(ctx, whatPull, http.MethodGet, g.repo+"/pullrequests/"+strconv.Itoa(number), g.version(), nil, &p)
	if err != nil {
		return Pull{}, err
	}
	return g.pullOf(&p), nil
}

func (g *azure) proposed(ctx context.Context, branch, base string) (Pull, bool, error) {
	var list azureList[azurePull]
	err := g.send(ctx, whatPulls, http.MethodGet, g.repo+"/pullrequests", g.version("searchCriteria.status", "active",
		"searchCriteria.sourceRefName", azureBranches+branch, "searchCriteria.targetRefName", azureBranches+base), nil, &list)
	return find(g.pullsOf(list), branch, base, err)
}

func (g *azure) propose(ctx context.Context, p Proposal) (Pull, error) {
	const maxDescription = 4000 // less than a comment may have
	var made azurePull
	err := g.send(ctx, whatPropose, http.MethodPost, g.repo+"/pullrequests", g.version(), map[string]any{
		"title": p.Title, "description": cut(p.Body, maxDescription),
		"sourceRefName": azureBranches + p.Branch, "targetRefName": azureBranches + p.Base,
	}, &made)
	if err != nil {
		return Pull{}, err
	}
	return g.pullOf(&made), nil
}

func (g *azure) close(ctx context.Context, number int) error {
	return g.send(ctx, whatClose, http.MethodPatch, g.repo+"/pullrequests/"+strconv.Itoa(number), g.version(),
		map[string]string{"status": "abandoned"}, nil)
}

// A comment is the first of a thread of its own.
type azureThread struct {
	ID       int            `json:"id"`
	Deleted  bool           `json:"isDeleted"`
	Comments []azureComment `json:"comments"`
}

type azureComment struct {
	ID      int    `json:"id"`
	Content string `json:"content"`
	Author  struct {
		ID string `json:"id"`
	} `json:"author"`
}

func (g *azure) threads(number int) string {
	return g.repo + "/pullRequests/" + strconv.Itoa(number) + "/threads"
}

// comments come all at once. The id of one is thread/comment.
func (g *azure) comments(ctx context.Context, number, _ int) ([]comment, bool, error) {
	var list azureList[azureThread]
	err := g.send(ctx, whatComments, http.MethodGet, g.threads(number), g.version(), nil, &list)
	var comments []comment
	for _, thread := range list.Value {
		if !thread.Deleted && len(thread.Comments) > 0 {
			first := thread.Comments[0]
			comments = append(comments, comment{azureID(thread.ID, first.ID), first.Author.ID, first.Content})
		}
	}
	return comments, false, err
}

func azureID(thread, comment int) string { return strconv.Itoa(thread) + "/" + strconv.Itoa(comment) }

// comment makes a thread that is closed: an open one would keep the pull request
// from being merged where a policy wants all comments resolved.
func (g *azure) comment(ctx context.Context, number int, body string) (string, error) {
	var made azureThread
	err := g.send(ctx, whatComment, http.MethodPost, g.threads(number), g.version(), map[string]any{
		"comments": []any{map[string]any{"parentCommentId": 0, "content": body, "commentType": "text"}},
		"status":   "closed",
	}, &made)
	if err != nil || len(made.Comments) == 0 {
		return "", err
	}
	return azureID(made.ID, made.Comments[0].ID), nil
}

func (g *azure) edit(ctx context.Context, number int, id, body string) error {
	thread, comment, _ := strings.Cut(id, "/")
	return g.send(ctx, whatComment, http.MethodPatch, g.threads(number)+"/"+thread+"/comments/"+comment, g.version(),
		map[string]string{"content": body}, nil)
}

func (g *azure) self(ctx context.Context) (string, error) {
	var connection struct {
		User struct {
			ID string `json:"id"`
		} `json:"authenticatedUser"`
	}
	err := g.send(ctx, whatSelf, http.MethodGet, g.organization+"/_apis/connectionData", nil, nil, &connection)
	return connection.User.ID, err
}
