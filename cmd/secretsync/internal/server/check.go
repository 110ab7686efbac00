package server

import (
	"crypto/tls"
	"fmt"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/cmd/secretsync/internal/datafolder"
	"secretsync/cmd/secretsync/internal/keystore"
)

// Check reads what the server does not start without, beside its configuration, as far as that can be had without starting:
// whether the data folder is one that this version knows, the hash key, and the certificate.
func Check(cfg *config.Config) error {
	if err := datafolder.Check(cfg.DataDir); err != nil {
		return err
	}
	if cfg.HashKeyFile != "" {
		if _, err := keystore.ReadHashKey(cfg.HashKeyFile); err != nil {
			return err
		}
	}
	if cfg.TLSCert != "" {
		if _, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey); err != nil {
			return fmt.Errorf("tls: certificate %s with key %s: %w", cfg.TLSCert, cfg.TLSKey, err)
		}
	}
	return nil
}
