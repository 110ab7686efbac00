package refs

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"secretsync/gitstore/internal/gitdir/disk"
)

// Folder is the folder of a repository's references. It is never made but with
// the repository.
func Folder(repo string) string { return filepath.Join(repo, "refs") }

// BranchFolder begins the full name of each branch.
const BranchFolder = "refs/heads/"

// BranchRef returns the full name of a branch, or why there can't be one of that
// name.
func BranchRef(short string) (string, error) {
	if !wellFormed(short) {
		return "", fmt.Errorf("%.80q is no name of a branch, see git help check-ref-format", short)
	}
	return BranchFolder + short, nil
}

// Check fails unless a full name is one that a reference can have, below refs/.
func Check(name string) error {
	if within, ok := strings.CutPrefix(name, "refs/"); !ok || !strings.Contains(within, "/") || !wellFormed(name) {
		return fmt.Errorf("%.80q is no full name of a reference such as refs/notes/commits, see git help check-ref-format", name)
	}
	return nil
}

func wellFormed(short string) bool {
	bad := strings.ContainsAny(short, " ~^:?*[\\\x7f") || strings.Contains(short, "..") || strings.Contains(short, "@{") ||
		strings.Contains(short, "//") || strings.HasPrefix(short, "/") || strings.HasSuffix(short, "/") || strings.HasSuffix(short, ".")
	for _, c := range short {
		bad = bad || c < ' '
	}
	for part := range strings.SplitSeq(short, "/") {
		bad = bad || part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock")
	}
	return !bad
}

// Branches returns the names, sorted, of some of the branches there are: at most
// so many.
func Branches(fsys disk.FileSystem, repo string, most int) ([]string, error) {
	folder := strings.TrimSuffix(BranchFolder, "/")
	found := make(map[string]bool)
	add := func(name string) bool {
		found[strings.TrimPrefix(name, BranchFolder)] = true
		return len(found) < most
	}
	if err := walkLoose(fsys, repo, folder, add); err != nil {
		return nil, err
	}
	if len(found) < most {
		err := walkPacked(fsys, repo, func(name, _ []byte) bool {
			return !isFolderOf(folder, string(name)) || add(string(name))
		})
		if err != nil {
			return nil, err
		}
	}
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}
