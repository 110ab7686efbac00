package config

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"secretsync/gitstore/internal/gitdir/disk"
)

// sharing is what core.sharedRepository says of the modes of files and folders.
// Zero: they are what the process makes them.
type sharing struct {
	mode  fs.FileMode
	exact bool // mode is all there is; else it comes on top
}

// parseSharing reads core.sharedRepository as Git does.
func parseSharing(value string) (sharing, error) {
	const group, everybody = 0o660, 0o664
	switch strings.ToLower(value) {
	case "umask":
		return sharing{}, nil
	case "group":
		return sharing{mode: group}, nil
	case "all", "world", "everybody":
		return sharing{mode: everybody}, nil
	}
	n, err := strconv.ParseUint(value, 8, 32)
	if err != nil {
		on, ok := parseBool(value)
		if !ok {
			return sharing{}, fmt.Errorf("core.sharedRepository is %.40q; use group, all, umask or a mode such as 0660", value)
		}
		if on {
			return sharing{mode: group}, nil
		}
		return sharing{}, nil
	}
	switch n {
	case 0:
		return sharing{}, nil
	case 1:
		return sharing{mode: group}, nil
	case 2:
		return sharing{mode: everybody}, nil
	}
	if n&0o600 != 0o600 {
		return sharing{}, fmt.Errorf("core.sharedRepository is %.40q, which would keep the owner out; use group, all, umask or a mode such as 0660", value)
	}
	return sharing{mode: fs.FileMode(n & 0o666), exact: true}, nil
}

// of returns the mode of a file or folder that was made with another one.
func (s sharing) of(made fs.FileMode) fs.FileMode {
	if s == (sharing{}) {
		return made
	}
	add := s.mode
	if made&0o200 == 0 {
		add &^= 0o222
	}
	if made&0o100 != 0 {
		add |= add & 0o444 >> 2
	}
	mode := made | add
	if s.exact {
		mode = made&^fs.ModePerm | add
	}
	if made.IsDir() && mode&0o060 != 0 {
		mode |= fs.ModeSetgid // what is made in it belongs to its group
	}
	return mode
}

// sharedFS gives what is made in a repository the modes that it asks for.
type sharedFS struct {
	disk.FileSystem
	config *Files
}

// Shared returns fsys such that what is made with it has the modes that the
// repository asks for.
func (c *Files) Shared(fsys disk.FileSystem) disk.FileSystem { return sharedFS{fsys, c} }

func (s sharedFS) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := s.FileSystem.OpenFile(name, flag, perm)
	if err != nil || flag&os.O_CREATE == 0 || s.config.Get().sharing == (sharing{}) {
		return f, err
	}
	if err := s.share(name); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (s sharedFS) Mkdir(name string, perm fs.FileMode) error {
	err := s.FileSystem.Mkdir(name, perm)
	if err != nil || s.config.Get().sharing == (sharing{}) {
		return err
	}
	return s.share(name)
}

func (s sharedFS) share(name string) error {
	info, err := s.Lstat(name)
	if err != nil {
		return err
	}
	const bits = fs.ModePerm | fs.ModeSetgid
	if mode := s.config.Get().sharing.of(info.Mode()); mode&bits != info.Mode()&bits {
		return s.Chmod(name, mode&bits)
	}
	return nil
}
