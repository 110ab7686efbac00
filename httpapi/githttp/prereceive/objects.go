package prereceive

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/folder"
)

// objects reads what is in the repository and in quarantine, by git, which was
// told where by whoever started us.
type objects struct {
	git string

	blobs *exec.Cmd // git cat-file, which is asked for one after another
	ask   io.WriteCloser
	told  *bufio.Reader
}

// entry is one line of a tree.
type entry struct {
	mode filemode.FileMode
	id   string
}

// errTooMany: a folder holds more files than anybody could mean.
var errTooMany = errors.New("too many files")

func (o *objects) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, o.git, args...)
	cmd.Stderr = os.Stderr
	return cmd
}

// version reads the folder of definitions of a commit. Nothing is where the commit
// is: a branch that is not there.
func (o *objects) version(ctx context.Context, commit string, allowed int) (*version, error) {
	v := &version{files: make(map[string]entry)}
	if commit == "" {
		return v, nil
	}
	err := o.tree(ctx, func(_ string, e entry) error {
		if !definition.IsFolder(e.mode) {
			v.set = definition.NoFolder(e.mode)
			return nil
		}
		v.folder = e.id
		return nil
	}, commit, definition.Folder)
	if err != nil || v.folder == "" {
		return v, err
	}
	most := 10_000 + 4*allowed
	err = o.tree(ctx, func(name string, e entry) error {
		if len(v.files) == most {
			return errTooMany
		}
		v.files[name] = e
		return nil
	}, v.folder)
	return v, err
}

// read parses the files of a version.
func (o *objects) read(ctx context.Context, v *version, allowed int) error {
	if v.folder == "" {
		return nil
	}
	var files []folder.File
	for name, e := range v.files {
		files = append(files, folder.File{Name: name, Mode: e.mode, Read: func(limit int64) ([]byte, error) { return o.content(ctx, "blob", e.id, limit) }})
	}
	var err error
	v.set, err = folder.Read(files, allowed)
	return err
}

// tree shows the lines of a tree, or those of some paths in it.
func (o *objects) tree(ctx context.Context, each func(name string, e entry) error, args ...string) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := o.command(ctx, append([]string{"ls-tree", "-z", "--full-tree"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewReader(out)
	for err == nil {
		var line string
		if line, err = lines.ReadString(0); err == nil {
			err = parseEntry(strings.TrimSuffix(line, "\x00"), each)
		}
	}
	if err == io.EOF {
		return cmd.Wait()
	}
	cancel()
	_ = cmd.Wait() // it was killed
	return err
}

// parseEntry reads "mode type id<tab>name".
func parseEntry(line string, each func(name string, e entry) error) error {
	head, name, ok := strings.Cut(line, "\t")
	words := strings.Fields(head)
	if !ok || len(words) != 3 {
		return fmt.Errorf("git ls-tree says %.80q", line)
	}
	mode, err := filemode.New(words[0])
	if err != nil {
		return fmt.Errorf("git ls-tree says %.80q", line)
	}
	return each(name, entry{mode: mode, id: words[2]})
}

// content returns what an object of a kind, such as blob, holds, of a longer one the
// first limit bytes.
func (o *objects) content(ctx context.Context, kind, id string, limit int64) ([]byte, error) {
	if o.blobs == nil {
		if err := o.begin(ctx); err != nil {
			return nil, err
		}
	}
	if _, err := io.WriteString(o.ask, id+"\n"); err != nil {
		return nil, err
	}
	line, err := o.told.ReadString('\n')
	if err != nil {
		return nil, err
	}
	words := strings.Fields(line)
	if len(words) != 3 || words[1] != kind {
		return nil, fmt.Errorf("git cat-file says %.80q", line)
	}
	size, err := strconv.ParseInt(words[2], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("git cat-file says %.80q", line)
	}
	var content bytes.Buffer
	if _, err := io.CopyN(&content, o.told, min(size, limit)); err != nil {
		return nil, err
	}
	_, err = io.CopyN(io.Discard, o.told, size-min(size, limit)+1) // and the line break
	return content.Bytes(), err
}

// references counts the references there are, up to most.
func (o *objects) references(ctx context.Context, most int) (int, error) {
	out, err := o.command(ctx, "for-each-ref", "--format=x", "--count="+strconv.Itoa(most)).Output()
	return bytes.Count(out, []byte("\n")), err
}

func (o *objects) begin(ctx context.Context) (err error) {
	o.blobs = o.command(ctx, "cat-file", "--batch")
	if o.ask, err = o.blobs.StdinPipe(); err != nil {
		return err
	}
	out, err := o.blobs.StdoutPipe()
	if err != nil {
		return err
	}
	o.told = bufio.NewReader(out)
	return o.blobs.Start()
}

// close ends git.
func (o *objects) close() error {
	if o.blobs == nil || o.blobs.Process == nil {
		return nil
	}
	return errors.Join(o.ask.Close(), o.blobs.Wait())
}
