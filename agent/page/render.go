package page

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io"
	"net/http"
	"path"

	"trunkline/internal/service"
)

//go:embed assets
var files embed.FS

var kinds = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

// version makes the addresses of the files change with their content.
var version = func() string {
	h := sha256.New()
	for _, name := range []string{"page.css", "page.js", "logo.svg"} {
		b, err := files.ReadFile("assets/" + name)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}()

func file(name string) string { return "/assets/" + name + "?v=" + version }

func (g *Page) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	b, err := files.ReadFile("assets/" + name)
	kind := kinds[path.Ext(name)]
	if err != nil || kind == "" {
		g.fail(w, r, http.StatusNotFound, "Nothing here", "There is no such file.")
		return
	}
	w.Header().Set("Content-Type", kind)
	if r.URL.Query().Get("v") == version {
		w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	_, _ = w.Write(b)
}

// document is a whole page.
func document(title, class string, header, main markup) markup {
	return "<!doctype html>\n" + tag("html", attrs{"lang", "en"},
		tag("head", nil,
			tag("meta", attrs{"charset", "utf-8"}),
			tag("meta", attrs{"name", "viewport", "content", "width=device-width, initial-scale=1"}),
			tag("meta", attrs{"name", "color-scheme", "content", "light dark"}),
			tag("meta", attrs{"name", "robots", "content", "noindex"}),
			tag("title", nil, text(title+" · Remote Management")),
			tag("link", attrs{"rel", "icon", "type", "image/svg+xml", "href", file("logo.svg")}),
			tag("link", attrs{"rel", "stylesheet", "href", file("page.css")}),
			tag("script", attrs{"src", file("page.js"), "defer?", "1"}),
		),
		tag("body", nil,
			tag("a", attrs{"class", "skip", "href", "#main"}, text("Skip to the content")),
			header,
			tag("main", attrs{"id", "main", "tabindex", "-1", "class", class}, main),
			tag("footer", attrs{"class", "foot"}, text("Trunkline agent "+service.Version)),
		))
}

func brand() markup {
	return tag("span", attrs{"class", "brand"},
		tag("img", attrs{"src", file("logo.svg"), "width", "30", "height", "30", "alt", ""}), tag("span", nil, text("Remote Management")))
}

// narrow is a page of one card, for who has not signed in.
func (g *Page) narrow(w http.ResponseWriter, status int, title string, card markup) {
	write(w, status, document(title, "narrow", tag("header", attrs{"class", "masthead"}, brand()),
		tag("section", attrs{"class", "card", "aria-labelledby", "h"}, card)))
}

// fail is a page that says what went wrong.
func (g *Page) fail(w http.ResponseWriter, _ *http.Request, status int, title, words string) {
	g.narrow(w, status, title, join(
		tag("h1", attrs{"id", "h"}, text(title)),
		tag("p", nil, text(words)),
		tag("p", nil, tag("a", attrs{"class", "btn", "href", "/"}, text("Back")))))
}

func write(w http.ResponseWriter, status int, m markup) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, string(m)) // who asked is gone if this fails
}
