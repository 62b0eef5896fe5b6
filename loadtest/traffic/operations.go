package traffic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"trunkline/loadtest/clock"
	"trunkline/loadtest/content"
	"trunkline/loadtest/result"
	"trunkline/loadtest/scenario"
)

// perPage is how many files of a page a browser fetches at a time.
const perPage = 6

// outcome is what became of an operation's bytes.
type outcome = result.Checked

func (l *Load) page(t scenario.Traffic) operation {
	return func(ctx context.Context, s Site) (outcome, failure) {
		sum, first := l.get(ctx, s, "page", int64(t.Size), discard)
		if first.code != "" {
			return sum, first
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		slots := make(chan struct{}, perPage)
		for range t.Assets {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				found, bad := l.get(ctx, s, "file", int64(t.AssetSize), discard)
				mu.Lock()
				defer mu.Unlock()
				sum.Add(found)
				if first.code == "" {
					first = bad
				}
			})
		}
		wg.Wait()
		return sum, first
	}
}

func (l *Load) download(t scenario.Traffic) operation {
	return func(ctx context.Context, s Site) (outcome, failure) {
		return l.get(ctx, s, "recording", int64(t.Size), discard)
	}
}

// slow reads as a browser on a bad line does, or one whose disk is full.
func (l *Load) slow(t scenario.Traffic) operation {
	return func(ctx context.Context, s Site) (outcome, failure) {
		return l.get(ctx, s, "recording", int64(t.Size), func(w io.Writer, r io.Reader) error {
			const beat = 100 * time.Millisecond
			part := max(int64(t.ReadRate)/int64(time.Second/beat), 1)
			for next := time.Now(); ; next = next.Add(beat) {
				if !clock.Until(ctx, next) {
					return ctx.Err()
				}
				if _, err := io.CopyN(w, r, part); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
			}
		})
	}
}

func (l *Load) activate(ctx context.Context, _ Site) (outcome, failure) {
	if err := l.Activate(ctx); err != nil {
		return outcome{}, failed(why(err), "", err.Error())
	}
	return outcome{}, failure{}
}

func discard(w io.Writer, r io.Reader) error {
	_, err := io.Copy(w, r)
	return err
}

// get fetches a file and checks every byte of it.
func (l *Load) get(ctx context.Context, s Site, what string, size int64, read func(io.Writer, io.Reader) error) (outcome, failure) {
	id := content.ID{Device: s.Content, Object: l.object()}
	dest := "empty"
	if what == "page" {
		dest = "document" // for which a relay says that a pair's roles have swapped
	}
	resp, entry, bad := l.do(ctx, s, http.MethodGet, fmt.Sprintf("/%s/%d/%d", what, id.Object, size), dest, nil, 0)
	if bad.code != "" {
		return outcome{}, bad
	}
	defer resp.Body.Close()
	c := content.NewChecker(id, size)
	if err := read(c, resp.Body); err != nil {
		return c.Sum(false), failed(broken(err), entry, err.Error())
	}
	return c.Sum(true), failure{}
}

// upload sends a file, of which the PBX says what it got.
func (l *Load) upload(t scenario.Traffic) operation {
	return func(ctx context.Context, s Site) (outcome, failure) {
		id := content.ID{Device: s.Content, Object: l.object()}
		resp, entry, bad := l.do(ctx, s, http.MethodPost, fmt.Sprintf("/upload/%d", id.Object), "empty", func() io.Reader { return content.Reader(id, int64(t.Size)) }, int64(t.Size))
		if bad.code != "" {
			return outcome{}, bad
		}
		defer resp.Body.Close()
		var found outcome
		if err := json.NewDecoder(io.LimitReader(resp.Body, maxProblem)).Decode(&found); err != nil {
			return outcome{}, failed(broken(err), entry, err.Error())
		}
		return found, failure{}
	}
}

// do sends a request as a page's script does, whatever dest the answer is for:
// what a relay refuses comes with its code, and not as a page. entry is that of a
// Loss.
func (l *Load) do(ctx context.Context, s Site, method, path, dest string, body func() io.Reader, size int64) (resp *http.Response, entry string, bad failure) {
	var w way
	req, err := http.NewRequestWithContext(w.entering(ctx), method, s.Origin+path, nil)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	req.Header.Set("Sec-Fetch-Mode", "same-origin")
	req.Header.Set("Sec-Fetch-Dest", dest)
	if body != nil {
		// As a browser, which has the file, can: send it anew where the relay has
		// taken nothing of it (RFC 9113, section 8.7).
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(body()), nil }
		req.Body, req.ContentLength = io.NopCloser(body()), size
		req.Header.Set("Content-Type", "application/octet-stream")
		req.Header.Set("Origin", s.Origin)
	}
	resp, err = s.Do(req)
	entry = w.entry()
	if err != nil {
		l.Log.Warn("no answer", zap.String("method", method), zap.String("path", path), zap.String("entry", entry), zap.Error(err))
		return nil, entry, failed(why(err), entry, err.Error())
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		code, words := refused(resp)
		return nil, entry, failed(code, entry, words)
	}
	return resp, entry, failure{}
}
