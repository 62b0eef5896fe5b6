package service

import (
	"context"
	"net/http"
)

// NotReady is an answer that is not success: its status. Any other error of Ready
// and Answers is that nobody answered.
type NotReady string

func (n NotReady) Error() string { return string(n) }

// Ready asks a daemon's admin listener, host:port, whether it can do its job.
func Ready(ctx context.Context, admin string) error {
	return Answers(ctx, "http://"+admin+"/readyz")
}

// Answers errs if a page does not answer with status 200.
func Answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return NotReady(resp.Status)
	}
	return nil
}
