package trust

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"

	"trunkline/internal/token"
)

// opened remembers the cookies of the visits served here, opened: a browser
// sends the same one with every request, and decrypting and decoding it was a
// sixth of what a small request cost. Nothing is believed that a fresh look
// would not find too: the key must still be known, the visit neither ended nor
// over, and a seat's end takes its cookies along. The zero value is ready.
type opened struct {
	shards [64]struct {
		sync.RWMutex
		of map[string]*openCookie
	}
}

type openCookie struct {
	visit token.Visit
	seat  *seat
	kid   string
}

// keptCookies is how many of a visit are remembered: a browser holds one, and
// requests under way may have the one before.
const keptCookies = 4

var cookieSeed = maphash.MakeSeed()

func shardOf(cookie string) int { return int(maphash.String(cookieSeed, cookie) % 64) }

// find is the visit of a cookie that is known and would still be opened.
func (o *opened) find(cookie string, ring *keyring, now time.Time) (token.Visit, *seat, bool) {
	sh := &o.shards[shardOf(cookie)]
	sh.RLock()
	c := sh.of[cookie]
	sh.RUnlock()
	if c == nil || c.seat.over.Load() || now.After(c.visit.Expires) || now.UnixNano() > c.seat.seen.Load()+int64(c.visit.Idle) {
		return token.Visit{}, nil, false
	}
	if _, ok := ring.sealKey(c.kid); !ok {
		return token.Visit{}, nil, false
	}
	return c.visit, c.seat, true
}

// keep remembers that cookie is v's, unless the visit ended meanwhile.
func (o *opened) keep(cookie string, v token.Visit, s *seat) {
	s.cookies.mu.Lock()
	defer s.cookies.mu.Unlock()
	if s.over.Load() || slices.Contains(s.cookies.kept, cookie) {
		return
	}
	kid, _, _ := strings.Cut(cookie, ".")
	if len(s.cookies.kept) == keptCookies {
		o.remove(s.cookies.kept[0])
		s.cookies.kept = slices.Delete(s.cookies.kept, 0, 1)
	}
	s.cookies.kept = append(s.cookies.kept, cookie)
	sh := &o.shards[shardOf(cookie)]
	sh.Lock()
	defer sh.Unlock()
	if sh.of == nil {
		sh.of = make(map[string]*openCookie)
	}
	sh.of[cookie] = &openCookie{visit: v, seat: s, kid: kid}
}

// forget drops the cookies of a seat that is over.
func (o *opened) forget(s *seat) {
	s.cookies.mu.Lock()
	defer s.cookies.mu.Unlock()
	for _, c := range s.cookies.kept {
		o.remove(c)
	}
	s.cookies.kept = nil
}

func (o *opened) remove(cookie string) {
	sh := &o.shards[shardOf(cookie)]
	sh.Lock()
	defer sh.Unlock()
	delete(sh.of, cookie)
}
