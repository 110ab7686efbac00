// Package forwardtest makes what replicas need to know each other by: an authority and
// certificates of it. It is for tests and demonstrations; keys lie in plain files.
package forwardtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// Authority vouches for replicas.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

// Files are what one replica is given.
type Files struct{ Cert, Key, CA string }

// NewAuthority makes one.
func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := newTemplate("replicas")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &Authority{certificate, key, encode("CERTIFICATE", der)}, err
}

func newTemplate(name string) *x509.Certificate {
	serial := new(big.Int).SetBytes([]byte(rand.Text())[:16])
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(20, 0, 0),
	}
}

// Issue writes what a replica is given into a folder. What lies there is replaced.
func (a *Authority) Issue(dir string) (Files, error) {
	return a.issue(dir, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
}

// IssueFor is Issue of a certificate that is good for one end of a connection only.
func (a *Authority) IssueFor(dir string, usage x509.ExtKeyUsage) (Files, error) {
	return a.issue(dir, usage)
}

func (a *Authority) issue(dir string, usages ...x509.ExtKeyUsage) (Files, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Files{}, err
	}
	template := newTemplate("replica")
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, usages
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return Files{}, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Files{}, fmt.Errorf("a key: %w", err)
	}
	f := Files{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "ca.crt")}
	return f, errors.Join(
		os.WriteFile(f.Cert, encode("CERTIFICATE", der), 0o600),
		os.WriteFile(f.Key, encode("EC PRIVATE KEY", keyDER), 0o600),
		a.Trust(f.CA),
	)
}

// Trust writes a file that vouches for what these authorities issue.
func (a *Authority) Trust(file string, others ...*Authority) error {
	text := a.pem
	for _, other := range others {
		text = append(text[:len(text):len(text)], other.pem...)
	}
	return os.WriteFile(file, text, 0o600)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
