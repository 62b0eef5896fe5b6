package edge

import (
	"bytes"
	"strings"
	"sync"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// A visit to a hot-standby pair follows the active server. Whoever is on the
// page of the one is not silently shown the other: once, the next navigation
// is answered by a notice.

// notice is a fault if the visitor is about to see another server than before.
// It is a fault once only.
func (x *exchange) notice() error {
	if x.guest.Served == nil || !x.isDocument() {
		return nil
	}
	before := x.guest.Served(x.route.Device)
	if before == "" || before == x.route.Device {
		return nil
	}
	x.next = "/"
	if x.req.method == "GET" && ownPage(x.req.target) {
		x.next = string(x.req.target)
	}
	return fault.New(fault.RolesSwapped, "This is now %s. You were on the other server of the pair, which serves no more.", x.server(before))
}

// server says which of the two serves now, as far as they say it themselves.
func (x *exchange) server(before id.Device) string {
	name := "the pair's other server"
	if s := x.route.Standby; s != nil {
		name = "the " + s.Type + " server"
	}
	if r, ok := x.e.o.Route(x.site, before); ok && r.Standby != nil {
		name += " with the serial number " + string(r.Standby.Peer)
	}
	return name
}

// isDocument reports whether a person is to see the answer in a tab of its own.
func (x *exchange) isDocument() bool {
	html := false
	for _, f := range x.req.fields {
		switch {
		case strings.EqualFold(string(f.name), "Sec-Fetch-Dest"):
			return string(f.value) == "document"
		case strings.EqualFold(string(f.name), "Accept"):
			html = bytes.Contains(f.value, []byte("text/html"))
		}
	}
	return html && x.req.method == "GET"
}

// ownPage: "//host" would lead elsewhere.
func ownPage(target []byte) bool {
	return len(target) > 0 && target[0] == '/' && (len(target) == 1 || target[1] != '/' && target[1] != '\\')
}

// swaps is the upgraded connections of visits that follow the active server.
// Those to a server that serves no more end, so that the page's script connects
// anew, to the one that does.
type swaps struct {
	mu sync.Mutex
	of map[id.Site]map[*pump]struct{}
}

func newSwaps() *swaps { return &swaps{of: make(map[id.Site]map[*pump]struct{})} }

// join takes p up until leave. The swap may have come since p was connected.
func (s *swaps) join(p *pump) {
	x := p.x
	if x.guest.Served == nil {
		return
	}
	s.mu.Lock()
	of := s.of[x.site]
	if of == nil {
		of = make(map[*pump]struct{})
		s.of[x.site] = of
	}
	of[p] = struct{}{}
	s.mu.Unlock()
	if r, ok := x.e.o.Route(x.site, ""); ok {
		x.e.Swapped(x.site, r.Device)
	}
}

func (s *swaps) leave(p *pump) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.of[p.x.site]
	delete(of, p)
	if len(of) == 0 {
		delete(s.of, p.x.site)
	}
}

// Swapped ends what upgraded connections there are to another device of the
// site than the one that serves now. It does not block.
func (e *Edge) Swapped(site id.Site, serves id.Device) {
	s := e.swaps
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.of[site] {
		if p.x.route.Device != serves {
			delete(s.of[site], p)
			close(p.swapped)
		}
	}
}
