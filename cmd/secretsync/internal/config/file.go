package config

import (
	"time"
)

// The shape of the configuration file. What each field means stands once, in
// examples/secretsync.yaml, which the tests load.
type (
	configFile struct {
		Listen         string                 `yaml:"listen"`
		TrustedProxies []string               `yaml:"trustedProxies"`
		MetricsListen  string                 `yaml:"metricsListen"`
		Drain          time.Duration          `yaml:"drain"`
		PublicURL      string                 `yaml:"publicURL"`
		Console        *bool                  `yaml:"console"`
		TLS            tlsFile                `yaml:"tls"`
		DataDir        string                 `yaml:"dataDir"`
		HashKeyFile    string                 `yaml:"hashKeyFile"`
		Home           homeFile               `yaml:"home"`
		Keys           keysFile               `yaml:"keys"`
		Replicas       replicasFile           `yaml:"replicas"`
		PollInterval   time.Duration          `yaml:"pollInterval"`
		MinRefresh     time.Duration          `yaml:"minRefreshInterval"`
		Selected       int                    `yaml:"selectedNamespaces"`
		Brake          brakeFile              `yaml:"brake"`
		Branch         string                 `yaml:"branch"`
		Workers        int                    `yaml:"workers"`
		Log            logFile                `yaml:"log"`
		Audit          auditFile              `yaml:"audit"`
		Telemetry      telemetryFile          `yaml:"telemetry"`
		Pprof          bool                   `yaml:"pprof"`
		Committer      committerFile          `yaml:"committer"`
		Limits         limitsFile             `yaml:"limits"`
		Git            gitFile                `yaml:"git"`
		Vault          vaultFile              `yaml:"vault"`
		Clusters       map[string]clusterFile `yaml:"clusters"`
		Tenants        map[string]tenantFile  `yaml:"tenants"`
	}
	tlsFile struct {
		CertFile string `yaml:"certFile"`
		KeyFile  string `yaml:"keyFile"`
	}
	logFile struct {
		Level  string `yaml:"level"`
		Format string `yaml:"format"`
	}
	committerFile struct {
		Name                  string `yaml:"name"`
		Email                 string `yaml:"email"`
		SigningKeyFile        string `yaml:"signingKeyFile"`
		SigningPassphraseFile string `yaml:"signingPassphraseFile"`
	}
	signaturesFile struct {
		AllowedSignersFile string `yaml:"allowedSignersFile"`
		OpenPGPKeysFile    string `yaml:"openPGPKeysFile"`
		Since              string `yaml:"since"`
	}
	limitsFile struct {
		Definitions       int     `yaml:"definitions"`
		RequestsPerSecond float64 `yaml:"requestsPerSecond"`
		Burst             int     `yaml:"burst"`
		KeyPerSecond      float64 `yaml:"keyRequestsPerSecond"`
		KeyBurst          int     `yaml:"keyBurst"`
		MirrorMiB         int     `yaml:"mirrorMiB"`
	}
	gitFile struct {
		Serve       *bool         `yaml:"serve"`
		Command     string        `yaml:"command"`
		Timeout     time.Duration `yaml:"timeout"`
		IdleTimeout time.Duration `yaml:"idleTimeout"`
		MaxPushMiB  int64         `yaml:"maxPushMiB"`
		MaxSizeMiB  int64         `yaml:"maxRepositoryMiB"`
		Runs        int           `yaml:"concurrency"`
		OfTenant    int           `yaml:"concurrencyPerTenant"`
	}
	vaultFile struct {
		Address           string        `yaml:"address"`
		CAFile            string        `yaml:"caFile"`
		ServerName        string        `yaml:"serverName"`
		ClientCertFile    string        `yaml:"clientCertFile"`
		ClientKeyFile     string        `yaml:"clientKeyFile"`
		Namespace         string        `yaml:"namespace"`
		AuthNamespace     string        `yaml:"authNamespace"`
		Mount             string        `yaml:"mount"`
		Prefix            string        `yaml:"prefix"`
		Timeout           time.Duration `yaml:"timeout"`
		Connections       int           `yaml:"connections"`
		RequestsPerSecond float64       `yaml:"requestsPerSecond"`
		Events            *bool         `yaml:"events"`
		Auth              *authFile     `yaml:"auth"`
	}
	authFile struct {
		Token      *tokenAuthFile      `yaml:"token"`
		AppRole    *appRoleAuthFile    `yaml:"appRole"`
		Kubernetes *kubernetesAuthFile `yaml:"kubernetes"`
		JWT        *jwtAuthFile        `yaml:"jwt"`
		Cert       *certAuthFile       `yaml:"cert"`
	}
	tokenAuthFile struct {
		File string `yaml:"file"`
	}
	appRoleAuthFile struct {
		Mount        string `yaml:"mount"`
		RoleID       string `yaml:"roleID"`
		SecretIDFile string `yaml:"secretIDFile"`
		Wrapped      bool   `yaml:"wrapped"`
	}
	jwtAuthFile struct {
		Mount     string `yaml:"mount"`
		Role      string `yaml:"role"`
		TokenFile string `yaml:"tokenFile"`
	}
	certAuthFile struct {
		Mount string `yaml:"mount"`
		Role  string `yaml:"role"`
	}
	kubernetesAuthFile struct {
		Mount     string `yaml:"mount"`
		Role      string `yaml:"role"`
		TokenFile string `yaml:"tokenFile"`
	}
	clusterFile struct {
		Kubeconfig        string        `yaml:"kubeconfig"`
		Context           string        `yaml:"context"`
		InCluster         bool          `yaml:"inCluster"`
		Concurrency       int           `yaml:"concurrency"`
		RequestsPerSecond float64       `yaml:"requestsPerSecond"`
		Timeout           time.Duration `yaml:"timeout"`
		ListTimeout       time.Duration `yaml:"listTimeout"`
	}
	tenantFile struct {
		DisplayName    string               `yaml:"displayName"`
		Branch         string               `yaml:"branch"`
		AllowForcePush bool                 `yaml:"allowForcePush"`
		Signatures     *signaturesFile      `yaml:"signatures"`
		Repository     repositoryFile       `yaml:"repository"`
		OnReplica      string               `yaml:"onReplica"`
		PollInterval   time.Duration        `yaml:"pollInterval"`
		Suspend        bool                 `yaml:"suspend"`
		MinRefresh     time.Duration        `yaml:"minRefreshInterval"`
		Selected       int                  `yaml:"selectedNamespaces"`
		Brake          brakeFile            `yaml:"brake"`
		Vault          vaultFile            `yaml:"vault"`
		Clusters       map[string]grantFile `yaml:"clusters"`
		Keys           []keyFile            `yaml:"keys"`
	}
	brakeFile struct {
		Copies *int     `yaml:"copies"`
		Share  *float64 `yaml:"share"`
	}
	forgeFile struct {
		Kind       string `yaml:"kind"`
		URL        string `yaml:"url"`
		Repository string `yaml:"repository"`
		TokenFile  string `yaml:"tokenFile"`
		Statuses   bool   `yaml:"statuses"`
		Checks     bool   `yaml:"checks"`
	}
	grantFile struct {
		Cluster    string   `yaml:"cluster"`
		Namespaces []string `yaml:"namespaces"`
	}
	keyFile struct {
		ID          string    `yaml:"id"`
		DisplayName string    `yaml:"displayName"`
		Role        string    `yaml:"role"`
		Hash        string    `yaml:"hash"`
		CreatedAt   time.Time `yaml:"createdAt"`
		ExpiresAt   time.Time `yaml:"expiresAt"`
	}
)
