// Package okta stands in for Okta's SDK, a single package of eleven megabytes. Vault asks Okta for a second factor if a
// login method says so; the devstack has no such method. The package has what Vault's core needs to compile: the first
// call is an error.
package okta

import (
	"context"
	"errors"
)

var errLeftOut = errors.New("second factors of Okta are left out of this Vault")

type Configuration struct{ Context context.Context }

type ConfigSetter func(*Configuration)

func NewConfiguration(...ConfigSetter) (*Configuration, error) { return nil, errLeftOut }

func WithToken(string) ConfigSetter { return nil }

func WithOrgUrl(string) ConfigSetter { return nil }

func WithCache(bool) ConfigSetter { return nil }

type APIClient struct {
	UserAPI       UserAPI
	UserFactorAPI UserFactorAPI
}

func NewAPIClient(*Configuration) *APIClient { return &APIClient{} }

func (*APIClient) GetConfig() *Configuration { return &Configuration{} }

type APIResponse struct{}

// A request is one that can't be sent.
type request[Answer any] struct{}

func (request[Answer]) Execute() (answer Answer, response *APIResponse, err error) {
	return answer, nil, errLeftOut
}

type UserAPI struct{}

func (UserAPI) ListUsers(context.Context) ListUsersRequest { return ListUsersRequest{} }

type ListUsersRequest struct{ request[[]User] }

func (r ListUsersRequest) Filter(string) ListUsersRequest { return r }

type User struct{}

func (*User) GetId() string { return "" }

type UserFactorAPI struct{}

func (UserFactorAPI) ListFactors(ctx context.Context, user string) request[[]Factor] {
	return request[[]Factor]{}
}

func (UserFactorAPI) VerifyFactor(ctx context.Context, user, factor string) request[*Verification] {
	return request[*Verification]{}
}

func (UserFactorAPI) GetFactorTransactionStatus(ctx context.Context, user, factor, transaction string) request[*Transaction] {
	return request[*Transaction]{}
}

type Factor struct{ UserFactorPush *UserFactorPush }

type UserFactorPush struct{}

func (*UserFactorPush) GetId() string { return "" }

type Verification struct{ Links any }

func (*Verification) GetFactorResult() string { return "" }

// Transaction has one field that is set, which tells the outcome.
type Transaction struct {
	UserFactorPushTransaction, UserFactorPushTransactionWaiting         *struct{}
	UserFactorPushTransactionRejected, UserFactorPushTransactionTimeout *struct{}
}
