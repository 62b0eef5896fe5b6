package pbxsim

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed web
var web embed.FS

// gzipWorth is the size from which an asset is served compressed: below one
// TCP segment there is nothing to win.
const gzipWorth = 1024

type asset struct {
	kind       string
	plain, gz  []byte // gz is nil when it would not pay
	etag, etgz string
}

// assets is every file under /assets/, made once for all portals of a process.
var assets = sync.OnceValue(func() map[string]asset {
	all := make(map[string]asset)
	for _, dir := range []string{"css", "js"} {
		names, err := fs.Glob(web, "web/"+dir+"/*")
		if err != nil {
			panic("BUG: list embedded assets: " + err.Error())
		}
		for _, name := range names {
			b, err := web.ReadFile(name)
			if err != nil {
				panic("BUG: read embedded asset: " + err.Error())
			}
			all[dir+"/"+path.Base(name)] = newAsset(name, b)
		}
	}
	for name, svg := range images() {
		all["img/"+name] = newAsset(name, []byte(svg))
	}
	return all
})

func newAsset(name string, b []byte) asset {
	sum := sha256.Sum256(b)
	tag := hex.EncodeToString(sum[:8])
	a := asset{kind: mime.TypeByExtension(path.Ext(name)), plain: b, etag: `"` + tag + `"`, etgz: `"` + tag + `-gz"`}
	switch path.Ext(name) { // not by the machine's mime.types
	case ".js":
		a.kind = "text/javascript; charset=utf-8"
	case ".css":
		a.kind = "text/css; charset=utf-8"
	case ".svg":
		a.kind = "image/svg+xml"
	}
	if len(b) < gzipWorth {
		return a
	}
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, err := z.Write(b)
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic("BUG: compress into memory: " + err.Error())
	}
	a.gz = buf.Bytes()
	return a
}

// serveAsset is for revalidation rather than for ever: each page load asks
// for all of them and gets 304, which is what appliances do to their proxies.
func serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := assets()[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	body := a.plain
	h.Set("ETag", a.etag)
	if a.gz != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Values("Accept-Encoding")) && r.Header.Get("Range") == "" {
			body = a.gz
			h.Set("ETag", a.etgz)
			h.Set("Content-Encoding", "gzip")
			h.Set("Content-Length", strconv.Itoa(len(body))) // ServeContent sets none beside an encoding
		}
	}
	http.ServeContent(w, r, "", built, bytes.NewReader(body))
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3) as far as gzip goes.
func acceptsGzip(values []string) bool {
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			coding, params, _ := strings.Cut(item, ";")
			if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
				continue
			}
			q, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
			f, err := strconv.ParseFloat(q, 64)
			return !ok || err == nil && f > 0
		}
	}
	return false
}

// tones are the colours an icon comes in.
var tones = map[string]string{
	"dim": "#8fa3c0", "white": "#ffffff", "blue": "#2563eb", "green": "#0f9d6b", "amber": "#c77700", "red": "#d13438",
	"violet": "#6d4bd8", "grey": "#64748b",
}

// icons are line drawings on a grid of 24.
var icons = map[string]string{
	"dashboard":   `<rect x="3" y="3" width="7" height="9" rx="1.5"/><rect x="14" y="3" width="7" height="5" rx="1.5"/><rect x="14" y="12" width="7" height="9" rx="1.5"/><rect x="3" y="16" width="7" height="5" rx="1.5"/>`,
	"extensions":  `<circle cx="9" cy="8" r="3.5"/><path d="M2.5 20c.6-3.6 3.2-5.5 6.5-5.500s5.9 1.9 6.5 5.500M15.5 4.800a3.5 3.5 0 0 1 0 6.400M17.5 14.900c2.2.7 3.6 2.4 4 5.1"/>`,
	"trunks":      `<rect x="3" y="4" width="18" height="7" rx="1.5"/><rect x="3" y="13" width="18" height="7" rx="1.5"/><path d="M7 7.500h.01M7 16.500h.01M11 7.500h6M11 16.500h6"/>`,
	"calls":       `<path d="M5 3h4l2 5-2.5 1.500a11 11 0 0 0 6 6L16 13l5 2v4a2 2 0 0 1-2 2A16 16 0 0 1 3 5a2 2 0 0 1 2-2z"/>`,
	"cdr":         `<path d="M8 6h13M8 12h13M8 18h13M3.5 6h.01M3.5 12h.01M3.5 18h.01"/>`,
	"recordings":  `<rect x="9" y="2.5" width="6" height="11" rx="3"/><path d="M5 11a7 7 0 0 0 14 0M12 18v3.500M8.5 21.500h7"/>`,
	"maintenance": `<path d="M14.5 6.500a4 4 0 0 1 5-3.800L17 5.200l.6 2.2 2.2.6 1.7-1.700a4.5 4.5 0 0 1-6 5L8 19a2.1 2.1 0 0 1-3-3l7.5-7.500a4 4 0 0 1 2-2z"/>`,
	"oplog":       `<path d="M12 2.500l8 3v6c0 5-3.4 8.5-8 10-4.6-1.5-8-5-8-10v-6z"/><path d="M8.5 12l2.5 2.5 4.5-5"/>`,
	"signout":     `<path d="M9 21H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2h4M16 17l5-5-5-5M21 12H9"/>`,
	"storage":     `<ellipse cx="12" cy="5" rx="8" ry="3"/><path d="M4 5v14c0 1.7 3.6 3 8 3s8-1.3 8-3V5M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3"/>`,
	"inbound":     `<path d="M20 4L8 16M8 7v9h9"/>`,
	"outbound":    `<path d="M5 19L18 6M9 6h9v9"/>`,
	"internal":    `<path d="M4 9h15l-4-4M20 15H5l4 4"/>`,
	"missed":      `<path d="M4 6l8 8 8-8M4 12V6h6"/>`,
	"download":    `<path d="M12 3v12M7 10.500l5 5 5-5M4 20.500h16"/>`,
	"upload":      `<path d="M12 16V4M7 8.500l5-5 5 5M4 20.500h16"/>`,
	"server":      `<rect x="3" y="3" width="18" height="8" rx="2"/><rect x="3" y="13" width="18" height="8" rx="2"/><path d="M7 7h.01M7 17h.01"/>`,
	"user":        `<circle cx="12" cy="8" r="4"/><path d="M4 21c.8-4.3 4-6.5 8-6.500s7.2 2.2 8 6.5"/>`,
	"desk":        `<path d="M4 8a8 5 0 0 1 16 0v2h-4V8H8v2H4zM7 12h10l2 8H5zM12 14.5v3M9.5 16h5"/>`,
	"laptop":      `<rect x="4" y="5" width="16" height="11" rx="1.5"/><path d="M2 19.5h20"/>`,
	"mobile":      `<rect x="7" y="2.5" width="10" height="19" rx="2"/><path d="M11 18.5h2"/>`,
	"conference":  `<circle cx="12" cy="12" r="3"/><path d="M12 9V3M9.5 14l-5 4M14.5 14l5 4"/>`,
	"pulse":       `<path d="M2.5 12h4l3-8 5 16 3-8h4"/>`,
}

func images() map[string]string {
	all := map[string]string{
		"logo-mark.svg": `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><defs><linearGradient id="g" x1="0" y1="0" x2="1" y2="1">` +
			`<stop offset="0" stop-color="#3b82f6"/><stop offset="1" stop-color="#1e40af"/></linearGradient></defs>` +
			`<rect width="32" height="32" rx="8" fill="url(#g)"/><path d="M10 7h4l2 5-2.5 1.500a10 10 0 0 0 5 5L20 16l5 2v4a3 3 0 0 1-3 3A15 15 0 0 1 7 10a3 3 0 0 1 3-3z" fill="#fff"/></svg>`,
		"calls-per-hour.svg": callsPerHour(),
	}
	for name, drawing := range icons {
		for tone, colour := range tones {
			all["icon-"+name+"-"+tone+".svg"] = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="` + colour +
				`" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round">` + drawing + `</svg>`
		}
	}
	for i, name := range people {
		all[fmt.Sprintf("avatar-%d.svg", 1001+i)] = avatar(i, name)
	}
	for i, s := range []struct{ name, colour string }{
		{"extensions", "#2563eb"}, {"trunks", "#0f9d6b"}, {"calls", "#6d4bd8"}, {"storage", "#c77700"},
	} {
		all["spark-"+s.name+".svg"] = sparkline(i, s.colour)
	}
	return all
}
