package listen

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// issued is a certificate with its key.
type issued struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// by makes a certificate that ends on a day after start; without an issuer it is an authority's.
func (from *issued) by(t *testing.T, start time.Time, day int, usages ...x509.ExtKeyUsage) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "from", SerialNumber: rand.Text()},
		NotBefore: start, NotAfter: start.AddDate(0, 0, day), ExtKeyUsage: usages,
		IsCA: usages == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	made := &issued{template, key}
	if from == nil {
		from = made
	}
	der, err := x509.CreateCertificate(rand.Reader, template, from.Certificate, &key.PublicKey, from.key)
	if err != nil {
		t.Fatal(err)
	}
	if made.Certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return made
}

func write(t *testing.T, file string, certificates ...*issued) {
	t.Helper()
	var text []byte
	for _, c := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestACertificateEndsWithTheFirstThatItNeeds(t *testing.T) {
	start := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	root, brief := (*issued)(nil).by(t, start, 100), (*issued)(nil).by(t, start, 5)
	between := root.by(t, start, 20)
	for name, tt := range map[string]struct {
		presented, authority []*issued
		alone, amongReplicas int // days after start
	}{
		"its own":                                {[]*issued{root.by(t, start, 30, both...)}, []*issued{root}, 30, 30},
		"the one between":                        {[]*issued{between.by(t, start, 30, both...), between}, []*issued{root}, 20, 20},
		"one between that nobody needs":          {[]*issued{root.by(t, start, 30, both...), between}, []*issued{root}, 20, 30},
		"the authority's":                        {[]*issued{brief.by(t, start, 30, both...)}, []*issued{brief}, 30, 5},
		"the authority's, whose successor lasts": {[]*issued{brief.by(t, start, 30, both...)}, []*issued{brief, root}, 30, 5},
		"its own, of the successor":              {[]*issued{root.by(t, start, 30, both...)}, []*issued{brief, root}, 30, 30},
		"one of a stranger's, which is no good":  {[]*issued{root.by(t, start, 30, both...)}, []*issued{brief}, 30, 30},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			certFile, keyFile, caFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "ca.crt")
			write(t, certFile, tt.presented...)
			write(t, caFile, tt.authority...)
			der, err := x509.MarshalPKCS8PrivateKey(tt.presented[0].key)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
				t.Fatal(err)
			}
			pair, err := OpenPair(certFile, keyFile, caFile, slog.New(slog.DiscardHandler), time.Now)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := pair.Own.Ends(), start.AddDate(0, 0, tt.alone); !got.Equal(want) {
				t.Errorf("alone it ends at %v, want %v", got, want)
			}
			if got, want := pair.Ends(), start.AddDate(0, 0, tt.amongReplicas); !got.Equal(want) {
				t.Errorf("among replicas it ends at %v, want %v", got, want)
			}
		})
	}
}
