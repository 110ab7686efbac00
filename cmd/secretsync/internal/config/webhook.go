package config

import (
	"secretsync/gitstore/forge"
)

// webhookFile is what a forge may send about a tenant's repository.
type webhookFile struct {
	Kind       string `yaml:"kind"`
	SecretFile string `yaml:"secretFile"`
}

// Webhook is the same, checked; its zero value: nothing is expected.
type Webhook struct {
	Kind       forge.Kind
	SecretFile string
}

// parseWebhook returns what is expected to be sent. If the file does not say by
// what kind of forge, it is that of the tenant's forge, or what the repository's
// host tells.
func (d *document) parseWebhook(field string, in *webhookFile, of Forge, url string) Webhook {
	if in == nil {
		return Webhook{}
	}
	w := Webhook{Kind: of.Kind, SecretFile: d.file(in.SecretFile)}
	if w.Kind == "" {
		w.Kind = forge.Generic
		if known, ok := forge.KindOfRepository(url); ok {
			w.Kind = known
		}
	}
	if in.Kind != "" {
		kind, err := forge.ParseHookKind(in.Kind)
		if err != nil {
			d.wrong(field+".kind", "%v", err)
		}
		w.Kind = kind
	}
	d.needed(field+".secretFile", w.SecretFile, "the file that holds the secret which is entered in the forge as well")
	if w.SecretFile != "" {
		if _, err := forge.ReadSecrets(w.SecretFile); err != nil {
			d.warn(field+".secretFile", "can't be used: %v", err)
		}
	}
	return w
}
