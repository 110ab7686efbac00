// Package transit stands in for the seal that has Vault's root key encrypted by another Vault. The devstack's Vault is sealed
// with key shares. The package has what Vault needs to compile; to configure it is an error.
package transit

import (
	"context"
	"errors"

	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
)

// Names of environment variables and settings, as in the original.
const (
	EnvTransitWrapperDisableRenewal   = "TRANSIT_WRAPPER_DISABLE_RENEWAL"
	EnvTransitWrapperKeyName          = "TRANSIT_WRAPPER_KEY_NAME"
	EnvTransitWrapperMountPath        = "TRANSIT_WRAPPER_MOUNT_PATH"
	EnvVaultTransitSealDisableRenewal = "VAULT_TRANSIT_SEAL_DISABLE_RENEWAL"
	EnvVaultTransitSealKeyName        = "VAULT_TRANSIT_SEAL_KEY_NAME"
	EnvVaultTransitSealMountPath      = "VAULT_TRANSIT_SEAL_MOUNT_PATH"
)

// A Wrapper has no method that works.
type Wrapper struct{ wrapping.Wrapper }

func NewWrapper() *Wrapper { return &Wrapper{} }

func (*Wrapper) SetConfig(context.Context, ...wrapping.Option) (*wrapping.WrapperConfig, error) {
	return nil, errors.New("the seal transit is left out of this Vault")
}

func WithKeyIdPrefix(string) wrapping.Option { return ignored }

func ignored() any { return nil }
