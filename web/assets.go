package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed assets
var assets embed.FS

// served are the kinds of file that browsers get: what else lies beside them is for people.
var served = map[string]bool{".js": true, ".css": true, ".svg": true, ".woff2": true, ".png": true}

// version is made of the content of all assets: their addresses change with them, so browsers may keep them.
var version = sync.OnceValue(func() string {
	sum := sha256.New()
	err := fs.WalkDir(assets, "assets", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := assets.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read the asset %s: %w", name, err)
		}
		sum.Write(content)
		return nil
	})
	if err != nil {
		panic(err) // they are in the program
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
})

// assetPath is the address of an asset, as /assets/0f…/style.css.
func assetPath(name string) string { return "/assets/" + version() + "/" + name }

// assets serves what pages load. Whatever version is asked for gets this one, but is to be kept only where it is
// this one: while gateways are replaced, a page of the new one may ask the old one.
func (s *Site) assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/assets/"), "/")
		content, err := assets.ReadFile(path.Join("assets", name))
		if err != nil || !served[path.Ext(name)] {
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) {
				s.log.ErrorContext(r.Context(), "An asset can't be read", "error", err)
			}
			http.Error(w, "There is no such file.", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
		w.Header().Set("Cache-Control", "no-store")
		if asked == version() {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		if _, err := w.Write(content); err != nil { //nolint:gosec // a file of ours
			return // whoever asked is gone
		}
	})
}
