// Package option stands in for the options of Google's clients, none of which is in this Vault.
package option

type ClientOption any

func WithUserAgent(string) ClientOption { return nil }
