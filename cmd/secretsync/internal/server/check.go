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
	if cfg.TLSCert != "" {
		if _, err := certificate(cfg.TLSCert, cfg.TLSKey); err != nil {
			return fmt.Errorf("tls: %w", err)
		}
	}
	if cfg.Replicas != nil {
		if err := checkPair(cfg.Replicas); err != nil {
			return fmt.Errorf("replicas: %w", err)
		}
	}
	return nil
}

func checkPair(in *config.Replicas) (err error) {
	pair := listen.Pair{Now: time.Now}
	if pair.Own, err = certificate(in.CertFile, in.KeyFile); err != nil {
		return err
	}
	if pair.Authority, err = listen.OpenAuthority(in.CAFile, slog.New(slog.DiscardHandler), time.Now); err != nil {
		return err
	}
	if err := pair.Check(); err != nil {
		return fmt.Errorf("other replicas will not let this one in, nor ask it: %s, with the authority of %s: %w", in.CertFile, in.CAFile, err)
	}
	return nil
}

func certificate(certFile, keyFile string) (*listen.Certificate, error) {
	return listen.OpenCertificate(certFile, keyFile, slog.New(slog.DiscardHandler), time.Now)
}
