package credential

import (
	"errors"
	"fmt"
	"net"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
)

// SSH names the files of SSH: our key with its passphrase, and the keys that
// hosts are known by.
type SSH struct{ Key, Passphrase, KnownHosts File }

// SSHLogin is what the files of [SSH] say.
type SSHLogin struct {
	// Fingerprint tells logins apart.
	Fingerprint Fingerprint
	signer      ssh.Signer
	hosts       *knownhosts.HostKeyDB
	hostsFile   File
}

// SSHFiles follows the files of [SSH].
type SSHFiles struct{ followed followed[SSHLogin] }

// NewSSHFiles follows files.
func NewSSHFiles(s SSH) *SSHFiles {
	parse := func(contents [][]byte) (SSHLogin, error) {
		signer, err := parseKey(s, contents[0], contents[1])
		if err != nil {
			return SSHLogin{}, err
		}
		// It reads the file itself: what it reads is followed by its fingerprint.
		hosts, err := knownhosts.NewDB(string(s.KnownHosts))
		if err != nil {
			return SSHLogin{}, fmt.Errorf("%s must hold host keys as known_hosts does: %w", s.KnownHosts, err)
		}
		return SSHLogin{fingerprint(contents), signer, hosts, s.KnownHosts}, nil
	}
	return &SSHFiles{followed[SSHLogin]{files: []File{s.Key, s.Passphrase, s.KnownHosts}, parse: parse}}
}

func parseKey(s SSH, pem, passphrase []byte) (ssh.Signer, error) {
	if s.Passphrase != "" {
		phrase, err := parseLine(s.Passphrase, passphrase)
		if err != nil {
			return nil, err
		}
		signer, err := ssh.ParsePrivateKeyWithPassphrase(pem, []byte(phrase))
		if err != nil {
			return nil, fmt.Errorf("%s must hold a private key of SSH that the passphrase in %s opens", s.Key, s.Passphrase)
		}
		return signer, nil
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if _, ok := errors.AsType[*ssh.PassphraseMissingError](err); ok {
		return nil, fmt.Errorf("%s needs a passphrase: name its file in sshPassphraseFile", s.Key)
	}
	if err != nil {
		return nil, fmt.Errorf("%s must hold a private key of SSH", s.Key)
	}
	return signer, nil
}

// Get returns what the files say now; again has them read even if they look the same.
func (f *SSHFiles) Get(again bool) (SSHLogin, error) { return f.followed.get(again) }

// HostKeyError: the host's key is not the one it is known by, or none is known.
type HostKeyError struct {
	Changed bool
	Host    string
	Found   string // fingerprint of the key that the host showed
	File    File
}

func (e *HostKeyError) Error() string {
	if e.Changed {
		return fmt.Sprintf("the host key of %s has changed: it shows %s, and %s holds another. Somebody may be listening in; "+
			"if the host really has a new key, replace the old one in that file", e.Host, e.Found, e.File)
	}
	return fmt.Sprintf("no host key of %s is known: it shows %s. If that is what the host's owner publishes, add it to %s (ssh-keyscan prints the line)",
		e.Host, e.Found, e.File)
}

// Config returns the configuration for a connection as user to an address,
// host:port. What the connection fails with tells a [HostKeyError] from the rest.
func (l SSHLogin) Config(user, address string) *ssh.ClientConfig {
	known := l.hosts.HostKeyCallback()
	return &ssh.ClientConfig{
		User: user,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(l.signer)},
		// Of a host's several keys it is to show one that is known.
		HostKeyAlgorithms: l.hosts.HostKeyAlgorithms(address),
		HostKeyCallback: func(host string, from net.Addr, key ssh.PublicKey) error {
			err := known(host, from, key)
			if changed := knownhosts.IsHostKeyChanged(err); changed || knownhosts.IsHostUnknown(err) {
				return &HostKeyError{Changed: changed, Host: address, Found: key.Type() + " " + ssh.FingerprintSHA256(key), File: l.hostsFile}
			}
			return err
		},
		ClientVersion: "SSH-2.0-secretsync",
	}
}
