package githttp

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Service is one of the two things that Git asks for, as its protocol names them.
type Service string

// The services.
const (
	UploadPack  Service = "git-upload-pack"  // for who fetches
	ReceivePack Service = "git-receive-pack" // for who pushes
)

// ParseService reads what ?service= says. Without one it is the protocol of
// before Git 1.6.6, which is not served.
func ParseService(s string) (Service, error) {
	switch service := Service(s); service {
	case UploadPack, ReceivePack:
		return service, nil
	}
	return "", fmt.Errorf("%w: only that is served; clone with git 1.6.6 or newer", ErrRequest)
}

const (
	// mostWants bounds what a client that fetches may say.
	mostWants = 16 << 20
	// mostUnread bounds what is read of a push that was refused already, so that
	// its client gets to read why.
	mostUnread = 256 << 20
)

// Exchange is what is asked for.
type Exchange struct {
	Service Service
	// Refs asks for the references, with which each conversation begins.
	Refs bool
	// Tenant is whose share of the server it takes.
	Tenant string
	// Folder is the repository's.
	Folder string
	// Allowed fails once the client may not go on, and then nothing of what it
	// pushes is taken that is not there in full. Nil: it may.
	Allowed func() error
	// Rules is what the hook is handed as file 3.
	Rules []byte
}

// Report is what came of an exchange.
type Report struct {
	Begun   bool // something was answered, with status 200
	Bytes   int  // that were answered
	Updates []Update
}

// Serve answers a request. If nothing was answered yet, which the report says, it
// is for the caller to answer the error; else that is for the log alone.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, x Exchange) (Report, error) {
	if s.unfit != nil {
		return Report{}, s.unfit
	}
	body, err := x.body(r)
	if err != nil {
		return Report{}, err
	}
	if x.Service == ReceivePack {
		if err := s.checkRoom(x.Folder); err != nil {
			return Report{}, err
		}
	}
	var inherited []*os.File
	if x.Service == ReceivePack && !x.Refs {
		if err := s.checkHook(); err != nil {
			return Report{}, err
		}
		rules, err := s.nameless(x.Rules)
		if err != nil {
			return Report{}, err
		}
		defer rules.Close()
		inherited = append(inherited, rules)
	}
	end, err := s.begin()
	if err != nil {
		return Report{}, err
	}
	defer end()
	leave, err := s.places.take(r.Context(), x.Tenant)
	if err != nil {
		return Report{}, err
	}
	defer leave()

	c := &conversation{exchange: x, line: newLine(w, s.cfg.IdleTimeout, s.cfg.Timeout), push: newPush()}
	c.body = c.limited(lineReader{c.line, body}, r.Header.Get("Content-Encoding") == "gzip", s.cfg.MaxPush)
	args := []string{strings.TrimPrefix(string(x.Service), "git-"), "--stateless-rpc"}
	if x.Service == UploadPack {
		args = append(args, "--strict")
	}
	if x.Refs {
		args = append(args, "--advertise-refs")
	}
	protocol := r.Header.Get("Git-Protocol")
	if c.process, err = s.start(s.environment(protocol, x.Service), append(args, x.Folder), inherited...); err != nil {
		return Report{}, fmt.Errorf("start git: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(s.alive, s.cfg.Timeout, fmt.Errorf("%w: it took longer than %v", ErrTooLong, s.cfg.Timeout))
	defer cancel()
	if x.Service == UploadPack {
		defer context.AfterFunc(r.Context(), cancel)()
	}
	defer context.AfterFunc(ctx, c.process.terminate)()

	if x.Refs && !strings.Contains(protocol, "version=2") {
		c.preface = announce(x.Service)
	}
	err = c.run()
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return c.report(), err
}

// checkRoom fails if a repository may not grow. What is pushed comes as packs;
// loose objects are few, as they are brought together.
func (s *Server) checkRoom(folder string) error {
	packs, err := os.ReadDir(filepath.Join(folder, "objects", "pack"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var size int64
	for _, p := range packs {
		if info, err := p.Info(); err == nil { // or it is gone by now
			size += info.Size()
		}
	}
	if size > s.cfg.MaxRepository {
		return fmt.Errorf("%w: it holds %d MiB and may hold %d; have the operator remove what is not needed by git gc, or raise the limit", ErrFull, size>>20, s.cfg.MaxRepository>>20)
	}
	return nil
}

// body returns what the client sends.
func (x *Exchange) body(r *http.Request) (io.Reader, error) {
	if x.Refs {
		return http.NoBody, nil
	}
	want := "application/x-" + string(x.Service) + "-request"
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != want {
		return nil, fmt.Errorf("%w: the Content-Type must be %s", ErrRequest, want)
	}
	switch r.Header.Get("Content-Encoding") {
	case "", "identity", "gzip":
		return r.Body, nil
	}
	return nil, fmt.Errorf("%w: the Content-Encoding can be gzip and nothing else", ErrRequest)
}

// announce begins the answer of who is asked for references.
func announce(service Service) []byte {
	line := "# service=" + string(service) + "\n"
	return fmt.Appendf(nil, "%04x%s0000", len(line)+4, line)
}

// conversation is one exchange under way.
type conversation struct {
	exchange Exchange
	line     *line
	body     io.Reader
	process  *process
	push     *push
	preface  []byte

	begun bool
	bytes int
}

// limited bounds what is read of a body, unpacked or not.
func (c *conversation) limited(body io.Reader, packed bool, maxPush int64) io.Reader {
	most := int64(mostWants)
	if c.exchange.Service == ReceivePack {
		most = maxPush + mostUnread
	}
	body = io.LimitReader(body, most)
	if packed {
		body = io.LimitReader(&unpacked{packed: body}, most)
	}
	return body
}

// unpacked is what gzip made smaller.
type unpacked struct {
	packed io.Reader
	reader *gzip.Reader
}

func (u *unpacked) Read(b []byte) (n int, err error) {
	if u.reader == nil {
		if u.reader, err = gzip.NewReader(u.packed); err != nil {
			return 0, err
		}
	}
	return u.reader.Read(b)
}

// run has client and git talk to each other to the end.
func (c *conversation) run() error {
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		c.feed()
	}()
	sent := c.answer()
	if sent != nil && c.exchange.Service == UploadPack {
		c.process.terminate()
	}
	// What a client that left does not read of a push is still to be looked at.
	_, unread := io.Copy(writerFunc(c.push.got), c.process.out)
	ended := c.process.wait()
	patience := time.Second // for the end of what the client says, which is on its way
	if c.exchange.Service == ReceivePack {
		patience = time.Until(c.line.step())
	}
	select {
	case <-fed:
	case <-time.After(patience):
		c.line.hangUp()
		<-fed
	}
	if ended == nil && !c.begun {
		sent = errors.Join(sent, c.send(nil)) // it has nothing to say, as to a probe with "0000"
	}
	return errors.Join(ended, sent, unread)
}

// feed gives git what the client sends. What git doesn't want any more is read
// all the same: a client that can't get rid of it would not read the answer.
func (c *conversation) feed() {
	defer c.process.in.Close()
	var to io.Writer = c.process.in
	b := make([]byte, 32<<10)
	for {
		n, err := c.body.Read(b)
		if n > 0 && to != io.Discard {
			failed := c.check(b[:n])
			if failed == nil {
				_, failed = to.Write(b[:n])
			}
			if failed != nil {
				to = io.Discard
				c.process.in.Close()
			}
		}
		if err != nil {
			return
		}
	}
}

// check looks at what a client pushes before git gets it.
func (c *conversation) check(b []byte) error {
	if c.exchange.Service != ReceivePack {
		return nil
	}
	if c.exchange.Allowed != nil {
		if err := c.exchange.Allowed(); err != nil {
			return err
		}
	}
	return c.push.sent(b)
}

// answer sends the client what git says.
func (c *conversation) answer() error {
	b := make([]byte, 32<<10)
	for {
		n, err := c.process.out.Read(b)
		if n > 0 {
			c.push.got(b[:n])
			if err := c.send(b[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (c *conversation) send(b []byte) error {
	if !c.begun {
		c.begun = true
		c.header()
		if len(c.preface) > 0 {
			b = append(c.preface, b...)
		}
	}
	n, err := c.line.Write(b)
	c.bytes += n
	return err
}

// writerFunc is a function that looks at what is written.
type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) {
	f(b)
	return len(b), nil
}

func (c *conversation) header() {
	form := "-result"
	if c.exchange.Refs {
		form = "-advertisement"
	}
	h := c.line.w.Header()
	h.Set("Content-Type", "application/x-"+string(c.exchange.Service)+form)
	h.Set("Cache-Control", "no-cache, no-store, max-age=0, must-revalidate")
	c.line.w.WriteHeader(http.StatusOK)
}

func (c *conversation) report() Report {
	return Report{Begun: c.begun, Bytes: c.bytes, Updates: c.push.asked()}
}
