package remote

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"

	"secretsync/gitstore/internal/remote/credential"
)

// Settings says where a remote repository is and how it is reached. Files are
// followed: what they hold is read again when it changes.
type Settings struct {
	URL      string // https://…, ssh://…, user@host:path; http://… if Insecure or the host is this machine
	Insecure bool   // allows http to any host

	// For https. A username without a password file, or neither: nobody is told.
	Username     string // zero: x-access-token
	PasswordFile string // a password or token and nothing else
	App          App    // in place of username and password

	// For ssh. All but the passphrase are needed.
	SSHKeyFile        string
	SSHPassphraseFile string
	KnownHostsFile    string

	CAFile         string // PEM; those alone are trusted. Zero: those the system trusts
	ClientCertFile string // PEM
	ClientKeyFile  string // PEM
	Proxy          string // http://, https:// or socks5://host:port; zero: none, whatever the environment says

	// Timeout is how long an exchange may take beyond what its bytes warrant: for
	// each 16 KiB that moves it has another second. Zero: 30 seconds.
	Timeout time.Duration
	// MaxRefs is how many references may be of those asked for. Zero: 100,000.
	MaxRefs int
	// MaxAdvertisement is how many bytes of references are read, asked for or
	// not. Zero: 256 MiB, some four million references.
	MaxAdvertisement int64
}

// App is an installation of a GitHub App. Zero: none.
type App struct {
	ID, InstallationID string
	PrivateKeyFile     string
	URL                string // of the API; zero: by the repository's host
}

// Endpoint is where a remote repository is and how it is reached. The zero
// Endpoint is none.
type Endpoint struct {
	settings Settings
	scheme   string // http, https, ssh
	host     string // with the port, where that isn't the scheme's own
	user     string // of ssh
	path     string // http: as in the URL, without a slash at the end; ssh: as the server gets it
	proxy    *url.URL
	app      *url.URL
	shown    string // the URL
}

// String returns the URL without anything that isn't for every eye.
func (e Endpoint) String() string { return e.shown }

// base returns the URL below which an HTTP server has the repository.
func (e Endpoint) base() string { return e.scheme + "://" + e.host + e.path }

var (
	scpForm     = regexp.MustCompile(`^(?:([^/:@]+)@)?([^/:@\[\]]+|\[[0-9A-Fa-f:.]+\]):([^:].*)$`)
	allowedHost = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	allowedUser = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
	digits      = regexp.MustCompile(`^[0-9]+$`)
)

// ParseEndpoint checks settings. It reads no files. An error says which setting
// is wrong and never shows what may be a credential.
func ParseEndpoint(s Settings) (Endpoint, error) {
	e := Endpoint{settings: s}
	e.settings.Username = cmp.Or(s.Username, "x-access-token")
	e.settings.Timeout = cmp.Or(s.Timeout, 30*time.Second)
	e.settings.MaxRefs = cmp.Or(s.MaxRefs, 100_000)
	e.settings.MaxAdvertisement = cmp.Or(s.MaxAdvertisement, 256<<20)
	if e.settings.Timeout < 0 || e.settings.MaxRefs < 0 || e.settings.MaxAdvertisement < 0 {
		return Endpoint{}, errors.New("timeout and limits of a remote can't be negative")
	}
	for _, step := range []func() error{e.parseURL, e.checkReach, e.checkProxy} {
		if err := step(); err != nil {
			return Endpoint{}, err
		}
	}
	return e, nil
}

func (e *Endpoint) parseURL() error {
	raw := e.settings.URL
	if raw == "" || len(raw) > 2048 || strings.ContainsFunc(raw, isUnfit) {
		return errors.New("url: it is empty, longer than 2,048 bytes or has control characters")
	}
	if strings.HasPrefix(raw, "-") {
		return errors.New("url: it begins with a dash")
	}
	scheme, _, ok := strings.Cut(raw, "://")
	if !ok {
		return e.parseSCP(raw)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("url: it is malformed") // the error holds it all
	}
	switch scheme = strings.ToLower(scheme); scheme {
	case "http", "https", "ssh":
	default:
		return fmt.Errorf("url: %q is not spoken; use https or ssh", scheme)
	}
	e.scheme = scheme
	if _, set := u.User.Password(); set || u.User != nil && scheme != "ssh" {
		return errors.New("url: credentials have no place in it; name the user in username and put the password or token in a file (passwordFile)")
	}
	if u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" || strings.ContainsAny(raw, "?#") {
		return errors.New("url: it has a query or a fragment")
	}
	if err := e.setHost(u.Hostname(), u.Port()); err != nil {
		return err
	}
	if strings.ContainsFunc(u.Path, isUnfit) {
		return errors.New("url: the path has control characters")
	}
	if path := strings.TrimRight(u.Path, "/"); path == "" || strings.HasPrefix(path, "/-") {
		return errors.New("url: the path to the repository is missing or begins with a dash")
	}
	if scheme == "ssh" {
		e.path = u.Path
		if strings.HasPrefix(e.path, "/~") {
			e.path = e.path[1:]
		}
		if err := e.setUser(u.User.Username()); err != nil {
			return err
		}
		e.shown = "ssh://" + e.user + "@" + e.host + (&url.URL{Path: u.Path}).EscapedPath()
		return nil
	}
	e.path = strings.TrimRight(u.EscapedPath(), "/")
	e.shown = e.base()
	if scheme == "http" && !e.settings.Insecure && !isLoopback(u.Hostname()) {
		return errors.New("url: http shows the credentials to everybody on the way; use https, or say insecure: true")
	}
	return nil
}

// parseSCP takes user@host:path, the short form of ssh.
func (e *Endpoint) parseSCP(raw string) error {
	m := scpForm.FindStringSubmatch(raw)
	if m == nil {
		return errors.New("url: it is neither https://…, ssh://… nor user@host:path")
	}
	e.scheme, e.path = "ssh", m[3]
	if strings.HasPrefix(e.path, "-") || strings.HasPrefix(raw, "ext::") || strings.HasPrefix(raw, "file:") {
		return errors.New("url: the path begins with a dash, or it names a transport that is not spoken; use https or ssh")
	}
	if err := e.setHost(strings.Trim(m[2], "[]"), ""); err != nil {
		return err
	}
	if err := e.setUser(m[1]); err != nil {
		return err
	}
	e.shown = e.user + "@" + e.host + ":" + e.path
	return nil
}

func (e *Endpoint) setHost(name, port string) error {
	name = strings.ToLower(name)
	ip, err := netip.ParseAddr(name)
	switch {
	case err == nil && ip.Is6() && ip.Zone() == "":
		name = "[" + name + "]"
	case err != nil && (len(name) > 253 || !allowedHost.MatchString(name)):
		return errors.New("url: the host is missing or is not the name or address of one")
	}
	e.host = name
	if port != "" && port != map[string]string{"http": "80", "https": "443", "ssh": "22"}[e.scheme] {
		if !digits.MatchString(port) || len(port) > 5 {
			return errors.New("url: the port is not a number")
		}
		e.host += ":" + port
	}
	return nil
}

func (e *Endpoint) setUser(name string) error {
	e.user = cmp.Or(name, "git")
	if !allowedUser.MatchString(e.user) {
		return errors.New("url: the user of ssh may have letters, digits, dots, dashes and underscores, and can't begin with a dash")
	}
	return nil
}

func isUnfit(c rune) bool { return unicode.IsControl(c) || c == unicode.ReplacementChar }

func isLoopback(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}

// checkReach refuses settings that contradict each other or are not for the scheme.
func (e *Endpoint) checkReach() error {
	s := e.settings
	app := s.App != App{}
	ssh := s.SSHKeyFile != "" || s.SSHPassphraseFile != "" || s.KnownHostsFile != ""
	switch {
	case e.scheme == "ssh" && (s.SSHKeyFile == "" || s.KnownHostsFile == ""):
		return errors.New("ssh needs sshKeyFile and knownHostsFile; ssh-keyscan shows a host's keys, to be compared with what it publishes")
	case e.scheme == "ssh" && (app || s.PasswordFile != "" || s.CAFile != "" || s.ClientCertFile != "" || s.ClientKeyFile != ""):
		return errors.New("passwordFile, githubApp, caFile, clientCertFile and clientKeyFile are not for ssh")
	case e.scheme != "ssh" && ssh:
		return errors.New("sshKeyFile, sshPassphraseFile and knownHostsFile are for ssh only")
	case app && s.PasswordFile != "":
		return errors.New("passwordFile and githubApp exclude each other")
	case (s.ClientCertFile == "") != (s.ClientKeyFile == ""):
		return errors.New("clientCertFile and clientKeyFile belong together")
	case strings.ContainsFunc(s.Username, func(c rune) bool { return unicode.IsControl(c) || c == ':' }):
		return errors.New("username: it can't have a colon or control characters")
	case !app:
		return nil
	}
	return e.checkApp()
}

func (e *Endpoint) checkApp() error {
	app := e.settings.App
	if app.ID == "" || !digits.MatchString(app.InstallationID) || app.PrivateKeyFile == "" {
		return errors.New("githubApp needs appID, installationID (a number) and privateKeyFile")
	}
	api := app.URL
	if api == "" {
		if api = "https://api.github.com"; e.host != "github.com" {
			api = e.scheme + "://" + e.host + "/api/v3"
		}
	}
	u, err := url.Parse(api)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Host == "" ||
		u.Scheme != "https" && !(u.Scheme == "http" && (e.settings.Insecure || isLoopback(u.Hostname()))) {
		return errors.New("githubApp: url must be the https URL of the API, without credentials")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	e.app = u
	return nil
}

func (e *Endpoint) checkProxy() error {
	if e.settings.Proxy == "" {
		return nil
	}
	u, err := url.Parse(e.settings.Proxy)
	if err != nil || u.Host == "" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return errors.New("proxy: it must be http://host:port, https://host:port or socks5://host:port")
	}
	switch u.Scheme {
	case "http", "https", "socks5":
	default:
		return errors.New("proxy: only http, https and socks5 are spoken")
	}
	if u.User != nil {
		return errors.New("proxy: credentials have no place in the URL")
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443", "socks5": "1080"}[u.Scheme])
	}
	e.proxy = &url.URL{Scheme: u.Scheme, Host: u.Host}
	return nil
}

// trust names the files of the endpoint's TLS.
func (e Endpoint) trust() credential.Trust {
	s := e.settings
	return credential.Trust{CA: credential.File(s.CAFile), Cert: credential.File(s.ClientCertFile), Key: credential.File(s.ClientKeyFile)}
}
