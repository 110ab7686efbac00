package datafolder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhichDataFoldersAreTaken(t *testing.T) {
	for name, c := range map[string]struct {
		format  *string // nil: no such file
		refused string  // a part of the cause; empty: it is taken
	}{
		"one of before there were formats": {nil, ""},
		"one of this format":               {new("1\n"), ""},
		"one of a newer version":           {new("2\n"), "start the version that used it last, or a newer one"},
		"one of long after":                {new("10"), "format 10, and this version of secretsync knows format 1 at most"},
		"an empty file":                    {new(""), "no format of a data folder"},
		"something else":                   {new("secret\n"), "no format of a data folder"},
		"none that there is":               {new("0\n"), "no format of a data folder"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := Format(dir)
			if c.format != nil {
				if err := os.WriteFile(path, []byte(*c.format), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := Check(dir)
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), dir) {
					t.Errorf("refused with %v", err)
				}
				return
			}
			if err == nil {
				err = Note(dir)
			}
			if err != nil {
				t.Fatal(err)
			}
			if content, err := os.ReadFile(path); err != nil || string(content) != "1\n" {
				t.Errorf("afterwards it says %q, %v", content, err)
			}
		})
	}
	if err := Check(filepath.Join(t.TempDir(), "none yet")); err != nil {
		t.Errorf("one that is not there yet: %v", err)
	}
}
