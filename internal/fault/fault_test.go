package fault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"trunkline/internal/fault"
)

// Every code of the const blocks must have its HTTP status, or its errors
// would go out as 500.
func TestEveryCodeHasAStatus(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			if typ, ok := v.Type.(*ast.Ident); ok && typ.Name == "Code" {
				declared++
			}
		}
		return true
	})
	if got := len(fault.Codes()); got != declared || declared == 0 {
		t.Errorf("%d codes are declared, %d have a status", declared, got)
	}
	for _, c := range fault.Codes() {
		if s := fault.Status(c); s < 400 || s > 599 {
			t.Errorf("%s: status %d is no error", c, s)
		}
	}
}

func TestProblemCarriesAFault(t *testing.T) {
	sent := fmt.Errorf("activate: %w", fault.New(fault.NoConnections, "25 of 25 in use.").In("serial").After(1500*time.Millisecond))
	w := httptest.NewRecorder()
	fault.ProblemOf(sent, "ref").Write(w)
	if w.Code != 409 || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Retry-After") != "2" {
		t.Errorf("status %d, headers %v", w.Code, w.Header())
	}
	var p fault.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	got := p.Fault()
	if got.Code != fault.NoConnections || got.Message != "25 of 25 in use." || got.Field != "serial" || got.Retry != 2*time.Second {
		t.Errorf("came back as %+v", got)
	}
}

func TestProblemHidesWhatIsNoFault(t *testing.T) {
	p := fault.ProblemOf(errors.New("open /var/lib/trunkline/db: permission denied"), "k3v9x2aa")
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "/var/lib") {
		t.Errorf("tells the outside too much: %s", b)
	}
	if p.Code != fault.Internal || p.Status != 500 || p.Reference != "k3v9x2aa" {
		t.Errorf("got %+v", p)
	}
}

func TestIs(t *testing.T) {
	err := fmt.Errorf("dial: %w", fault.New(fault.NotConnected, "since 14:03"))
	if !errors.Is(err, &fault.Error{Code: fault.NotConnected}) || errors.Is(err, &fault.Error{Code: fault.Draining}) {
		t.Error("errors.Is does not go by the code")
	}
	if fault.CodeOf(err) != fault.NotConnected || fault.CodeOf(errors.New("x")) != fault.Internal || fault.CodeOf(nil) != "" {
		t.Error("CodeOf")
	}
}
