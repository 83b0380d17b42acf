// Package assets holds the scripts, styles and images of the pages, and serves them.
//
// Must not import: any other package of Baton.
package assets

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed *.css *.js *.json *.svg vendor
var files embed.FS

// served are the file types that browsers get. Other files in the directory are for developers.
var served = map[string]bool{".js": true, ".css": true, ".svg": true, ".woff2": true, ".png": true}

// version is a hash of all assets. Their addresses contain it, so browsers may cache them forever.
var version = sync.OnceValue(func() string {
	sum := sha256.New()
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := files.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read the asset %s: %w", name, err)
		}
		sum.Write(content)
		return nil
	})
	if err != nil {
		panic(err) // they are embedded in the program
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
})

// Path returns the path of an asset, for example /assets/0f…/style.css.
func Path(name string) string { return "/assets/" + version() + "/" + name }

// Handler serves the assets. A request for another version gets the current file, but browsers may cache it only if
// the versions match: while gateways are replaced, a page of a new gateway may load its assets from an old one.
func Handler(log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/assets/"), "/")
		content, err := files.ReadFile(path.Clean(name))
		if err != nil || !served[path.Ext(name)] {
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) {
				log.ErrorContext(r.Context(), "asset not read", "error", err)
			}
			http.Error(w, "There is no such file.", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
		w.Header().Set("Cache-Control", "no-store")
		if asked == version() {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		if _, err := w.Write(content); err != nil { //nolint:gosec // an embedded file
			return // the client has disconnected
		}
	})
}
