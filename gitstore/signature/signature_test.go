package signature_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"secretsync/gitstore/signature"
)

// person has a repository, keys made by ssh-keygen and gpg, and stock Git.
type person struct {
	testing.TB
	dir string
}

func newPerson(t testing.TB) *person {
	t.Helper()
	for _, tool := range []string{"git", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir, err := os.MkdirTemp("", "sig") // gpg-agent's socket has to have a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &person{TB: t, dir: dir}
	p.run("git", "init", "-q", "-b", "main", "work")
	return p
}

func (p *person) try(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "GNUPGHOME="+p.path("gnupg"), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "TZ=UTC",
		"GIT_AUTHOR_NAME=Pat", "GIT_AUTHOR_EMAIL=pat@example.org", "GIT_COMMITTER_NAME=Pat", "GIT_COMMITTER_EMAIL=pat@example.org")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (p *person) run(name string, args ...string) string {
	p.Helper()
	out, err := p.try(name, args...)
	if err != nil {
		p.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func (p *person) git(args ...string) string {
	p.Helper()
	return p.run("git", append([]string{"-C", "work"}, args...)...)
}

func (p *person) path(name string) string { return filepath.Join(p.dir, name) }

func (p *person) read(name string) []byte {
	p.Helper()
	content, err := os.ReadFile(p.path(name))
	if err != nil {
		p.Fatal(err)
	}
	return content
}

func (p *person) write(name, content string) string {
	p.Helper()
	if err := os.WriteFile(p.path(name), []byte(content), 0o600); err != nil {
		p.Fatal(err)
	}
	return p.path(name)
}

// keygen makes an SSH key and returns the public one.
func (p *person) keygen(name string, args ...string) string {
	p.Helper()
	p.run("ssh-keygen", append([]string{"-q", "-N", "", "-C", "", "-f", name}, args...)...)
	return strings.TrimSpace(string(p.read(name + ".pub")))
}

// gpg makes an OpenPGP key, writes it into files, and returns its fingerprint.
func (p *person) gpg(name, algorithm, passphrase string) string {
	p.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		p.Skip("gpg is not installed")
	}
	if err := os.MkdirAll(p.path("gnupg"), 0o700); err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _, _ = p.try("gpgconf", "--kill", "all") })
	secret := []string{"--batch", "--pinentry-mode", "loopback", "--passphrase", passphrase}
	p.run("gpg", append(secret, "--quick-gen-key", name+" <"+name+"@example.org>", algorithm, "sign", "1y")...)
	p.run("gpg", "--batch", "--export", "--armor", "-o", name+".asc", name)
	p.run("gpg", append(secret, "--export-secret-keys", "--armor", "-o", name+".key", name)...)
	for line := range strings.Lines(p.run("gpg", "--with-colons", "--list-keys", name)) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" {
			return fields[9]
		}
	}
	p.Fatal("gpg tells no fingerprint")
	return ""
}

// commit makes a commit with stock Git and returns its content and time.
func (p *person) commit(args ...string) ([]byte, time.Time) {
	p.Helper()
	p.git(append(args, "commit", "-q", "--allow-empty", "-S", "-m", "a change\n\nin the body")...)
	cmd := exec.Command("git", "-C", p.path("work"), "cat-file", "commit", "HEAD")
	content, err := cmd.Output()
	if err != nil {
		p.Fatal(err)
	}
	seconds, err := strconv.ParseInt(p.git("show", "-s", "--format=%ct"), 10, 64)
	if err != nil {
		p.Fatal(err)
	}
	return content, time.Unix(seconds, 0)
}

func bySSH(key string) []string {
	return []string{"-c", "gpg.format=ssh", "-c", "user.signingKey=" + key}
}

func TestSignaturesOfStockGitCountIfTheKeyIsListed(t *testing.T) {
	for name, kind := range map[string][]string{
		"ed25519":    {"-t", "ed25519"},
		"ecdsa 256":  {"-t", "ecdsa", "-b", "256"},
		"ecdsa 521":  {"-t", "ecdsa", "-b", "521"},
		"rsa":        {"-t", "rsa", "-b", "2048"},
		"OpenPGP":    {"gpg", "ed25519"},
		"OpenPGP 2":  {"gpg", "rsa2048"},
		"OpenPGP 3x": {"gpg", "nistp384"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPerson(t)
			var content []byte
			var when time.Time
			var signers, others *signature.Signers
			if kind[0] == "gpg" {
				id := p.gpg("pat", kind[1], "")
				p.gpg("other", "ed25519", "")
				content, when = p.commit("-c", "user.signingKey="+id)
				signers = signature.ParseSigners(nil, append(p.read("other.asc"), p.read("pat.asc")...), time.UTC)
				others = signature.ParseSigners(nil, p.read("other.asc"), time.UTC)
			} else {
				public := p.keygen("key", kind...)
				content, when = p.commit(bySSH(p.path("key"))...)
				other := p.keygen("other")
				signers = signature.ParseSigners([]byte("other@example.org "+other+"\npat@example.org namespaces=\"git\" "+public+" Pat's\n"), nil, time.UTC)
				others = signature.ParseSigners([]byte("other@example.org "+other+"\n"), nil, time.UTC)
			}
			if faults := signers.Faults(); len(faults) > 0 {
				t.Fatal(faults)
			}
			by, err := signers.Verify(content, when)
			if err != nil || !strings.Contains(by, "pat@example.org") {
				t.Errorf("got %q, %v", by, err)
			}
			if by, err := others.Verify(content, when); err == nil || !strings.Contains(err.Error(), "not listed") {
				t.Errorf("of a key that is not listed: %q, %v", by, err)
			}
			for _, change := range [][2]string{{"a change", "a chance"}, {"Pat <", "Eve <"}, {"in the body\n", "in the body"}, {"tree ", "tree 0"}} {
				if by, err := signers.Verify(bytes.Replace(content, []byte(change[0]), []byte(change[1]), 1), when); err == nil || !strings.Contains(err.Error(), "not what was signed") {
					t.Errorf("with %q for %q: %q, %v", change[1], change[0], by, err)
				}
			}
		})
	}
}

func TestStockGitVerifiesWhatWeSign(t *testing.T) {
	const payload = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor CI <ak-1@localhost> 1700000000 +0000\ncommitter secretsync <secretsync@localhost> 1700000000 +0000\n\nAdd db\n\nVia: secretsync api\n"
	for name, kind := range map[string][]string{
		"ed25519":                   {"-t", "ed25519"},
		"ed25519 with a passphrase": {"-t", "ed25519", "-N", "secret"},
		"ecdsa":                     {"-t", "ecdsa"},
		"rsa":                       {"-t", "rsa", "-b", "2048"},
		"rsa as PEM":                {"-t", "rsa", "-b", "2048", "-m", "PEM"},
		"OpenPGP":                   {"gpg", "ed25519"},
		"OpenPGP with a passphrase": {"gpg", "rsa2048"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPerson(t)
			var passphrase []byte
			if strings.HasSuffix(name, "passphrase") {
				passphrase = []byte("secret")
			}
			when := time.Unix(1700000000, 0)
			body := payload
			if kind[0] == "gpg" {
				p.gpg("key", kind[1], string(passphrase))
				when = time.Now() // the key is no older
				body = strings.ReplaceAll(payload, "1700000000", strconv.FormatInt(when.Unix(), 10))
				p.write("key", string(p.read("key.key")))
			} else {
				p.write("allowed", "secretsync@localhost "+p.keygen("key", kind...)+"\n")
				p.git("config", "gpg.ssh.allowedSignersFile", p.path("allowed"))
			}
			key, err := signature.ParseKey(p.read("key"), passphrase)
			if err != nil {
				t.Fatal(err)
			}
			if passphrase != nil {
				for _, wrong := range []string{"", "wrong"} {
					if _, err := signature.ParseKey(p.read("key"), []byte(wrong)); err == nil || !strings.Contains(err.Error(), "passphrase") {
						t.Errorf("with passphrase %q: %v", wrong, err)
					}
				}
			}
			content, err := key.Sign([]byte(body), when)
			if err != nil {
				t.Fatal(err)
			}
			id := p.git("hash-object", "-w", "-t", "commit", p.write("commit", string(content)))
			said := p.git("verify-commit", "-v", id)
			if !strings.Contains(said, "Good") {
				t.Errorf("git says %s", said)
			}
			again, _, err := signature.Split(content)
			if err != nil || string(again) != body {
				t.Errorf("without its signature it is\n%s\n%v", again, err)
			}
		})
	}
}

func TestAllowedSigners(t *testing.T) {
	p := newPerson(t)
	key := p.keygen("key", "-t", "ed25519")
	weak := p.keygen("weak", "-t", "rsa", "-b", "1024")
	content, when := p.commit(bySSH(p.path("key"))...)
	before, after := when.Add(-time.Hour).UTC().Format("20060102150405"), when.Add(time.Hour).UTC().Format("200601021504")
	for name, c := range map[string]struct{ file, verdict, fault string }{
		"a line as people write it":         {"pat@example.org " + key + " comment of three words", "", ""},
		"comments, blank lines and CRLF":    {"# ours\r\n\r\n  pat@example.org\t" + key + "\r\n", "", ""},
		"several principals, with patterns": {"*@example.org,!eve@example.org " + key, "", ""},
		"principals in quotes":              {`"pat@example.org" ` + key, "", ""},
		"options in capitals":               {`p NAMESPACES="git",Valid-After="` + before + `Z" ` + key, "", ""},
		"a list of namespaces":              {`p namespaces="file,g?t" ` + key, "", ""},
		"another namespace":                 {`p namespaces="file" ` + key, "is listed for other namespaces", ""},
		"a namespace that is ruled out":     {`p namespaces="*,!git" ` + key, "is listed for other namespaces", ""},
		"within the times":                  {`p valid-after="` + before + `Z",valid-before="` + after + `Z" ` + key, "", ""},
		"too early":                         {`p valid-after="` + after + `Z" ` + key, "is valid only after", ""},
		"too late":                          {`p valid-before="` + before + `Z" ` + key, "is valid only before", ""},
		"listed twice, once still valid":    {`p valid-before="` + before + `Z" ` + key + "\np " + key, "", ""},
		"an authority signs nothing itself": {"p cert-authority " + key, "not listed", ""},
		"nobody":                            {"", "not listed", ""},
		"an option nobody knows":            {"p sudo " + key, "not listed", "line 1: option \"sudo\""},
		"an option twice":                   {`p namespaces="git",namespaces="git" ` + key, "not listed", "twice"},
		"a value without quotes":            {"p namespaces=git " + key, "not listed", "double quotes"},
		"a time that is none":               {`p valid-after="tomorrow" ` + key, "not listed", "is no time"},
		"an end before the beginning":       {`p valid-after="20300101Z",valid-before="20200101Z" ` + key, "not listed", "ends before it begins"},
		"no principals":                     {key, "not listed", "no key that can be read"},
		"half a key":                        {"p " + key[:40], "not listed", "no key that can be read"},
		"a type that the key isn't of":      {"p " + strings.Replace(key, "ssh-ed25519", "ssh-rsa", 1), "not listed", "no key that can be read"},
		"a key that is too weak":            {"p " + weak, "not listed", "2048 bits"},
		"one bad line and a good one":       {"nonsense\np " + key, "", "line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := signature.ParseSigners([]byte(c.file), nil, time.UTC)
			if faults := strings.Join(s.Faults(), "; "); (c.fault == "") != (faults == "") || !strings.Contains(faults, c.fault) || strings.Contains(faults, "AAAA") {
				t.Errorf("faults are %q", faults)
			}
			_, err := s.Verify(content, when)
			if verdict := fmt.Sprint(err); (c.verdict == "") != (err == nil) || !strings.Contains(verdict, c.verdict) && c.verdict != "" {
				t.Errorf("verdict is %s", verdict)
			}
			// What counts for us counts for ssh-keygen as well.
			p.write("allowed", c.file+"\n")
			said, stock := p.try("git", "-C", "work", "-c", "gpg.ssh.allowedSignersFile="+p.path("allowed"), "verify-commit", "HEAD")
			if err == nil && stock != nil {
				t.Errorf("git does not count it: %s", said)
			}
		})
	}
}

func TestCertificatesCountByTheirAuthority(t *testing.T) {
	p := newPerson(t)
	authority := p.keygen("authority", "-t", "ed25519")
	for name, c := range map[string]struct {
		certificate []string
		line        string
		verdict     string
	}{
		"of one it may speak for":       {[]string{"-n", "pat@example.org"}, "*@example.org cert-authority ", ""},
		"of one it may not speak for":   {[]string{"-n", "eve@evil.org"}, "*@example.org cert-authority ", "names nobody"},
		"without a principal":           {nil, "*@example.org cert-authority ", "names nobody"},
		"of a host":                     {[]string{"-h", "-n", "pat@example.org"}, "*@example.org cert-authority ", "for hosts"},
		"that is over":                  {[]string{"-n", "pat@example.org", "-V", "20200101:20210101"}, "*@example.org cert-authority ", "expired"},
		"of a key that is no authority": {[]string{"-n", "pat@example.org"}, "*@example.org ", "not listed"},
	} {
		t.Run(name, func(t *testing.T) {
			key := strings.ReplaceAll(name, " ", "-")
			p.keygen(key, "-t", "ed25519")
			p.run("ssh-keygen", append(append([]string{"-q", "-s", "authority", "-I", "pat"}, c.certificate...), key+".pub")...)
			content, when := p.commit(bySSH(p.path(key + "-cert.pub"))...)
			_, err := signature.ParseSigners([]byte(c.line+authority), nil, time.UTC).Verify(content, when)
			if verdict := fmt.Sprint(err); (c.verdict == "") != (err == nil) || c.verdict != "" && !strings.Contains(verdict, c.verdict) {
				t.Errorf("verdict is %s", verdict)
			}
		})
	}
}

const unsigned = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@b> 1700000000 +0000\ncommitter A <a@b> 1700000000 +0000\n\nm\n"

func TestSecurityKeysCountIfTheyWereTouched(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const kind, application = ssh.KeyAlgoSKED25519, "ssh:"
	blob := ssh.Marshal(struct {
		Kind, Key, Application string
	}{kind, string(public), application})
	line := "pat " + kind + " " + base64.StdEncoding.EncodeToString(blob)
	for flags, verdict := range map[byte]string{1: "", 0: "not what was signed"} {
		digest := sha512.Sum512([]byte(unsigned))
		signed := append([]byte("SSHSIG"), ssh.Marshal(struct{ Namespace, Reserved, Hash, Digest string }{"git", "", "sha512", string(digest[:])})...)
		app, message := sha256.Sum256([]byte(application)), sha256.Sum256(signed)
		counter := binary.BigEndian.AppendUint32([]byte{flags}, 7)
		raw := ed25519.Sign(private, bytes.Join([][]byte{app[:], counter, message[:]}, nil))
		sig := append(ssh.Marshal(struct{ Kind, Blob string }{kind, string(raw)}), counter...)
		all := append([]byte("SSHSIG"), ssh.Marshal(struct {
			Version                              uint32
			Key, Namespace, Reserved, Hash, Blob string
		}{1, string(blob), "git", "", "sha512", string(sig)})...)
		armored := "-----BEGIN SSH SIGNATURE-----\n" + base64.StdEncoding.EncodeToString(all) + "\n-----END SSH SIGNATURE-----\n"
		signers := signature.ParseSigners([]byte(line), nil, time.UTC)
		_, err := signers.Verify(signature.Join([]byte(unsigned), []byte(armored)), time.Unix(1700000000, 0))
		if (verdict == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), verdict) {
			t.Errorf("flags %d: %v, faults %v", flags, err, signers.Faults())
		}
	}
}

func TestAnRSASignatureByMeansOfSHA1DoesNotCount(t *testing.T) {
	p := newPerson(t)
	public := p.keygen("key", "-t", "rsa", "-b", "2048")
	signer, err := ssh.ParsePrivateKey(p.read("key"))
	if err != nil {
		t.Fatal(err)
	}
	digest := sha512.Sum512([]byte(unsigned))
	signed := append([]byte("SSHSIG"), ssh.Marshal(struct{ Namespace, Reserved, Hash, Digest string }{"git", "", "sha512", string(digest[:])})...)
	for algorithm, counts := range map[string]bool{ssh.KeyAlgoRSASHA256: true, ssh.KeyAlgoRSASHA512: true, ssh.KeyAlgoRSA: false} {
		sig, err := signer.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, signed, algorithm)
		if err != nil {
			t.Fatal(err)
		}
		all := append([]byte("SSHSIG"), ssh.Marshal(struct {
			Version                              uint32
			Key, Namespace, Reserved, Hash, Blob string
		}{1, string(signer.PublicKey().Marshal()), "git", "", "sha512", string(ssh.Marshal(sig))})...)
		armored := "-----BEGIN SSH SIGNATURE-----\n" + base64.StdEncoding.EncodeToString(all) + "\n-----END SSH SIGNATURE-----\n"
		_, err = signature.ParseSigners([]byte("pat "+public), nil, time.UTC).Verify(signature.Join([]byte(unsigned), []byte(armored)), time.Unix(1700000000, 0))
		if counts != (err == nil) {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}

func TestCommitsWhoseSignatureCanNotCount(t *testing.T) {
	p := newPerson(t)
	key := p.keygen("key", "-t", "ed25519")
	signed, when := p.commit(bySSH(p.path("key"))...)
	file := p.write("message", "other")
	p.run("ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", "key", file)
	payload, good, err := signature.Split(signed)
	if err != nil {
		t.Fatal(err)
	}
	if string(signature.Join(payload, good)) != string(signed) {
		t.Error("taken apart and put together it is another")
	}
	signers := signature.ParseSigners([]byte("pat "+key), nil, time.UTC)
	headers := string(good)
	headers = "gpgsig " + strings.ReplaceAll(strings.TrimSuffix(headers, "\n"), "\n", "\n ") + "\n"
	for name, c := range map[string]struct{ content, verdict string }{
		"none":                        {unsigned, "is not signed"},
		"two":                         {string(signature.Join(signed, good)), "several signatures"},
		"before the committer":        {headers + string(payload), "malformed"},
		"under a name like it":        {strings.Replace(string(signed), "gpgsig ", "gpgsignature ", 1), "malformed"},
		"for another namespace":       {string(signature.Join(payload, p.read("message.sig"))), `for "file", not for git`},
		"of another kind":             {string(signature.Join(payload, []byte("-----BEGIN SIGNED MESSAGE-----\nAAAA"))), "neither an SSH nor an OpenPGP one"},
		"cut off":                     {string(signature.Join(payload, good[:80])), "can't be read"},
		"OpenPGP that is none":        {string(signature.Join(payload, []byte("-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----"))), "can't be read"},
		"no end of the header":        {"tree x", "malformed"},
		"gpgsig-sha256 beside a good": {strings.Replace(string(signed), "gpgsig ", "gpgsig-sha256 x\n y\ngpgsig ", 1), ""},
		"gpgsig-sha256 alone":         {strings.Replace(unsigned, "\n\n", "\ngpgsig-sha256 x\n y\n\n", 1), "is not signed"},
	} {
		_, err := signers.Verify([]byte(c.content), when)
		if (c.verdict == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.verdict) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	p := newPerson(f)
	key := p.keygen("key", "-t", "ed25519")
	content, when := p.commit(bySSH(p.path("key"))...)
	id := p.gpg("pat", "ed25519", "")
	other, _ := p.commit("-c", "user.signingKey="+id)
	f.Add(content)
	f.Add(other)
	f.Add([]byte(unsigned))
	keyring := p.read("pat.asc")
	want := map[string]bool{}
	for _, c := range [][]byte{content, other} {
		payload, _, _ := signature.Split(c)
		want[string(payload)] = true
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		signers := signature.ParseSigners([]byte("pat "+key), keyring, time.UTC)
		payload, _, err := signature.Split(content)
		if _, bad := signers.Verify(content, when); bad == nil && (err != nil || !want[string(payload)]) {
			t.Errorf("nobody signed\n%s", payload)
		}
	})
}

func FuzzParseSigners(f *testing.F) {
	f.Add([]byte("*@example.org,!x namespaces=\"git\",valid-after=\"20200101Z\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmq0cdxpfO3r1Jr3m5RgpBqUuBdnl8ld7DVqXfVkD3j c\n"))
	f.Add([]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEZ\n-----END PGP PUBLIC KEY BLOCK-----\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		s := signature.ParseSigners(content, content, time.UTC)
		if _, err := s.Verify([]byte(unsigned), time.Unix(0, 0)); err == nil {
			t.Error("what is not signed counts")
		}
		_, _ = signature.ParseKey(content, content)
	})
}
