package page

// SessionsForTest are sessions without a page around them.
type SessionsForTest struct{ s *sessions }

func NewSessionsForTest() SessionsForTest { return SessionsForTest{newSessions()} }

func (s SessionsForTest) Begin() string { return s.s.begin() }

func (s SessionsForTest) Valid(token string, byPerson bool) bool { return s.s.valid(token, byPerson) }
