package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"strconv"
)

//go:embed assets/style.css assets/console.js assets/icon.svg
var assets embed.FS

// assetPath has a hash of what it leads to, so that browsers may keep it for ever
// and have the new one at once.
var assetPath = "/console/assets/" + assetHash() + "/"

var assetNames = []string{"style.css", "console.js", "icon.svg"}

func assetHash() string {
	h := sha256.New()
	for _, name := range assetNames {
		content, err := assets.ReadFile("assets/" + name)
		if err != nil {
			panic(err) // it is embedded
		}
		h.Write(content)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	content, err := assets.ReadFile("assets/" + name)
	if err != nil {
		http.Error(w, "there is no such file", http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	h.Set("Content-Length", strconv.Itoa(len(content)))
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(content) // a client that went away is no error of ours
	}
}
