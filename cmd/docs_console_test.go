package cmd_test

import (
	"bytes"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"

	"trunkline/internal/controlapi"
)

// console is the provider's, as a browser of the owner's reads it.
type console struct {
	p    *provider
	http *http.Client
}

func (p *provider) console() *console {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	c := &console{p: p, http: &http.Client{Jar: jar, Transport: controlapi.NewTransport(p.tls)}}
	p.t.Cleanup(c.http.CloseIdleConnections)
	resp, err := c.http.PostForm("https://"+p.address+"/sign-in", url.Values{"email": {"you@example.com"}, "password": {readSecret(p.t, p.password)}})
	if err != nil {
		p.t.Fatal(err)
	}
	resp.Body.Close()
	return c
}

// pill is the status that a device's page shows, beside all of the page.
func (c *console) pill(d controlapi.Device) (status, body string) {
	c.p.t.Helper()
	resp, err := c.http.Get("https://" + c.p.address + "/devices/" + string(d.ID))
	if err != nil {
		c.p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		c.p.t.Fatal(err)
	}
	m := regexp.MustCompile(`(?s)class="pill[^"]*"[^>]*>(.*?)</`).FindStringSubmatch(b.String())
	if m == nil {
		return "", b.String()
	}
	return strings.TrimSpace(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(m[1], "")), b.String()
}
