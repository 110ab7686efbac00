package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"secretsync/gitstore/durable"
)

// dataFormat is the newest format of the data folder that this program knows, and
// the one it writes. The folder says its own in the file named dataFormatFile; a
// folder without that file is of format 1.
//
// What is in the folder, and what its format covers:
//
//	repositories/<tenant>.git   Git's own format, which its config says; see gitstore
//	  secretsync/*              caches: what is not understood is made anew
//	keys/*                      API keys: each file says its own, see apikey
//	keys-used.json, reports/,   caches and memories: what is not understood is as if
//	proposals/, git/            it were not there
//	hash.key, format            this format, as is which files there are
//
// The number is raised only by a change that an older program would get wrong.
const (
	dataFormat     = 1
	dataFormatFile = "format"
)

// checkDataFormat fails if a newer version has written the data folder. It is asked
// before anything is written there.
func checkDataFormat(dir string) error {
	path := filepath.Join(dir, dataFormatFile)
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
	case format > dataFormat:
		return fmt.Errorf("the data folder %s is of format %d, and this version of secretsync knows format %d at most: start the version that used it last, or a newer one; to stay with this one, give it a data folder as it was backed up before the upgrade", dir, format, dataFormat)
	}
	return nil
}

// noteDataFormat writes down which format the data folder has, where it does not say.
func noteDataFormat(dir string) error {
	path := filepath.Join(dir, dataFormatFile)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := durable.Replace(path, fmt.Appendf(nil, "%d\n", dataFormat)); err != nil {
		return fmt.Errorf("note the format of the data folder: %w", err)
	}
	return nil
}
