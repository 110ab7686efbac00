package tenants

import (
	"context"

	"secretsync/gitstore"
	"secretsync/gitstore/operation"
	"secretsync/httpapi/githttp/prereceive"
	"secretsync/httpapi/hooks"
	"secretsync/reconcile/proposal"
)

// Tenant is one tenant the server answers for.
type Tenant struct {
	Name        gitstore.TenantName
	DisplayName string // empty: the name
	Repository  Repository
	// Clone is how stock git gets and changes the repository; nil: not from here,
	// because it has a remote.
	Clone *Clone
	// Proposals has writes become pull requests; nil: there is no forge to open one at.
	Proposals Proposer
	// ProposeOnly: every write through the API becomes one, asked for or not.
	ProposeOnly bool
	// Hook takes what the forge of the repository sends; nil: nothing is expected.
	Hook *hooks.Hook
}

// Clone is how a tenant's repository is served to stock git.
type Clone struct {
	Folder string // the bare repository
	Rules  prereceive.Rules
}

// Proposer has changes be pull requests, and tells what became of them. It is a
// *[proposal.Keeper].
type Proposer interface {
	Propose(context.Context, gitstore.Attribution, operation.Handling, ...operation.Operation) (*proposal.Proposal, []operation.Written, error)
	List(context.Context) (list []proposal.Proposal, failing, err error)
}
