package proposal

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"secretsync/gitstore/durable"
	"secretsync/gitstore/forge"
)

// mostKnown is how many proposals of a tenant are kept in mind.
const mostKnown = 300

// recall reads what was kept. What can't be read is as nothing: the forge knows what
// is open.
func (k *Keeper) recall() {
	content, err := os.ReadFile(k.cfg.File)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = json.Unmarshal(content, &k.known)
	}
	if err != nil {
		k.known = nil
		k.log.Warn("what was proposed before is not known any more; what is open is asked of the forge", "error", err)
	}
}

// remember keeps what is known, the newest if it is too much, and writes it down.
func (k *Keeper) remember() {
	for len(k.known) > mostKnown {
		ended := slices.IndexFunc(k.known, func(p Proposal) bool { return p.State != forge.Open && !p.Untidy })
		k.known = slices.Delete(k.known, max(ended, 0), max(ended, 0)+1)
	}
	content, err := json.Marshal(k.known)
	if err == nil {
		err = durable.MkdirAll(filepath.Dir(k.cfg.File))
	}
	if err == nil {
		err = durable.Replace(k.cfg.File, content)
	}
	if err != nil {
		k.log.Warn("what was proposed will not be known after a restart", "error", err)
	}
}
