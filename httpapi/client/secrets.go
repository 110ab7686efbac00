package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// ListOptions says what of a list is wanted.
type ListOptions struct {
	Summary  bool // without the statuses of the targets
	Limit    int  // 0: all at once
	Continue string
}

const (
	// pageOfAll is how many definitions [Client.AllSecrets] asks for at once.
	pageOfAll = 500
	// mostOfAll bounds them, far above what a server lets a tenant have.
	mostOfAll = 1_000_000
)

// ListSecrets returns definitions with their status, by name.
func (c *Client) ListSecrets(ctx context.Context, o ListOptions) (*SecretList, error) {
	query := url.Values{}
	if o.Summary {
		query.Set("summary", "true")
	}
	if o.Limit > 0 {
		query.Set("limit", strconv.Itoa(o.Limit))
	}
	if o.Continue != "" {
		query.Set("continue", o.Continue)
	}
	return get[SecretList](ctx, c, call{path: "/secrets", query: query})
}

// AllSecrets returns all definitions, page by page. One that is added or removed
// meanwhile may be among them or not; no other comes twice or is left out.
func (c *Client) AllSecrets(ctx context.Context, summary bool) ([]Secret, error) {
	var all []Secret
	for o := (ListOptions{Summary: summary, Limit: pageOfAll}); ; {
		page, err := c.ListSecrets(ctx, o)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Continue == "" {
			return all, nil
		}
		if page.Continue == o.Continue || len(all) > mostOfAll {
			return nil, fmt.Errorf("the list of definitions has no end: it goes on after %d of them", len(all))
		}
		o.Continue = page.Continue
	}
}

// WaitOptions says what is waited for; without For nothing is.
type WaitOptions struct {
	For     string        // a phase of a definition; "Live" of a commit
	Timeout time.Duration // at most 5 minutes; the answer then is as it stands
}

func (o WaitOptions) of(path string) call {
	query := url.Values{}
	if o.For == "" {
		return call{path: path}
	}
	query.Set("wait", o.For)
	query.Set("timeout", o.Timeout.Round(time.Millisecond).String())
	return call{path: path, query: query, wait: o.Timeout}
}

// GetSecret returns one definition, and can wait for its phase.
func (c *Client) GetSecret(ctx context.Context, name string, o WaitOptions) (*Secret, error) {
	return get[Secret](ctx, c, o.of("/secrets/"+url.PathEscape(name)))
}

// WriteOptions says how a change is to be made.
type WriteOptions struct {
	IfMatch string // the ETag that it is based on; empty: unconditional
	Absent  bool   // only if there is no definition of the name; of RevertSecret alone
	Strict  bool   // a target that another definition holds is refused
	Propose bool   // as a pull request
}

// write is the request of a change.
func (o WriteOptions) write(method, path string, in any) *call {
	of := &call{method: method, path: path, in: in, query: url.Values{}, header: http.Header{}}
	if o.IfMatch != "" {
		of.header.Set("If-Match", o.IfMatch)
	}
	if o.Absent {
		of.header.Set("If-None-Match", "*")
	}
	if o.Strict {
		of.header.Set("Prefer", "handling=strict")
	}
	if o.Propose {
		of.query.Set("propose", "true")
	}
	return of
}

// Change is what became of one definition that was written. It was proposed, and
// nothing is in force yet, where there is a Proposal.
type Change struct {
	Secret   *Secret // nil: it is gone, or proposed
	ETag     string
	Proposal *Proposal
	Warnings []string
}

// change makes a request that writes one definition.
func (c *Client) change(ctx context.Context, of *call) (*Change, error) {
	a, err := c.do(ctx, of)
	if err != nil {
		return nil, err
	}
	made := &Change{ETag: a.header.Get("Etag"), Warnings: warningsOf(a.header)}
	switch a.status {
	case http.StatusAccepted:
		made.Proposal, err = proposalOf(a, of)
	case http.StatusNoContent:
	default:
		made.Secret = new(Secret)
		err = a.decode(of, made.Secret)
	}
	if err != nil {
		return nil, err
	}
	return made, nil
}

func proposalOf(a *answer, of *call) (*Proposal, error) {
	var told struct{ Proposal *Proposal }
	if err := a.decode(of, &told); err != nil {
		return nil, err
	}
	return told.Proposal, nil
}

// CreateSecret adds a definition, given as a JSON object.
func (c *Client) CreateSecret(ctx context.Context, definition json.RawMessage, o WriteOptions) (*Change, error) {
	return c.change(ctx, o.write(http.MethodPost, "/secrets", definition))
}

// PatchSecret replaces the fields of a definition that a JSON object names.
func (c *Client) PatchSecret(ctx context.Context, name string, fields json.RawMessage, o WriteOptions) (*Change, error) {
	return c.change(ctx, o.write(http.MethodPatch, "/secrets/"+url.PathEscape(name), fields))
}

// DeleteSecret removes a definition.
func (c *Client) DeleteSecret(ctx context.Context, name string, o WriteOptions) (*Change, error) {
	return c.change(ctx, o.write(http.MethodDelete, "/secrets/"+url.PathEscape(name), nil))
}

// RevertSecret undoes what a commit did to a definition; without one, its newest
// change.
func (c *Client) RevertSecret(ctx context.Context, name, commit string, o WriteOptions) (*Change, error) {
	body := map[string]string{}
	if commit != "" {
		body["commit"] = commit
	}
	return c.change(ctx, o.write(http.MethodPost, "/secrets/"+url.PathEscape(name)+"/revert", body))
}

// SyncSecret has the vault read again now.
func (c *Client) SyncSecret(ctx context.Context, name string) (*Secret, error) {
	return ask[Secret](ctx, c, call{method: http.MethodPost, path: "/secrets/" + url.PathEscape(name) + "/sync", safe: true})
}

// SyncPath tells that the value at a path of the vault changed, so that it is read
// soon. A key with the role sync suffices.
func (c *Client) SyncPath(ctx context.Context, secretPath string) (*SyncResult, error) {
	return c.syncTenant(ctx, map[string]any{"secretPath": secretPath})
}

// SyncAll tells that any value may have changed. A key with the role sync suffices.
func (c *Client) SyncAll(ctx context.Context) (*SyncResult, error) {
	return c.syncTenant(ctx, map[string]any{"all": true})
}

func (c *Client) syncTenant(ctx context.Context, body map[string]any) (*SyncResult, error) {
	return ask[SyncResult](ctx, c, call{method: http.MethodPost, path: "/sync", in: body, safe: true})
}

// Several is what became of several definitions that were written as one commit.
type Several[T any] struct {
	Result   *T // nil: it is proposed
	Proposal *Proposal
	Warnings []string
}

func several[T any](ctx context.Context, c *Client, of *call) (*Several[T], error) {
	a, err := c.do(ctx, of)
	if err != nil {
		return nil, err
	}
	made := &Several[T]{Warnings: warningsOf(a.header)}
	if a.status == http.StatusAccepted {
		if made.Proposal, err = proposalOf(a, of); err != nil {
			return nil, err
		}
		return made, nil
	}
	made.Result = new(T)
	if err := a.decode(of, made.Result); err != nil {
		return nil, err
	}
	return made, nil
}

// MostOperations is how many operations one batch may have.
const MostOperations = 100

// BatchSecrets makes operations, all of them or none, as one commit.
func (c *Client) BatchSecrets(ctx context.Context, operations []Operation, o WriteOptions) (*Several[BatchResult], error) {
	return several[BatchResult](ctx, c, o.write(http.MethodPost, "/secrets:batch", map[string]any{"operations": operations}))
}

// RevertCommit undoes all that a commit did to definitions, as one commit.
func (c *Client) RevertCommit(ctx context.Context, sha string, o WriteOptions) (*Several[RevertResult], error) {
	return several[RevertResult](ctx, c, o.write(http.MethodPost, "/commits/"+url.PathEscape(sha)+":revert", nil))
}

// GetHistory returns the commits that changed a definition, newest first.
func (c *Client) GetHistory(ctx context.Context, name string, limit int, cursor string) (*History, error) {
	query := url.Values{}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	return get[History](ctx, c, call{path: "/secrets/" + url.PathEscape(name) + "/history", query: query})
}

// GetFile returns a definition's file as it stands in Git, comments and all; at is a
// commit, a branch or a tag, and empty for the HEAD of the followed branch.
func (c *Client) GetFile(ctx context.Context, name, at string) (*File, error) {
	query := url.Values{}
	if at != "" {
		query.Set("at", at)
	}
	return get[File](ctx, c, call{path: "/secrets/" + url.PathEscape(name) + "/file", query: query})
}

// GetTimeline returns how a definition stood since the server began, newest first.
func (c *Client) GetTimeline(ctx context.Context, name string) (*Timeline, error) {
	return get[Timeline](ctx, c, call{path: "/secrets/" + url.PathEscape(name) + "/timeline"})
}
