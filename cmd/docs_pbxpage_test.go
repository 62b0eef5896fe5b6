package cmd_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// pbxPage is the Remote Management page of a machine's agent, as somebody who
// reads its words uses it.
type pbxPage struct {
	t    *testing.T
	base string
	http *http.Client
}

// openPBX opens a machine's page, and sets its password if it is the first to.
func (m *machine) openPBX() *pbxPage {
	m.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		m.t.Fatal(err)
	}
	p := &pbxPage{t: m.t, base: m.to.Replace("http://" + pageListen), http: &http.Client{Jar: jar, Transport: &http.Transport{}}}
	m.t.Cleanup(p.http.CloseIdleConnections)
	const password = "a page of one's own"
	for late := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		resp, err := p.http.PostForm(p.base+"/password", url.Values{"password": {password}, "again": {password}})
		if err == nil {
			p.read(resp, nil)
			p.read(p.http.PostForm(p.base+"/sign-in", url.Values{"password": {password}}))
			return p
		}
		if time.Now().After(late) {
			m.t.Fatal(err)
		}
	}
}

// says is what the page shows of the connection's status.
func (p *pbxPage) says() (state, all string) {
	p.t.Helper()
	body := p.read(p.http.Get(p.base + "/live"))
	m := regexp.MustCompile(`id="state">([^<]*)<`).FindStringSubmatch(body)
	if m == nil {
		return "", body
	}
	return m[1], html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " "))
}

func (p *pbxPage) read(resp *http.Response, err error) string {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		p.t.Fatal(err)
	}
	return b.String()
}

// save fills in the form, by the words that are beside its fields and on its
// choices, and gives the page that follows. What is not named stays as it is.
func (p *pbxPage) save(typed map[string]string) string {
	p.t.Helper()
	doc, err := html.Parse(strings.NewReader(p.read(p.http.Get(p.base + "/"))))
	if err != nil {
		p.t.Fatal(err)
	}
	form, met := url.Values{}, map[string]bool{}
	for n := range doc.Descendants() {
		name, label := attribute(n, "name"), labelOf(doc, attribute(n, "id"))
		value, ok := typed[label]
		switch {
		case name == "" || attribute(n, "type") == "checkbox" || attribute(n, "type") == "file":
			continue
		case strings.HasPrefix(name, "account_"): // another part of the page, with a password of its own
			value, ok = attribute(n, "value"), false
		case n.Data == "select" && ok:
			value = choice(n, value)
		case n.Data == "select":
			value = chosen(n)
		case !ok:
			value = attribute(n, "value")
		}
		met[label] = met[label] || ok
		form.Set(name, value)
	}
	for label := range typed {
		if !met[label] {
			p.t.Errorf("the page has no field %q", label)
		}
	}
	return p.read(p.http.PostForm(p.base+"/save", form))
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func words(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.TrimSpace(b.String())
}

func labelOf(doc *html.Node, id string) string {
	for n := range doc.Descendants() {
		if n.Data == "label" && attribute(n, "for") == id {
			return words(n)
		}
	}
	return ""
}

// choice is the value of the option that has the words.
func choice(n *html.Node, of string) string {
	for o := range n.Descendants() {
		if o.Data == "option" && words(o) == of {
			return attribute(o, "value")
		}
	}
	return fmt.Sprintf("no option %q", of)
}

func chosen(n *html.Node) (first string) {
	for o := range n.Descendants() {
		if o.Data != "option" {
			continue
		}
		if slices.ContainsFunc(o.Attr, func(a html.Attribute) bool { return a.Key == "selected" }) {
			return attribute(o, "value")
		}
		if first == "" {
			first = attribute(o, "value")
		}
	}
	return first
}
