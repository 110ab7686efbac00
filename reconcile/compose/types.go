package compose

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"regexp"

	corev1 "k8s.io/api/core/v1"
)

const (
	typeOpaque           = string(corev1.SecretTypeOpaque)
	typeDockerConfigJSON = string(corev1.SecretTypeDockerConfigJson)
	// typeBootstrapToken is that of https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens.
	typeBootstrapToken = "bootstrap.kubernetes.io/token"
)

// misfit says what data lack to be a Secret of a type, as Kubernetes and those who
// use such a Secret want it; empty: nothing, also for types of one's own.
func misfit(kind string, data map[string][]byte) string {
	switch kind {
	case string(corev1.SecretTypeTLS):
		return misfitTLS(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
	case typeDockerConfigJSON:
		content, ok := data[corev1.DockerConfigJsonKey]
		if !ok {
			return "it needs a key .dockerconfigjson, or the keys server, username and password to make one of"
		}
		return misfitDockerConfig(content)
	case string(corev1.SecretTypeDockercfg):
		var registries map[string]registry
		if content, ok := data[corev1.DockerConfigKey]; !ok || json.Unmarshal(content, &registries) != nil {
			return "it needs a key .dockercfg with a JSON object that has an object for each registry"
		}
	case string(corev1.SecretTypeBasicAuth):
		_, user := data[corev1.BasicAuthUsernameKey]
		_, password := data[corev1.BasicAuthPasswordKey]
		if !user && !password {
			return "it needs a key username or password, or both"
		}
	case string(corev1.SecretTypeSSHAuth):
		if len(data[corev1.SSHAuthPrivateKey]) == 0 {
			return "it needs a key ssh-privatekey that is not empty"
		}
	case typeBootstrapToken:
		if !tokenID.Match(data["token-id"]) || !tokenSecret.Match(data["token-secret"]) {
			return "it needs a key token-id of 6 and a key token-secret of 16 lower-case letters and digits"
		}
	}
	return ""
}

var (
	tokenID     = regexp.MustCompile(`^[a-z0-9]{6}$`)
	tokenSecret = regexp.MustCompile(`^[a-z0-9]{16}$`)
)

// misfitTLS says what is wrong with a pair. The words are ours: those of the
// library may quote what it was given.
func misfitTLS(certificate, key []byte) string {
	switch {
	case len(certificate) == 0 || len(key) == 0:
		return "it needs the keys tls.crt and tls.key"
	case !holdsCertificate(certificate):
		return "tls.crt holds no certificate in PEM form that can be read"
	case !holdsKey(key):
		return "tls.key holds no private key in PEM form that can be read without a password"
	}
	if _, err := tls.X509KeyPair(certificate, key); err != nil {
		return "tls.key is not the key of the first certificate in tls.crt"
	}
	return ""
}

func holdsCertificate(text []byte) bool {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return false
		}
		if block.Type == "CERTIFICATE" {
			_, err := x509.ParseCertificate(block.Bytes)
			return err == nil
		}
		text = rest
	}
}

func holdsKey(text []byte) bool {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return false
		}
		if isKey(block.Bytes) {
			return true
		}
		text = rest
	}
}

// isKey tries the forms in the order of how usual they are.
func isKey(der []byte) bool {
	if _, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return true
	}
	if _, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return true
	}
	_, err := x509.ParseECPrivateKey(der)
	return err == nil
}

// registry is what a docker configuration says of one registry; further members
// are allowed.
type registry struct {
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	Email    string `json:"email,omitempty"`
	Auth     []byte `json:"auth,omitempty"` // user:password; base64 in JSON
}

func misfitDockerConfig(content []byte) string {
	var config struct {
		Auths map[string]registry `json:"auths"`
	}
	if json.Unmarshal(content, &config) != nil || config.Auths == nil {
		return `.dockerconfigjson must be a JSON object with an object "auths" that has an object for each registry, as docker writes it`
	}
	return ""
}

// The keys that a registry's credential is composed of.
const (
	registryServer   = "server"
	registryUsername = "username"
	registryPassword = "password"
	registryEmail    = "email"
)

// withRegistry makes a .dockerconfigjson of the parts of a registry's credential,
// where they are there and it is not.
func withRegistry(data map[string][]byte) map[string][]byte {
	_, whole := data[corev1.DockerConfigJsonKey]
	server, named := data[registryServer]
	username, known := data[registryUsername]
	password, secret := data[registryPassword]
	if whole || !named || !known || !secret {
		return data
	}
	auth := append(append(append([]byte{}, username...), ':'), password...)
	content, err := encodeJSON(map[string]map[string]map[string]string{"auths": {string(server): withoutEmpty(map[string]string{
		"username": string(username), "password": string(password), "email": string(data[registryEmail]),
		"auth": base64.StdEncoding.EncodeToString(auth),
	})}})
	if err != nil {
		return data
	}
	composed := maps.Clone(data)
	for _, part := range []string{registryServer, registryUsername, registryPassword, registryEmail} {
		delete(composed, part)
	}
	composed[corev1.DockerConfigJsonKey] = content
	return composed
}

func withoutEmpty(m map[string]string) map[string]string {
	maps.DeleteFunc(m, func(_, v string) bool { return v == "" })
	return m
}
