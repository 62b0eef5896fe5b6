package pbxsim

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// SignIn signs c, which keeps cookies and follows no redirect, in by the sign-in
// page of a PBX at origin, as a browser does. It errs with what the page says.
func SignIn(ctx context.Context, c *http.Client, origin, user, password string) error {
	_, page, err := ask(ctx, c, http.MethodGet, origin, nil)
	if err != nil {
		return err
	}
	status, page, err := ask(ctx, c, http.MethodPost, origin, url.Values{
		tokenField: {find(page, `name="`+tokenField+`" value="([^"]+)"`)}, "username": {user}, "password": {password},
	})
	if err == nil && status != http.StatusSeeOther {
		err = fmt.Errorf("status %d: %s", status, find(page, `id="error"[^>]*>([^<]+)<`))
	}
	return err
}

func ask(ctx context.Context, c *http.Client, method, origin string, form url.Values) (status int, page string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, origin+"/login", strings.NewReader(form.Encode()))
	if err != nil {
		return 0, "", err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", origin)
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(b), err
}

func find(page, pattern string) string {
	if m := regexp.MustCompile(pattern).FindStringSubmatch(page); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

// OrderAccount hands a local door at url one order that stands in JSON, as a
// program on the PBX. It errs with the PBX's words.
func OrderAccount(ctx context.Context, url string, order io.Reader) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+accountWay, io.LimitReader(order, maxOrder))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // and no proxy
	resp, err := c.Do(r)
	if err != nil {
		return fmt.Errorf("the PBX does not answer: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		words, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // what there is of them
		return errors.New(strings.TrimSpace(string(words)))
	}
	return nil
}
