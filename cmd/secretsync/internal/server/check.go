package server

import (
	"fmt"
	"log/slog"
	"time"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/cmd/secretsync/internal/datafolder"
	"secretsync/cmd/secretsync/internal/keystore"
	"secretsync/httpapi/listen"
)

// Check reads what the server does not start without, beside its configuration, as far as that can be had without starting:
// whether the data folder is one that this version knows, the hash key, and the certificates. That by which it knows other
// replicas has to be one that they take.
func Check(cfg *config.Config) error {
	if err := datafolder.Check(cfg.DataDir); err != nil {
		return err
	}
	if cfg.HashKeyFile != "" {
		if _, err := keystore.ReadHashKey(cfg.HashKeyFile); err != nil {
			return err
		}
	}
	log := slog.New(slog.DiscardHandler)
	if cfg.TLSCert != "" {
		if _, err := listen.OpenCertificate(cfg.TLSCert, cfg.TLSKey, log, time.Now); err != nil {
			return fmt.Errorf("tls: %w", err)
		}
	}
	if in := cfg.Replicas; in != nil {
		pair, err := listen.OpenPair(in.CertFile, in.KeyFile, in.CAFile, log, time.Now)
		if err != nil {
			return fmt.Errorf("replicas: %w", err)
		}
		if err := pair.Check(); err != nil {
			return fmt.Errorf("replicas: other replicas will not let this one in, nor ask it: %s, with the authority of %s: %w", in.CertFile, in.CAFile, err)
		}
	}
	return nil
}
