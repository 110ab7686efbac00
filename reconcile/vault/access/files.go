package access

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"secretsync/reconcile/fault"
)

// podToken is where Kubernetes puts a pod's service account token.
const podToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// file is one file that a configuration names.
type file struct {
	field string // as people write it in the configuration
	path  string
}

// connectionFiles are those that decide how to connect.
func (c Config) connectionFiles() (files []file) {
	for _, f := range []file{{"caFile", c.CAFile}, {"clientCertFile", c.ClientCertFile}, {"clientKeyFile", c.ClientKeyFile}} {
		if f.path != "" {
			files = append(files, f)
		}
	}
	return files
}

// loginFiles are those that a login is made of.
func (c Config) loginFiles() (files []file) {
	switch {
	case c.TokenFile != "":
		return []file{{"tokenFile", c.TokenFile}}
	case c.AppRole != nil && c.AppRole.SecretIDFile != "":
		return []file{{"appRole.secretIDFile", c.AppRole.SecretIDFile}}
	case c.Kubernetes != nil:
		return []file{{"kubernetes.tokenFile", c.Kubernetes.tokenFile()}}
	case c.JWT != nil:
		return []file{{"jwt.tokenFile", c.JWT.TokenFile}}
	case c.Cert != nil:
		return []file{{"clientCertFile", c.ClientCertFile}, {"clientKeyFile", c.ClientKeyFile}}
	}
	return nil
}

func (k KubernetesAuth) tokenFile() string {
	if k.TokenFile != "" {
		return k.TokenFile
	}
	return podToken
}

// read returns a file's content. What is no secret or certificate at all, such
// as a disk image, is not read to its end.
func (f file) read() ([]byte, *Failure) {
	const longest = 4 << 20
	opened, err := os.Open(f.path)
	if err == nil {
		defer opened.Close()
		var content []byte
		if content, err = io.ReadAll(io.LimitReader(opened, longest)); err == nil {
			return content, nil
		}
	}
	why := "it can't be read"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		why = "it does not exist"
	case errors.Is(err, fs.ErrPermission):
		why = "the server may not read it"
	}
	return nil, Forbidden(f.field+": "+err.Error(), "the file that the tenant's vault setting %s names: %s; the operator has to mend it", f.field, why)
}

// word reads a file that holds one word, such as a token.
func (f file) word() (string, *Failure) {
	content, bad := f.read()
	if bad != nil {
		return "", bad
	}
	word := strings.TrimSpace(string(content))
	why := ""
	switch {
	case word == "":
		why = "it is empty"
	case word[0] == '{' || word[0] == '[' || word[0] == '"':
		why = "it holds JSON; put only the token or the id itself into it"
	case strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		why = "it holds more than one word of plain characters; put only the token or the id itself into it"
	default:
		return word, nil
	}
	return "", Forbidden(f.field+": "+f.path, "the file that the tenant's vault setting %s names: %s", f.field, why)
}

// Fingerprint tells whether files changed, unreadable ones included, without
// keeping what is in them. The zero value is that of no files looked at.
type Fingerprint map[string][sha256.Size]byte

// ConnectionFingerprint is that of the files that decide how to connect. It reads them.
func (c Config) ConnectionFingerprint() Fingerprint { return fingerprintOf(c.connectionFiles()) }

// LoginFingerprint is that of the files that a login is made of. It reads them.
func (c Config) LoginFingerprint() Fingerprint { return fingerprintOf(c.loginFiles()) }

func fingerprintOf(files []file) Fingerprint {
	sums := make(Fingerprint, len(files))
	for _, f := range files {
		content, bad := f.read()
		if bad != nil {
			content = []byte(bad.Message)
		}
		sums[f.field+"\x00"+f.path] = sha256.Sum256(content)
	}
	return sums
}

// Changes names the fields whose files differ from those of an earlier look.
func (f Fingerprint) Changes(before Fingerprint) (fields []string) {
	for name, sum := range f {
		if old, ok := before[name]; !ok || old != sum {
			field, _, _ := strings.Cut(name, "\x00")
			fields = append(fields, field)
		}
	}
	return fields
}

// Identity reads the certificates that a configuration names.
func (c Config) Identity() (id Identity, bad *Failure) {
	if c.CAFile != "" {
		f := file{"caFile", c.CAFile}
		content, bad := f.read()
		if bad != nil {
			return id, unreachable(bad)
		}
		id.roots = x509.NewCertPool()
		if !id.roots.AppendCertsFromPEM(content) {
			return id, unreachable(Forbidden(f.field+": "+f.path, "the file that the tenant's vault setting %s names: it holds no PEM certificate", f.field))
		}
	}
	if c.ClientCertFile != "" {
		certificate := file{"clientCertFile", c.ClientCertFile}
		cert, bad := certificate.read()
		if bad != nil {
			return id, unreachable(bad)
		}
		key, bad := file{"clientKeyFile", c.ClientKeyFile}.read()
		if bad != nil {
			return id, unreachable(bad)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return id, unreachable(Forbidden(certificate.field+": "+err.Error(), "the files that the tenant's vault settings clientCertFile and clientKeyFile name are no certificate with its key"))
		}
		id.own = &pair
	}
	return id, nil
}

// unreachable makes of a bad file the reason why the vault can't be reached.
func unreachable(f *Failure) *Failure {
	f.Reason = fault.ReasonVaultUnavailable
	return f
}
