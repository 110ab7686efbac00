package exchange

import (
	"net/url"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/problem"
)

// Query parses what follows the '?'. What is not well-formed is refused: left
// out, it would be done without.
func (x *Exchange) Query() (url.Values, error) {
	values, err := url.ParseQuery(x.Request.URL.RawQuery)
	if err != nil {
		return nil, problem.BadRequest("query", "is not well-formed; write name=value pairs with '&' between them")
	}
	return values, nil
}

// DefinitionName parses the {name} of the path. A name that is none names
// nothing, so it is 404 like any other that is not there.
func (x *Exchange) DefinitionName() (definition.Name, error) {
	name, err := definition.ParseName(x.Params.ByName("name"))
	if err != nil {
		return definition.Name{}, x.NoSuch("secret", x.Params.ByName("name"))
	}
	x.Name = name
	return name, nil
}

// Entry finds the definition that the path names.
func (x *Exchange) Entry() (*catalog.Entry, error) {
	name, err := x.DefinitionName()
	if err != nil {
		return nil, err
	}
	snapshot, err := x.Snapshot()
	if err != nil {
		return nil, err
	}
	e, ok := snapshot.Get(name)
	if !ok {
		return nil, x.NoSuch("secret", name.String())
	}
	return e, nil
}

// Snapshot returns what stands at HEAD. A repository that could not be read
// since the start is not taken for an empty one.
func (x *Exchange) Snapshot() (*catalog.Snapshot, error) {
	// The health first: what was healthy then has a snapshot that was read.
	health := x.Tenant.Repository.Healthy()
	snapshot := x.Tenant.Repository.Snapshot()
	if !snapshot.Read() {
		return nil, problem.Unreadable(health)
	}
	return snapshot, nil
}

// NoSuch is the one wording of 404 for things of the tenant.
func (x *Exchange) NoSuch(kind, name string) *problem.Problem {
	return problem.NoSuch(x.Tenant.Name, kind, name)
}

// Attribution says who writes, for the commit and its trailers.
func (x *Exchange) Attribution() gitstore.Attribution {
	return gitstore.Attribution{
		Author:    gitstore.Author{Name: x.Key.DisplayName, ID: x.Key.ID},
		RequestID: x.RequestID,
	}
}
