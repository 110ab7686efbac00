package signature

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// An SSH signature is one of OpenSSH's PROTOCOL.sshsig. golang.org/x/crypto/ssh
// has keys and certificates, but not this form around them.

const (
	sshBegin  = "-----BEGIN SSH SIGNATURE-----"
	sshEnd    = "-----END SSH SIGNATURE-----"
	sshMagic  = "SSHSIG"
	namespace = "git" // that Git signs in
	mostSSH   = 64 << 10
)

var errSSHForm = errors.New("bears an SSH signature that can't be read")

// sshBlob is what stands between the lines, behind the magic.
type sshBlob struct {
	Version   uint32
	PublicKey []byte
	Namespace string
	Reserved  []byte
	Hash      string
	Signature []byte
}

// sshSigned is what the key signs, behind the magic.
type sshSigned struct {
	Namespace string
	Reserved  []byte
	Hash      string
	Digest    []byte
}

// signed returns what the key signs of a message; nil if the hash is none that is used.
func (b *sshBlob) signed(message []byte) []byte {
	var digest []byte
	switch b.Hash {
	case "sha256":
		sum := sha256.Sum256(message)
		digest = sum[:]
	case "sha512":
		sum := sha512.Sum512(message)
		digest = sum[:]
	default:
		return nil
	}
	return append([]byte(sshMagic), ssh.Marshal(sshSigned{b.Namespace, b.Reserved, b.Hash, digest})...)
}

// sshSignature is a signature that could be read.
type sshSignature struct {
	blob      sshBlob
	key       ssh.PublicKey // perhaps a certificate
	signature ssh.Signature
}

func parseSSH(armored []byte) (s sshSignature, err error) {
	text, begun := strings.CutPrefix(strings.TrimSpace(string(armored)), sshBegin)
	text, ended := strings.CutSuffix(text, sshEnd)
	if !begun || !ended || len(text) > mostSSH {
		return s, errSSHForm
	}
	binary, err := base64.StdEncoding.DecodeString(strings.NewReplacer("\n", "", "\r", "").Replace(text))
	if err != nil {
		return s, errSSHForm
	}
	binary, ok := bytes.CutPrefix(binary, []byte(sshMagic))
	if !ok || ssh.Unmarshal(binary, &s.blob) != nil || s.blob.Version != 1 {
		return s, errSSHForm
	}
	if s.key, err = ssh.ParsePublicKey(s.blob.PublicKey); err != nil {
		return s, errSSHForm
	}
	if ssh.Unmarshal(s.blob.Signature, &s.signature) != nil {
		return s, errSSHForm
	}
	return s, nil
}

// verify says who of the list made the signature, or why nobody did.
func (s *sshSignature) verify(list []allowed, payload []byte, when time.Time) (by string, err error) {
	if s.blob.Namespace != namespace {
		return "", fmt.Errorf("bears an SSH signature for %.40q, not for %s", s.blob.Namespace, namespace)
	}
	signed := s.blob.signed(payload)
	if signed == nil {
		return "", fmt.Errorf("bears an SSH signature with hash %.40q; sha512 and sha256 are accepted", s.blob.Hash)
	}
	line, err := s.find(list, when)
	if err != nil {
		return "", err
	}
	key := s.key
	if c, ok := key.(*ssh.Certificate); ok {
		key = c.Key
	}
	if err := acceptable(key); err != nil {
		return "", fmt.Errorf("is signed with a key that is too weak: %w", err)
	}
	// RSA with SHA-1 is called as the key is.
	if s.signature.Format == ssh.KeyAlgoRSA || key.Verify(signed, &s.signature) != nil {
		return "", fmt.Errorf("is not what was signed: the SSH signature by %s does not fit it", ssh.FingerprintSHA256(key))
	}
	return line.principals + " (" + ssh.FingerprintSHA256(key) + ")", nil
}

// find returns the line that lists the key, or the authority of its certificate.
func (s *sshSignature) find(list []allowed, when time.Time) (*allowed, error) {
	certificate, _ := s.key.(*ssh.Certificate)
	var refused error
	for i := range list {
		a := &list[i]
		var err error
		switch {
		case certificate == nil && !a.authority && sameKey(a.key, s.key):
			err = a.at(when)
		case certificate != nil && a.authority && sameKey(a.key, certificate.SignatureKey):
			if err = a.at(when); err == nil {
				err = a.certifies(certificate, when)
			}
		default:
			continue
		}
		if err == nil {
			return a, nil
		}
		refused = err
	}
	key, what, unlisted := s.key, "a key that", "is not listed"
	if certificate != nil {
		key, what, unlisted = certificate.SignatureKey, "a certificate that", "is of an authority that is not listed"
	}
	if refused == nil {
		refused = errors.New(unlisted)
	}
	return nil, fmt.Errorf("is signed with %s %w: %s", what, refused, ssh.FingerprintSHA256(key))
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// certifies says why a certificate of the line's authority doesn't count, or nil.
func (a *allowed) certifies(c *ssh.Certificate, when time.Time) error {
	if c.CertType != ssh.UserCert {
		return errors.New("is one for hosts")
	}
	named := slices.IndexFunc(c.ValidPrincipals, func(p string) bool { return matchList(a.principals, p) })
	if named < 0 {
		return errors.New("names nobody its authority may speak for")
	}
	checker := ssh.CertChecker{Clock: func() time.Time { return when }}
	if err := checker.CheckCert(c.ValidPrincipals[named], c); err != nil {
		return errors.New("is " + strings.TrimPrefix(err.Error(), "ssh: "))
	}
	return nil
}

// signSSH signs as ssh-keygen -Y sign does.
func signSSH(signer ssh.AlgorithmSigner, payload []byte) ([]byte, error) {
	blob := sshBlob{Version: 1, PublicKey: signer.PublicKey().Marshal(), Namespace: namespace, Hash: "sha512"}
	algorithm := signer.PublicKey().Type()
	if algorithm == ssh.KeyAlgoRSA {
		algorithm = ssh.KeyAlgoRSASHA512
	}
	s, err := signer.SignWithAlgorithm(rand.Reader, blob.signed(payload), algorithm)
	if err != nil {
		return nil, err
	}
	blob.Signature = ssh.Marshal(s)
	text := base64.StdEncoding.EncodeToString(append([]byte(sshMagic), ssh.Marshal(blob)...))
	var b strings.Builder
	b.WriteString(sshBegin + "\n")
	for line := range slices.Chunk([]byte(text), 70) {
		b.Write(append(line, '\n'))
	}
	b.WriteString(sshEnd + "\n")
	return []byte(b.String()), nil
}
