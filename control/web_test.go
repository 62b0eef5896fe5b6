package control

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// A control node that is told to stop answers what it was asked; who watches is
// let go at once, to watch elsewhere.
func TestTheEndLetsRequestsFinish(t *testing.T) {
	asked, watched, goOn := make(chan struct{}), make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/decide", func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-goOn
		fmt.Fprint(w, "decided, ", r.Context().Err())
	})
	mux.HandleFunc("/watch", func(_ http.ResponseWriter, r *http.Request) {
		close(watched)
		<-r.Context().Done()
	})
	w := &web{conns: newHanded(), srv: &http.Server{Handler: mux}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	ask := func(head string) *bufio.Reader {
		browser, ours := net.Pipe()
		t.Cleanup(func() { browser.Close() })
		_ = browser.SetDeadline(time.Now().Add(30 * time.Second))
		w.hand(ours)
		go func() { _, _ = io.WriteString(browser, head) }()
		return bufio.NewReader(browser)
	}
	decision := ask("GET /decide HTTP/1.1\r\nHost: c\r\n\r\n")
	<-asked
	stream := ask("GET /watch HTTP/1.1\r\nHost: c\r\nAccept: text/event-stream\r\n\r\n")
	<-watched
	stop()
	if _, err := http.ReadResponse(stream, nil); err != nil {
		t.Errorf("who watches: %v", err)
	}
	close(goOn)
	resp, err := http.ReadResponse(decision, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "decided, <nil>" {
		t.Errorf("who asked: %q, %v", b, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
