// Package cloudsqlconn stands in for the connections to databases in Google's cloud. Vault's database plugins use it, of which
// this Vault has none.
package cloudsqlconn

type Option any

type DialOption any

func WithIAMAuthN() Option { return nil }

func WithCredentialsJSON([]byte) Option { return nil }

func WithDefaultDialOptions(...DialOption) Option { return nil }

func WithPrivateIP() DialOption { return nil }

func WithPSC() DialOption { return nil }
