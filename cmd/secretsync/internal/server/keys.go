package server

import (
	"context"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/cmd/secretsync/internal/datafolder"
	"secretsync/cmd/secretsync/internal/keystore"
	"secretsync/httpapi"
	"secretsync/httpapi/apikey"
)

// keyring is what the program knows of keys: those that the API made, the key of the
// hashes, and whoever follows what other servers do to them.
type keyring struct {
	api    httpapi.KeyStore
	hash   []byte
	shared *keystore.Cluster // nil: nobody else has them
}

// run follows what other servers do to the keys, until ctx ends.
func (k *keyring) run(ctx context.Context) error {
	if k.shared == nil {
		return nil
	}
	return k.shared.Run(ctx)
}

// openKeys reads all keys from where the configuration says that they are. While that is
// a cluster which can't be asked, it waits.
func (p *Program) openKeys(ctx context.Context, cfg *config.Config) (k keyring, err error) {
	if cfg.HashKeyFile != "" {
		if k.hash, err = keystore.ReadHashKey(cfg.HashKeyFile); err != nil {
			return k, err
		}
	}
	if cfg.Keys == config.KeysInFolder {
		if k.hash == nil {
			if k.hash, err = keystore.FolderHashKey(cfg.DataDir); err != nil {
				return k, err
			}
		}
		k.api, err = apikey.OpenStore(datafolder.Keys(cfg.DataDir))
		return k, err
	}
	client, err := cfg.Home.Client()
	if err != nil {
		return k, err
	}
	secrets := client.CoreV1().Secrets(cfg.Home.Namespace)
	err = p.await(ctx, cfg, func(ctx context.Context) (err error) {
		if k.hash == nil {
			if k.hash, err = keystore.ClusterHashKey(ctx, secrets); err != nil {
				return err
			}
		}
		k.shared, err = keystore.Open(ctx, keystore.Config{Secrets: secrets, Log: p.log, Metrics: p.registry})
		return err
	})
	k.api = k.shared
	return k, err
}
