package forge

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// bitbucket is the REST API of Bitbucket Cloud, version 2.0:
// https://developer.atlassian.com/cloud/bitbucket/rest/
type bitbucket struct {
	*api
	repo     string
	fullName string

	mu   sync.Mutex
	full map[string]string // ids of commits, by their abbreviation
}

func newBitbucket(a *api, at project) (*bitbucket, error) {
	workspace, name, err := at.ownerAndName()
	if err != nil {
		return nil, err
	}
	a.authorize = func(h http.Header, token string) {
		if strings.Contains(token, ":") { // an API token with its owner's address; access tokens stand alone
			h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(token)))
			return
		}
		bearer(h, token)
	}
	return &bitbucket{
		api: a, repo: "/repositories/" + segment(workspace) + "/" + segment(name), fullName: workspace + "/" + name,
		full: map[string]string{},
	}, nil
}

func (*bitbucket) limits() limits { return limits{description: 255, body: 32768} }

// mark is a link that is nowhere used: Bitbucket shows comments of HTML.
func (*bitbucket) mark(marker string) string { return "[//]: # (secretsync: " + marker + ")\n" }

type bitbucketStatus struct {
	Key         string `json:"key"`
	State       string `json:"state"` // SUCCESSFUL, FAILED, INPROGRESS, STOPPED
	Name        string `json:"name"`
	URL         string `json:"url"`
	Description string `json:"description"`
	Refname     string `json:"refname,omitempty"` // ties it to the pull request of that branch
}

var bitbucketStates = map[State]string{Pending: "INPROGRESS", Success: "SUCCESSFUL", Failure: "FAILED", Broken: "FAILED"}

func (b *bitbucket) setStatus(ctx context.Context, commit string, pull *Pull, s Status) error {
	status := bitbucketStatus{bitbucketKey(s.Context), bitbucketStates[s.State], s.Context, s.URL, s.Description, ""}
	if pull != nil {
		status.Refname = pull.Head.Name
	}
	return b.send(ctx, whatStatus, http.MethodPost, b.repo+"/commit/"+commit+"/statuses/build", nil, status, nil)
}

// bitbucketKey is what a status is known by, which has at most 40 characters.
func bitbucketKey(context string) string {
	if len(context) <= 40 {
		return context
	}
	sum := sha256.Sum256([]byte(context))
	return context[:31] + "-" + hex.EncodeToString(sum[:4])
}

type bitbucketPull struct {
	ID          int               `json:"id"`
	Title       string            `json:"title"`
	State       string            `json:"state"` // OPEN, MERGED, DECLINED, SUPERSEDED
	Source      bitbucketEnd      `json:"source"`
	Destination bitbucketEnd      `json:"destination"`
	MergeCommit *bitbucketHash    `json:"merge_commit"`
	Links       map[string]anchor `json:"links"`
}

type (
	bitbucketEnd struct {
		Branch struct {
			Name string `json:"name"`
		} `json:"branch"`
		Commit     bitbucketHash `json:"commit"`
		Repository *struct {
			FullName string `json:"full_name"`
		} `json:"repository"` // nil: it was deleted
	}
	bitbucketHash struct {
		Hash string `json:"hash"` // the first 12 digits
	}
	anchor struct {
		Href string `json:"href"`
	}
	bitbucketPage[T any] struct {
		Values []T    `json:"values"`
		Next   string `json:"next"` // there is a further page
	}
)

func (b *bitbucket) pullOf(ctx context.Context, p *bitbucketPull) (Pull, error) {
	pull := Pull{
		Number: p.ID, Title: p.Title, URL: p.Links["html"].Href, State: Open,
		Head: Branch{Name: p.Source.Branch.Name}, Base: p.Destination.Branch.Name,
		Fork: p.Source.Repository == nil || !strings.EqualFold(p.Source.Repository.FullName, b.fullName),
	}
	if !pull.Fork {
		pull.FetchRef = "refs/heads/" + pull.Head.Name
	}
	switch p.State {
	case "MERGED":
		pull.State = Merged
	case "DECLINED", "SUPERSEDED":
		pull.State = Closed
	}
	var err error
	if pull.Head.Commit, err = b.inFull(ctx, p.Source.Commit.Hash); err != nil {
		return Pull{}, err
	}
	if p.MergeCommit != nil {
		pull.Merged, err = b.inFull(ctx, p.MergeCommit.Hash)
	}
	return pull, err
}

// inFull returns the whole id of a commit. Bitbucket abbreviates it in a pull
// request.
func (b *bitbucket) inFull(ctx context.Context, hash string) (string, error) {
	if commitID.MatchString(hash) {
		return hash, nil
	}
	b.mu.Lock()
	known := b.full[hash]
	b.mu.Unlock()
	if known != "" {
		return known, nil
	}
	var commit bitbucketHash
	err := b.send(ctx, "read a commit", http.MethodGet, b.repo+"/commit/"+segment(hash), url.Values{"fields": {"hash"}}, nil, &commit)
	if err != nil {
		return "", err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	remember(b.full, hash, commit.Hash)
	return commit.Hash, nil
}

func (b *bitbucket) pullsOf(ctx context.Context, list []bitbucketPull) (pulls []Pull, err error) {
	pulls = make([]Pull, len(list))
	for i := range list {
		if pulls[i], err = b.pullOf(ctx, &list[i]); err != nil {
			return nil, err
		}
	}
	return pulls, nil
}

func (b *bitbucket) pulls(ctx context.Context, number int) ([]Pull, bool, error) {
	list, _, err := page[bitbucketPage[bitbucketPull]](ctx, b.api, whatPulls, b.repo+"/pullrequests", url.Values{
		"state": {"OPEN"}, "sort": {"-updated_on"}, "pagelen": {"50"}, "page": {strconv.Itoa(number)},
	})
	if err != nil {
		return nil, false, err
	}
	pulls, err := b.pullsOf(ctx, list.Values)
	return pulls, list.Next != "", err
}

func (b *bitbucket) pull(ctx context.Context, number int) (Pull, error) {
	var p bitbucketPull
	err := b.send(ctx, whatPull, http.MethodGet, b.repo+"/pullrequests/"+strconv.Itoa(number), nil, nil, &p)
	if err != nil {
		return Pull{}, err
	}
	return b.pullOf(ctx, &p)
}

func (b *bitbucket) proposed(ctx context.Context, branch, base string) (Pull, bool, error) {
	var list bitbucketPage[bitbucketPull]
	q := `state = "OPEN" AND source.branch.name = ` + bitbucketQuote(branch) + ` AND destination.branch.name = ` + bitbucketQuote(base)
	err := b.send(ctx, whatPulls, http.MethodGet, b.repo+"/pullrequests", url.Values{"q": {q}}, nil, &list)
	if err != nil {
		return Pull{}, false, err
	}
	pulls, err := b.pullsOf(ctx, list.Values)
	return find(pulls, branch, base, err)
}

// bitbucketQuote writes a string of its query language; no branch has a quote or
// a backslash that would end it (git check-ref-format forbids the backslash).
func bitbucketQuote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

func (b *bitbucket) propose(ctx context.Context, p Proposal) (Pull, error) {
	end := func(branch string) map[string]any { return map[string]any{"branch": map[string]string{"name": branch}} }
	var made bitbucketPull
	err := b.send(ctx, whatPropose, http.MethodPost, b.repo+"/pullrequests", nil, map[string]any{
		"title": p.Title, "description": p.Body, "source": end(p.Branch), "destination": end(p.Base), "close_source_branch": true,
	}, &made)
	if err != nil {
		return Pull{}, err
	}
	return b.pullOf(ctx, &made)
}

func (b *bitbucket) close(ctx context.Context, number int) error {
	return b.send(ctx, whatClose, http.MethodPost, b.repo+"/pullrequests/"+strconv.Itoa(number)+"/decline", nil, nil, nil)
}

type bitbucketComment struct {
	ID      int64 `json:"id"`
	Deleted bool  `json:"deleted"`
	Content struct {
		Raw string `json:"raw"`
	} `json:"content"`
	User struct {
		UUID string `json:"uuid"`
	} `json:"user"`
}

func bitbucketContent(body string) any {
	return map[string]any{"content": map[string]string{"raw": body}}
}

func (b *bitbucket) commentsPath(number int) string {
	return b.repo + "/pullrequests/" + strconv.Itoa(number) + "/comments"
}

func (b *bitbucket) comments(ctx context.Context, number, at int) ([]comment, bool, error) {
	var list bitbucketPage[bitbucketComment]
	err := b.send(ctx, whatComments, http.MethodGet, b.commentsPath(number),
		url.Values{"sort": {"created_on"}, "pagelen": {"100"}, "page": {strconv.Itoa(at)}}, nil, &list)
	var comments []comment
	for _, c := range list.Values {
		if !c.Deleted { // what is deleted stays in the list
			comments = append(comments, comment{strconv.FormatInt(c.ID, 10), c.User.UUID, c.Content.Raw})
		}
	}
	return comments, list.Next != "", err
}

func (b *bitbucket) comment(ctx context.Context, number int, body string) (string, error) {
	var made bitbucketComment
	err := b.send(ctx, whatComment, http.MethodPost, b.commentsPath(number), nil, bitbucketContent(body), &made)
	return strconv.FormatInt(made.ID, 10), err
}

func (b *bitbucket) edit(ctx context.Context, number int, id, body string) error {
	return b.send(ctx, whatComment, http.MethodPut, b.commentsPath(number)+"/"+id, nil, bitbucketContent(body), nil)
}

func (b *bitbucket) self(ctx context.Context) (string, error) {
	var user struct {
		UUID string `json:"uuid"`
	}
	err := b.send(ctx, whatSelf, http.MethodGet, "/user", nil, nil, &user)
	return user.UUID, err
}
