package page

// SessionsForTest are sessions without a page around them.
type SessionsForTest struct{ s *sessions }

func NewSessionsForTest() SessionsForTest { return SessionsForTest{newSessions()} }

func (s SessionsForTest) Begin() string { return s.s.begin() }

func (s SessionsForTest) Valid(token string, byPerson bool) bool { return s.s.valid(token, byPerson) }

// StopTime has wrong passwords count for ever.
func (p *Page) StopTime() { p.lock.tries.SetLimit(0) }

// RoutesForTest are the patterns of all there is.
func (p *Page) RoutesForTest() (out []string) {
	for _, r := range p.routes() {
		out = append(out, r.pattern)
	}
	return out
}
