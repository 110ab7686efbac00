package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"text/template"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func init() {
	options := fleetOptions{definitions: 1000, targets: 1, namespaces: 10, clusters: []string{"production"}, copies: riches}
	register("cold-sync-rich", cold("cold-sync-rich", 5, options))
}

// riches are copies that are more than their values, in turn.
var riches = []richCopy{
	{ // a text made of keys, a field of JSON, bytes
		value: func(i int) map[string]any {
			return map[string]any{
				"username": fmt.Sprintf("app-%d", i), "password": fmt.Sprintf("correct/horse battery+staple@%d", i), "unused": "x",
				"settings": map[string]any{"server": map[string]any{"port": 5000 + i}}, "keystore": base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xff, byte(i)}, 512)),
			}
		},
		yaml: `labels: {team: payments, tier: gold}
data:
  DATABASE_URL: {template: '` + databaseURL + `'}
  port: {key: settings, field: server.port}
  keystore.p12: {key: keystore, decode: base64}
`,
		compose: func(v map[string]any) (*core.Secret, error) {
			url, err := render(databaseURL, v)
			if err != nil {
				return nil, err
			}
			keystore, err := base64.StdEncoding.DecodeString(v["keystore"].(string))
			if err != nil {
				return nil, err
			}
			port := v["settings"].(map[string]any)["server"].(map[string]any)["port"].(json.Number)
			return &core.Secret{
				ObjectMeta: meta.ObjectMeta{Labels: map[string]string{"team": "payments", "tier": "gold"}},
				Data:       map[string][]byte{"DATABASE_URL": url, "port": []byte(port), "keystore.p12": keystore},
			}, nil
		},
	},
	{ // a pair that is parsed and compared
		value: func(int) map[string]any {
			certificate, key := pair()
			return map[string]any{"certificate": certificate, "private_key": key}
		},
		yaml: "type: kubernetes.io/tls\nlabels: {team: web}\ndata:\n  tls.crt: {key: certificate}\n  tls.key: {key: private_key}\n",
		compose: func(v map[string]any) (*core.Secret, error) {
			certificate, key := []byte(v["certificate"].(string)), []byte(v["private_key"].(string))
			if _, err := tls.X509KeyPair(certificate, key); err != nil {
				return nil, err
			}
			return &core.Secret{
				ObjectMeta: meta.ObjectMeta{Labels: map[string]string{"team": "web"}},
				Type:       core.SecretTypeTLS, Data: map[string][]byte{"tls.crt": certificate, "tls.key": key},
			}, nil
		},
	},
	{ // a credential of a registry
		value: func(i int) map[string]any {
			return map[string]any{"server": "registry.example.com", "username": fmt.Sprintf("ci-%d", i), "password": fmt.Sprintf("p:%d", i)}
		},
		yaml: "type: kubernetes.io/dockerconfigjson\nlabels: {team: build}\nannotations: {example.com/owner: build}\n",
		compose: func(v map[string]any) (*core.Secret, error) {
			username, password := v["username"].(string), v["password"].(string)
			content, err := json.Marshal(map[string]any{"auths": map[string]any{v["server"].(string): map[string]string{
				"username": username, "password": password, "auth": base64.StdEncoding.EncodeToString([]byte(username + ":" + password)),
			}}})
			if err != nil {
				return nil, err
			}
			return &core.Secret{
				ObjectMeta: meta.ObjectMeta{Labels: map[string]string{"team": "build"}, Annotations: map[string]string{"example.com/owner": "build"}},
				Type:       core.SecretTypeDockerConfigJson, Data: map[string][]byte{core.DockerConfigJsonKey: content},
			}, nil
		},
	},
	{ // a file of several lines, in a type of one's own
		value: func(i int) map[string]any {
			return map[string]any{"username": fmt.Sprintf("app-%d", i), "password": fmt.Sprintf("correct horse battery staple %d", i), "host": "db.example.com"}
		},
		yaml: "type: example.com/credentials\nlabels: {team: data}\nannotations: {reloader.stakater.com/match: \"true\"}\ndata:\n  username: {key: username}\n  application.ini:\n    template: |\n" + indented(applicationINI),
		compose: func(v map[string]any) (*core.Secret, error) {
			file, err := render(applicationINI, v)
			if err != nil {
				return nil, err
			}
			return &core.Secret{
				ObjectMeta: meta.ObjectMeta{Labels: map[string]string{"team": "data"}, Annotations: map[string]string{"reloader.stakater.com/match": "true"}},
				Type:       "example.com/credentials", Data: map[string][]byte{"username": []byte(v["username"].(string)), "application.ini": file},
			}, nil
		},
	},
}

// richCopy is a copy that is more than its value.
type richCopy struct {
	value func(i int) map[string]any
	yaml  string // what its definition says besides
	// compose is what a program of its own would do to make the Secret of the value.
	compose func(map[string]any) (*core.Secret, error)
}

const (
	databaseURL    = `postgres://{{ .username | urlquery }}:{{ .password | urlquery }}@db/app`
	applicationINI = "[database]\nhost = {{ .host }}\nuser = {{ .username }}\npassword = {{ printf \"%q\" .password }}\ntrace = {{ eq .host \"localhost\" }}\n"
)

func indented(text string) string {
	return "      " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n      ") + "\n"
}

// render makes a text of a template, compiled each time, since each definition has one
// of its own.
func render(text string, value map[string]any) ([]byte, error) {
	t, err := template.New("").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, value)
	return out.Bytes(), err
}

// pair makes a certificate and its key, once.
var pair = sync.OnceValues(func() (certificate, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, DNSNames: []string{"web.example.com"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		panic(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
})
