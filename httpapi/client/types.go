package client

import (
	"encoding/json"
	"time"
)

// What the API answers, as its description says it under components.schemas. A
// pointer is nil, a time zero and a text empty where the answer has null or nothing.

// whole decodes an answer, or a part of one, and keeps it as it came. plain is the type
// of into without its methods.
func whole[plain any](b []byte, into *plain, raw *json.RawMessage) error {
	if err := json.Unmarshal(b, into); err != nil {
		return err
	}
	*raw = append(json.RawMessage(nil), b...)
	return nil
}

// Secret is a definition with its status.
type Secret struct {
	Name            string    `json:"name"`
	SecretPath      string    `json:"secretPath"`
	Sync            []Target  `json:"sync"`
	Status          Status    `json:"status"`
	ResourceVersion string    `json:"resourceVersion"`
	CreatedAt       time.Time `json:"createdAt"`

	// Raw is the answer as it came, with the fields that this version does not know.
	Raw json.RawMessage `json:"-"`
}

// UnmarshalJSON keeps the answer as it came, too.
func (s *Secret) UnmarshalJSON(b []byte) error {
	type plain Secret
	return whole(b, (*plain)(s), &s.Raw)
}

// Target is where a definition is synced to. Fields that say more of one stand in
// [Secret.Raw].
type Target struct {
	Cluster    string `json:"cluster"`
	Namespace  string `json:"namespace"`
	SecretName string `json:"secretName"` // empty: the definition's name
}

// Status is what is live of a definition.
type Status struct {
	Phase        string       `json:"phase"` // Active, Pending, Degraded, Failed
	Conditions   []Condition  `json:"conditions"`
	SyncStatuses []SyncStatus `json:"syncStatuses"` // none in a summary
}

// Condition is the state of a definition as a whole.
type Condition struct {
	Type               string    `json:"type"`
	Status             string    `json:"status"`
	Reason             string    `json:"reason"`
	Message            string    `json:"message"`
	LastTransitionTime time.Time `json:"lastTransitionTime"`
}

// SyncStatus is the state of one target.
type SyncStatus struct {
	Cluster   string `json:"cluster"`
	Namespace string `json:"namespace"`
	// NamespaceSelector is there, and Namespace empty, where a selector as a whole is
	// meant.
	NamespaceSelector json.RawMessage `json:"namespaceSelector,omitempty"`
	SecretName        string          `json:"secretName"`
	State             string          `json:"state"` // Synced, Pending, Error
	Reason            string          `json:"reason"`
	Message           string          `json:"message"`
	LastSyncTime      time.Time       `json:"lastSyncTime"`
	VaultVersion      *int            `json:"vaultVersion"`
	VaultVersions     map[string]int  `json:"vaultVersions,omitempty"` // by path, where a copy is made of several
	Restarts          []RestartStatus `json:"restarts,omitempty"`      // where the target has a restart list
	Commit            string          `json:"commit"`
	ObservedRevision  string          `json:"observedRevision"`
}

// RestartStatus is how a workload of a target's restart list stands.
type RestartStatus struct {
	Workload    string    `json:"workload"`
	State       string    `json:"state"` // Waiting, Current, Failed
	Message     string    `json:"message"`
	RestartedAt time.Time `json:"restartedAt"` // zero: not since the start of the server
}

// SecretList is one page of definitions.
type SecretList struct {
	Items    []Secret `json:"items"`
	Continue string   `json:"continue"` // empty: it is the last
}

// History is one page of a definition's commits, newest first.
type History struct {
	Items []Commit `json:"items"`
	Next  string   `json:"next"` // empty: it is the last
}

// Commit is one of the tenant's repository.
type Commit struct {
	SHA     string    `json:"sha"`
	Time    time.Time `json:"time"`
	Author  string    `json:"author"`
	Message string    `json:"message"`
	Via     string    `json:"via"` // api, git

	Raw json.RawMessage `json:"-"` // as it came
}

// UnmarshalJSON keeps the answer as it came, too.
func (c *Commit) UnmarshalJSON(b []byte) error {
	type plain Commit
	return whole(b, (*plain)(c), &c.Raw)
}

// File is a definition as it stands in Git.
type File struct {
	Path    string `json:"path"`
	Commit  string `json:"commit"` // that it was read at
	Content string `json:"content"`
}

// SyncResult is what is read again.
type SyncResult struct {
	Definitions int `json:"definitions"` // whose values are
}

// Timeline is how a definition stood since the server began, newest first.
type Timeline struct {
	Items []Moment `json:"items"`
}

// Moment is when a definition came to stand so.
type Moment struct {
	Time    time.Time `json:"time"`
	Phase   string    `json:"phase"`
	Ready   bool      `json:"ready"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
}

// CommitStatus is a commit, and whether it is live.
type CommitStatus struct {
	SHA         string              `json:"sha"`
	Time        time.Time           `json:"time"`
	Author      string              `json:"author"`
	Message     string              `json:"message"`
	Via         string              `json:"via"` // api, git
	Landed      string              `json:"landed"`
	Live        bool                `json:"live"`
	Definitions []TouchedDefinition `json:"definitions"`
	Missing     []Missing           `json:"missing"`

	Raw json.RawMessage `json:"-"` // the answer as it came
}

// UnmarshalJSON keeps the answer as it came, too.
func (s *CommitStatus) UnmarshalJSON(b []byte) error {
	type plain CommitStatus
	return whole(b, (*plain)(s), &s.Raw)
}

// TouchedDefinition is what a commit changed.
type TouchedDefinition struct {
	Path            string       `json:"path"`
	Name            string       `json:"name"`
	Change          string       `json:"change"` // Added, Changed, Removed
	Superseded      bool         `json:"superseded"`
	ResourceVersion string       `json:"resourceVersion"`
	Targets         []SyncStatus `json:"targets"`
}

// Missing is what keeps a commit from being live.
type Missing struct {
	Path       string `json:"path"`
	Name       string `json:"name"`
	Cluster    string `json:"cluster"`
	Namespace  string `json:"namespace"`
	SecretName string `json:"secretName"`
	State      string `json:"state"`
	Reason     string `json:"reason"`
	Message    string `json:"message"`
}

// Operation is one of several that are made as one commit. Of Fields, a create has
// those of the definition and a patch those that it replaces; name and op among them
// are set from Name and Op.
type Operation struct {
	Op      string // create, patch, delete
	Name    string
	IfMatch string // of patch and delete; empty: unconditional
	Fields  map[string]json.RawMessage
}

// MarshalJSON writes the operation as the API takes it.
func (o Operation) MarshalJSON() ([]byte, error) {
	all := make(map[string]any, len(o.Fields)+3)
	for name, value := range o.Fields {
		all[name] = value
	}
	all["op"], all["name"] = o.Op, o.Name
	if o.IfMatch != "" {
		all["ifMatch"] = o.IfMatch
	}
	return json.Marshal(all)
}

// BatchResult is what became of each operation, in order.
type BatchResult struct {
	Items []OperationResult `json:"items"`
}

// OperationResult is what one operation left.
type OperationResult struct {
	Op     string  `json:"op"` // empty in a revert
	Name   string  `json:"name"`
	Status int     `json:"status"`
	ETag   string  `json:"etag"`
	Secret *Secret `json:"secret"` // nil: it is gone
}

// RevertResult is what became of a commit that was undone.
type RevertResult struct {
	Reverted string            `json:"reverted"`
	Commit   string            `json:"commit"` // empty: nothing had to be done
	Items    []OperationResult `json:"items"`
}

// Proposal is a change that waits in a pull request for somebody to merge it.
type Proposal struct {
	Number     int       `json:"number"`
	Title      string    `json:"title"`
	URL        string    `json:"url"`
	State      string    `json:"state"` // open, merged, closed
	Branch     string    `json:"branch"`
	Commit     string    `json:"commit"`
	MergedAs   string    `json:"mergedAs"`
	ProposedBy *Holder   `json:"proposedBy"`
	ProposedAt time.Time `json:"proposedAt"`

	Raw json.RawMessage `json:"-"` // as it came
}

// UnmarshalJSON keeps the answer as it came, too.
func (p *Proposal) UnmarshalJSON(b []byte) error {
	type plain Proposal
	return whole(b, (*plain)(p), &p.Raw)
}

// Holder is a key by its name and id.
type Holder struct {
	Name string `json:"name"`
	ID   string `json:"id"`
}

// ProposalList is the proposals, newest first.
type ProposalList struct {
	Items   []Proposal `json:"items"`
	Problem string     `json:"problem"` // why it may be old
}

// PlanRequest is what a plan is asked for: To or Files.
type PlanRequest struct {
	From    string             `json:"from,omitempty"`
	To      string             `json:"to,omitempty"`
	Files   map[string]*string `json:"files"`
	Partial bool               `json:"partial,omitempty"`
}

// Plan is what a change would do. It is kept as it came, since those who show it
// have types of their own.
type Plan struct {
	Summary PlanSummary     `json:"summary"`
	Raw     json.RawMessage `json:"-"`
}

// UnmarshalJSON keeps the answer as it came.
func (p *Plan) UnmarshalJSON(b []byte) error {
	type plain Plan
	return whole(b, (*plain)(p), &p.Raw)
}

// PlanSummary counts the steps of a plan, and its new problems.
type PlanSummary struct {
	Create    int `json:"create"`
	Update    int `json:"update"`
	Move      int `json:"move"`
	Resume    int `json:"resume"`
	Stop      int `json:"stop"`
	Delete    int `json:"delete"`
	Unchanged int `json:"unchanged"`
	Held      int `json:"held"`
	Errors    int `json:"errors"`
	Warnings  int `json:"warnings"`
}

// Tenant is the tenant and what it depends on as a whole.
type Tenant struct {
	Name            string            `json:"name"`
	DisplayName     string            `json:"displayName"`
	ResourceVersion string            `json:"resourceVersion"`
	CreatedAt       time.Time         `json:"createdAt"`
	Repository      *RemoteRepository `json:"repository"` // nil: it is with the server
	Status          TenantStatus      `json:"status"`
}

// RemoteRepository is a repository that is on another server.
type RemoteRepository struct {
	URL       string    `json:"url"`
	FetchedAt time.Time `json:"fetchedAt"`
	Problem   string    `json:"problem"`
}

// TenantStatus is how the tenant is as a whole.
type TenantStatus struct {
	Phase    string   `json:"phase"`
	Problems []string `json:"problems"`
}

// Cluster is one that is registered for the tenant.
type Cluster struct {
	Name   string        `json:"name"`
	Status ClusterStatus `json:"status"`

	Raw json.RawMessage `json:"-"` // as it came
}

// UnmarshalJSON keeps the answer as it came, too.
func (c *Cluster) UnmarshalJSON(b []byte) error {
	type plain Cluster
	return whole(b, (*plain)(c), &c.Raw)
}

// ClusterStatus is whether it is reached.
type ClusterStatus struct {
	Phase             string `json:"phase"` // Running, Unreachable
	KubernetesVersion string `json:"kubernetesVersion"`
}

// ClusterList is the clusters.
type ClusterList struct {
	Items []Cluster `json:"items"`
}

// KeyRequest asks for a key.
type KeyRequest struct {
	DisplayName string     `json:"displayName"`
	Role        string     `json:"role"`
	ExpiresAt   *time.Time `json:"expiresAt,omitempty"`
}

// Key is an API key of the tenant, without the key itself.
type Key struct {
	ID           string    `json:"id"`
	DisplayName  string    `json:"displayName"`
	Role         string    `json:"role"`
	CreatedBy    string    `json:"createdBy"`
	CreatedByKey string    `json:"createdByKey"`
	CreatedAt    time.Time `json:"createdAt"`
	LastUsedAt   time.Time `json:"lastUsedAt"`
	ExpiresAt    time.Time `json:"expiresAt"`

	Raw json.RawMessage `json:"-"` // as it came
}

// UnmarshalJSON keeps the answer as it came, too.
func (k *Key) UnmarshalJSON(b []byte) error {
	type plain Key
	return whole(b, (*plain)(k), &k.Raw)
}

// NewKey is a key with the key itself, which can't be had again.
type NewKey struct {
	Key
	Plaintext string `json:"key"`
}

// UnmarshalJSON reads both parts. Nothing is kept as it came.
func (n *NewKey) UnmarshalJSON(b []byte) error {
	var own struct{ Key string }
	if err := json.Unmarshal(b, &own); err != nil {
		return err
	}
	if err := json.Unmarshal(b, &n.Key); err != nil {
		return err
	}
	n.Plaintext, n.Raw = own.Key, nil
	return nil
}

// KeyList is the keys.
type KeyList struct {
	Items []Key `json:"items"`
}

// Orphan is a copy that no definition claims any more.
type Orphan struct {
	Cluster    string `json:"cluster"`
	Namespace  string `json:"namespace"`
	SecretName string `json:"secretName"`
	Definition string `json:"definition"`
	SecretPath string `json:"secretPath"`
	Commit     string `json:"commit"`
	// Keys are those of a Secret that the definition shared; nil: all of it.
	Keys  []string `json:"keys"`
	Doubt string   `json:"doubt"` // why it is not proven to be one; it is not deleted then

	Raw json.RawMessage `json:"-"` // as it came
}

// UnmarshalJSON keeps the answer as it came, too.
func (o *Orphan) UnmarshalJSON(b []byte) error {
	type plain Orphan
	return whole(b, (*plain)(o), &o.Raw)
}

// OrphanList is the orphans, by place.
type OrphanList struct {
	Items []Orphan `json:"items"`
}

// Deletions are the copies whose deletion is held because they are too many at once.
type Deletions struct {
	ID      string    `json:"id"` // of just this list; empty: none is held
	Reason  string    `json:"reason"`
	Since   time.Time `json:"since"`
	Allowed int       `json:"allowed"` // how many go by themselves within ten minutes
	Held    []Orphan  `json:"held"`    // by place

	Raw json.RawMessage `json:"-"` // as it came
}

// UnmarshalJSON keeps the answer as it came, too.
func (d *Deletions) UnmarshalJSON(b []byte) error {
	type plain Deletions
	return whole(b, (*plain)(d), &d.Raw)
}

// Health is that the program is alive.
type Health struct {
	Status string `json:"status"`
}

// Readiness is whether requests should be sent there.
type Readiness struct {
	Status                string `json:"status"`
	UnhealthyRepositories int    `json:"unhealthyRepositories"`
	OpeningRepositories   int    `json:"openingRepositories"`
}
