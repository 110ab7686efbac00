package datafolder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"secretsync/gitstore/durable"
)

// newest is the newest format that this program knows, and the one it writes.
const newest = 1

// Check fails if a newer version has written the data folder. It is asked
// before anything is written there.
func Check(dir string) error {
	path := Format(dir)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("read the format of the data folder: %w", err)
	}
	text := strings.TrimSpace(string(content))
	switch format, err := strconv.Atoi(text); {
	case err != nil || format < 1:
		return fmt.Errorf("%s says %.40q, which is no format of a data folder; if no newer version of secretsync has used the folder, write 1 there", path, text)
	case format > newest:
		return fmt.Errorf("the data folder %s is of format %d, and this version of secretsync knows format %d at most: start the version that used it last, or a newer one; to stay with this one, give it a data folder as it was backed up before the upgrade", dir, format, newest)
	}
	return nil
}

// Note writes down which format the data folder has, where it does not say.
func Note(dir string) error {
	path := Format(dir)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := durable.Replace(path, fmt.Appendf(nil, "%d\n", newest)); err != nil {
		return fmt.Errorf("note the format of the data folder: %w", err)
	}
	return nil
}
