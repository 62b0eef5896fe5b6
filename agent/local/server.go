package local

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"trunkline/agent/manage"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const (
	maxBody   = 512 << 10
	maxNonce  = 128
	tokenSize = 32
)

// Line is what the file says.
type Line struct {
	Address string `json:"address"`
	Token   string `json:"token"` // secret
}

// Server is the agent's end.
type Server struct {
	desk     manage.Desk
	ln       net.Listener
	srv      *http.Server
	token    string
	handlers sync.WaitGroup
}

// Listen binds an address; nothing is served before Run.
func Listen(desk manage.Desk, log *zap.Logger) (*Server, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("line for the command line: %w", err)
	}
	token := make([]byte, tokenSize)
	rand.Read(token)
	s := &Server{desk: desk, ln: ln, token: hex.EncodeToString(token)}
	m := http.NewServeMux()
	m.HandleFunc("POST /hello", s.hello)
	handle(m, s, "/view", func(ctx context.Context, _ struct{}) (manage.View, error) { return desk.View(ctx) })
	handle(m, s, "/change", func(ctx context.Context, c manage.Change) (struct{}, error) { return struct{}{}, desk.Change(ctx, c) })
	handle(m, s, "/end-visit", func(ctx context.Context, v endVisit) (struct{}, error) {
		return struct{}{}, desk.EndVisit(ctx, v.Visit)
	})
	handle(m, s, "/reset-page", func(ctx context.Context, _ struct{}) (struct{}, error) { return struct{}{}, desk.ResetPage(ctx) })
	s.srv = &http.Server{Handler: m, ErrorLog: zap.NewStdLog(log), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second, IdleTimeout: time.Minute}
	return s, nil
}

type endVisit struct {
	Visit id.Visit `json:"visit"`
}

// Line is for the file.
func (s *Server) Line() Line { return Line{Address: s.ln.Addr().String(), Token: s.token} }

// Run serves until ctx ends, and waits for what it began.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.srv.Close() })
	defer stop()
	err := s.srv.Serve(s.ln)
	s.handlers.Wait()
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("line for the command line: %w", err)
	}
	return nil
}

// Close frees the address of a Server that never ran.
func (s *Server) Close() error { return s.ln.Close() }

func (s *Server) hello(w http.ResponseWriter, r *http.Request) {
	var q hello
	if err := decode(w, r, &q); err != nil {
		fault.ProblemOf(err, "").Write(w)
		return
	}
	answer(w, proof{proofOf(s.token, q.Nonce)})
}

type hello struct {
	Nonce string `json:"nonce"`
}

type proof struct {
	Proof string `json:"proof"`
}

func proofOf(token, nonce string) string {
	m := hmac.New(sha256.New, []byte(token))
	m.Write([]byte("trunkline local 1\x00" + nonce))
	return hex.EncodeToString(m.Sum(nil))
}

// handle serves one of the desk's calls to who has the token.
func handle[Q, A any](m *http.ServeMux, s *Server, path string, do func(context.Context, Q) (A, error)) {
	m.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		s.handlers.Add(1)
		defer s.handlers.Done()
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) != 1 {
			fault.ProblemOf(fault.New(fault.SignInNeeded, "The agent was started anew meanwhile. Try again."), "").Write(w)
			return
		}
		var q Q
		err := decode(w, r, &q)
		if err == nil {
			var a A
			if a, err = do(r.Context(), q); err == nil {
				answer(w, a)
				return
			}
		}
		fault.ProblemOf(err, "").Write(w)
	})
}

func decode(w http.ResponseWriter, r *http.Request, to any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	if err := d.Decode(to); err != nil {
		return fault.New(fault.Invalid, "Malformed request.")
	}
	if h, ok := to.(*hello); ok && (h.Nonce == "" || len(h.Nonce) > maxNonce) {
		return fault.New(fault.Invalid, "Malformed request.")
	}
	return nil
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who asked is gone if this fails
}
