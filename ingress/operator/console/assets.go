package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/gin-gonic/gin"

	"mailroom/shared/fault"
)

// htmxSHA256 is the hash of static/htmx.min.js, which a test compares. The file is
// dist/htmx.min.js of the npm package htmx.org 2.0.11, as it was published.
const htmxSHA256 = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"

//go:embed static templates
var files embed.FS

// assets are the files that pages link to, under names with their hash in them, so
// that browsers keep them for good.
type assets struct {
	byName map[string]asset  // by the name with the hash
	hashed map[string]string // the name with the hash, by the plain one
}

type asset struct {
	contentType string
	content     []byte
}

func newAssets() (*assets, error) {
	a := &assets{byName: map[string]asset{}, hashed: map[string]string{}}
	entries, err := fs.ReadDir(files, "static")
	if err != nil {
		return nil, fmt.Errorf("read static files: %w", err)
	}

	for _, e := range entries {
		content, err := files.ReadFile("static/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("read static file: %w", err)
		}
		ext := path.Ext(e.Name())
		sum := sha256.Sum256(content)
		name := strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext
		contentType := mime.TypeByExtension(ext)
		if known := map[string]string{
			".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
			".LICENSE": "text/plain; charset=utf-8",
		}[ext]; known != "" {
			contentType = known
		}
		a.byName[name] = asset{contentType, content}
		a.hashed[e.Name()] = name
	}

	return a, nil
}

// url returns the path of a file. A test checks that templates name only files that
// exist.
func (a *assets) url(name string) (string, error) {
	hashed, ok := a.hashed[name]
	if !ok {
		return "", fmt.Errorf("no static file %s", name)
	}
	return "/static/" + hashed, nil
}

func (a *assets) serve(c *gin.Context) error {
	file, ok := a.byName[c.Param("name")]
	if !ok {
		return fault.New(fault.NotFound, "there is no such file")
	}
	header := c.Writer.Header()
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Set("X-Content-Type-Options", "nosniff")
	c.Data(http.StatusOK, file.contentType, file.content)
	return nil
}

// favicon serves the icon under the name that browsers request by themselves.
func (a *assets) favicon(c *gin.Context) error {
	file := a.byName[a.hashed["icon.svg"]]
	c.Header("Cache-Control", "public, max-age=86400")
	c.Data(http.StatusOK, file.contentType, file.content)
	return nil
}
