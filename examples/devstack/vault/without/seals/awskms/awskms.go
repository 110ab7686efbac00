// Package awskms stands in for the seal that has Vault's root key encrypted by AWS's key management. The devstack's Vault is sealed
// with key shares. The package has what Vault needs to compile; to configure it is an error.
package awskms

import (
	"context"
	"errors"

	"github.com/hashicorp/go-hclog"
	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
)

// Names of environment variables and settings, as in the original.
const (
	EnvAwsKmsWrapperKeyId   = "AWSKMS_WRAPPER_KEY_ID"
	EnvVaultAwsKmsSealKeyId = "VAULT_AWSKMS_SEAL_KEY_ID"
)

// A Wrapper has no method that works.
type Wrapper struct{ wrapping.Wrapper }

func NewWrapper() *Wrapper { return &Wrapper{} }

func (*Wrapper) SetConfig(context.Context, ...wrapping.Option) (*wrapping.WrapperConfig, error) {
	return nil, errors.New("the seal awskms is left out of this Vault")
}

// The options below are given to other wrappers too, which pass over what they do not know.

func WithLogger(hclog.Logger) wrapping.Option { return ignored }

func WithDisallowEnvVars(bool) wrapping.Option { return ignored }

func ignored() any { return nil }
