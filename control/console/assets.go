package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"

	"trunkline/internal/fault"
)

//go:embed assets
var assetFiles embed.FS

// assets are the files by the name that pages use. That name has the hash of
// the content in it, so a browser may keep a file for ever and an update is
// seen at once.
type assets struct {
	byPath map[string]asset  // hashed name
	hashed map[string]string // plain name -> path on the console
}

type asset struct {
	kind          string // Content-Type
	plain, zipped []byte // zipped is nil if it would not be smaller
}

var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

func loadAssets() (assets, error) {
	a := assets{byPath: map[string]asset{}, hashed: map[string]string{}}
	files, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		return a, fmt.Errorf("read assets: %w", err)
	}
	for _, f := range files {
		b, err := assetFiles.ReadFile("assets/" + f.Name())
		if err != nil {
			return a, fmt.Errorf("read asset: %w", err)
		}
		ext := path.Ext(f.Name())
		if assetTypes[ext] == "" {
			return a, fmt.Errorf("asset %s: unknown type", f.Name())
		}
		sum := sha256.Sum256(b)
		name := strings.TrimSuffix(f.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext
		a.byPath[name] = asset{kind: assetTypes[ext], plain: b, zipped: zip(b)}
		a.hashed[f.Name()] = "/assets/" + name
	}
	return a, nil
}

// url is the template function "asset"; a misspelt name fails the first test.
func (a assets) url(name string) (string, error) {
	p, ok := a.hashed[name]
	if !ok {
		return "", fmt.Errorf("no asset %q", name)
	}
	return p, nil
}

func zip(b []byte) []byte {
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	_, _ = z.Write(b) // a bytes.Buffer takes everything
	_ = z.Close()
	if buf.Len() >= len(b) {
		return nil
	}
	return buf.Bytes()
}

func (c *console) asset(w *response, r *http.Request) error {
	a, ok := c.assets.byPath[r.PathValue("name")]
	if !ok {
		return fault.New(fault.NotFound, "There is no such file.")
	}
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := a.plain
	if a.zipped != nil && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		body = a.zipped
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
	return nil
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3) as far as it
// matters here: gzip named, and not with a quality of zero.
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			continue
		}
		q, ok := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(params), " ", ""), "q=")
		if !ok {
			return true
		}
		v, err := strconv.ParseFloat(q, 64)
		return err == nil && v > 0
	}
	return false
}
