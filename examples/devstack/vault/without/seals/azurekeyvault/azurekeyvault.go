// Package azurekeyvault stands in for the seal that has Vault's root key encrypted by Azure Key Vault. The devstack's Vault is sealed
// with key shares. The package has what Vault needs to compile; to configure it is an error.
package azurekeyvault

import (
	"context"
	"errors"

	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
)

// Names of environment variables and settings, as in the original.
const (
	EnvAzureKeyVaultWrapperKeyName   = "AZUREKEYVAULT_WRAPPER_KEY_NAME"
	EnvAzureKeyVaultWrapperVaultName = "AZUREKEYVAULT_WRAPPER_VAULT_NAME"
	EnvVaultAzureKeyVaultKeyName     = "VAULT_AZUREKEYVAULT_KEY_NAME"
	EnvVaultAzureKeyVaultVaultName   = "VAULT_AZUREKEYVAULT_VAULT_NAME"
)

// A Wrapper has no method that works.
type Wrapper struct{ wrapping.Wrapper }

func NewWrapper() *Wrapper { return &Wrapper{} }

func (*Wrapper) SetConfig(context.Context, ...wrapping.Option) (*wrapping.WrapperConfig, error) {
	return nil, errors.New("the seal azurekeyvault is left out of this Vault")
}

func WithDisallowEnvVars(bool) wrapping.Option { return ignored }

func ignored() any { return nil }
