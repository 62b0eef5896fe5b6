package testnet

import (
	"trunkline/internal/controlapi"
	"trunkline/internal/visitor"
)

// Visit starts a visit as the first owner and opens it.
func (p *PBX) Visit() *visitor.Visitor {
	p.world.T.Helper()
	return p.VisitBy("")
}

// VisitBy is Visit by a method; "" is the account login.
func (p *PBX) VisitBy(method string) *visitor.Visitor {
	p.world.T.Helper()
	return p.world.Visit(controlapi.VisitRequest{Device: p.Device, Method: method})
}

// Visit starts a visit, and opens it as a browser does.
func (w *World) Visit(q controlapi.VisitRequest) *visitor.Visitor {
	w.T.Helper()
	start, err := w.API.StartVisit(w.T.Context(), q)
	if err != nil {
		w.T.Fatal(err)
	}
	v, err := visitor.Enter(w.T.Context(), w.TLS, w.Up.ConsoleURL(), start)
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(v.CloseIdleConnections)
	return v
}
