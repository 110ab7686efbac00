package config

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/signature"
)

// Who signs commits. The files that are named here are followed, so that one which
// can't be used now is a warning: of --check, and in the log.

func (d *document) parseSigningKey(field string, in committerFile) gitstore.SigningKey {
	key := gitstore.SigningKey{File: d.file(in.SigningKeyFile), PassphraseFile: d.file(in.SigningPassphraseFile)}
	if key.File == "" {
		if key.PassphraseFile != "" {
			d.wrong(field+".signingPassphraseFile", "is of no key; name that with signingKeyFile")
		}
		return key
	}
	content, ok := d.readNow(field+".signingKeyFile", key.File)
	passphrase, unlocked := d.readNow(field+".signingPassphraseFile", key.PassphraseFile)
	if !ok || !unlocked {
		return key
	}
	if _, err := signature.ParseKey(content, []byte(strings.TrimRight(string(passphrase), "\r\n"))); err != nil {
		d.warn(field+".signingKeyFile", "can't be used: %v", err)
	}
	return key
}

func (d *document) parseSignatures(field string, in *signaturesFile) gitstore.Signatures {
	if in == nil {
		return gitstore.Signatures{}
	}
	s := gitstore.Signatures{AllowedSignersFile: d.file(in.AllowedSignersFile), OpenPGPKeysFile: d.file(in.OpenPGPKeysFile)}
	if s.AllowedSignersFile == "" && s.OpenPGPKeysFile == "" {
		d.wrong(field, "lists nobody who may sign; give allowedSignersFile, openPGPKeysFile or both")
		return s
	}
	if in.Since != "" {
		var err error
		if s.Since, err = catalog.ParseRevision(in.Since); err != nil {
			d.wrong(field+".since", "%.80q is no commit; give the SHA in full, 40 hexadecimal digits", in.Since)
		}
	}
	allowed, ok := d.readNow(field+".allowedSignersFile", s.AllowedSignersFile)
	keys, also := d.readNow(field+".openPGPKeysFile", s.OpenPGPKeysFile)
	if ok && also {
		for _, fault := range signature.ParseSigners(allowed, keys, time.Local).Faults() {
			d.warn(field, "nobody signs with what can't be read: %s", fault)
		}
	}
	return s
}

// readNow reads a file that may be another one later; none where no path is given.
// It is not ok, and warned of, if that fails.
func (d *document) readNow(field, path string) (content []byte, ok bool) {
	if path == "" {
		return nil, true
	}
	content, err := os.ReadFile(path)
	if err != nil {
		if inner, is := errors.AsType[*fs.PathError](err); is {
			err = inner.Err
		}
		d.warn(field, "%s can't be read: %v", path, err)
		return nil, false
	}
	return append([]byte{}, content...), true
}
