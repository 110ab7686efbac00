package vault

import (
	"testing"
	"time"

	vaultapi "github.com/hashicorp/vault/api"
)

// Every variable that the library knows, set to what it can't read or what
// would lead astray.
func TestVariablesOfTheVaultProgramsChangeNothing(t *testing.T) {
	for _, login := range []string{"token", "approle"} {
		t.Run(login, func(t *testing.T) {
			l := &logins{}
			options := []option{l.before}
			if login == "approle" {
				options = append(options, withAppRole(2*time.Second))
			}
			stack, err := shared()
			if err != nil {
				t.Fatal(err)
			}
			w := newWorldOn(t, stack, append(options, func(w *world) {
				w.put("db", map[string]any{"a": "1"}) // with the library, before its variables are set
				for name, value := range map[string]string{
					vaultapi.EnvVaultAddress: "::nonsense", vaultapi.EnvVaultAgentAddr: "https://127.0.0.1:1", vaultapi.EnvVaultCACert: "/nonsense",
					vaultapi.EnvVaultCACertBytes: "nonsense", vaultapi.EnvVaultCAPath: "/nonsense", vaultapi.EnvVaultClientCert: "/nonsense", vaultapi.EnvVaultClientKey: "/nonsense",
					vaultapi.EnvVaultClientTimeout: "nonsense", vaultapi.EnvVaultHeaders: `{"X-Operator": "header"`, vaultapi.EnvVaultSRVLookup: "nonsense",
					vaultapi.EnvVaultSkipVerify: "nonsense", vaultapi.EnvVaultNamespace: "operators", vaultapi.EnvVaultTLSServerName: "nonsense",
					vaultapi.EnvVaultWrapTTL: "nonsense", vaultapi.EnvVaultMaxRetries: "nonsense", vaultapi.EnvVaultToken: "operators-token",
					vaultapi.EnvVaultMFA: "nonsense", vaultapi.EnvRateLimit: "nonsense", vaultapi.EnvHTTPProxy: "::nonsense", vaultapi.EnvVaultProxyAddr: "::nonsense",
					vaultapi.EnvVaultDisableRedirects: "nonsense", "VAULT_FORMAT": "nonsense", "VAULT_LOG_LEVEL": "nonsense", "BAO_TOKEN": "operators-token", "BAO_ADDR": "::nonsense",
				} {
					t.Setenv(name, value)
				}
				if _, err := vaultapi.NewClient(nil); err == nil {
					t.Error("the library's own client can be made: the variables are not nonsense enough")
				}
			})...)
			s := w.source("db")
			w.holds(s, 1)
			// Headers that the library would take, and send at the login.
			t.Setenv(vaultapi.EnvVaultHeaders, `{"X-Operator": "header"}`)
			if login == "approle" {
				w.until("a renewal", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.seen) > 4 })
			}
			w.stop()
			l.mu.Lock()
			defer l.mu.Unlock()
			for _, request := range l.seen {
				header := request.header
				if header.Get("X-Vault-Token") == "operators-token" || header.Get("X-Operator") != "" || header.Get("X-Vault-Namespace") != "" {
					t.Errorf("a request bears %v", header)
				}
			}
		})
	}
}
